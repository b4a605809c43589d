"""A machine for traced models: their expanded graph in float32, each operation rounded, as compiled code computes it.

It shares no code with diffrt_aot.model.reference, nor its functions: a machine has no sine.
"""

import numpy as np

from diffrt_aot.model import elementary

FLOAT = np.float32
ARITHMETIC = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "abs": np.abs,
}
CONDITIONS = {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
}


def bits(x):
    return np.asarray(x, FLOAT).view(np.int32)


def operate(op, a, data):
    """One operation of machines, but leaves, reads and loops."""
    if op in ARITHMETIC:
        return ARITHMETIC[op](*a).astype(FLOAT)
    if op in CONDITIONS:
        return CONDITIONS[op](*a)
    if op == "where":
        return np.where(*a)
    if op == "constant":
        return FLOAT(data)
    if op == "power_of_two":
        k = np.where(np.abs(a[0]) < 1000, a[0], 0).astype(np.int32)
        return ((k + 127) << 23).astype(np.int32).view(FLOAT)
    if op == "exponent":
        return ((bits(a[0]) >> 23) - 126).astype(FLOAT)
    if op == "mantissa":
        return ((bits(a[0]) & 0x7FFFFF) | 0x3F000000).astype(np.int32).view(FLOAT)
    if op == "whole":
        return np.asarray(a[0]).astype(np.int32)
    if op == "float":
        return np.asarray(a[0]).astype(FLOAT)
    if op == "whole_constant":
        return np.int32(data)
    if op == "whole_affine":
        return a[0] * np.int32(data[0]) + np.int32(data[1])
    if op == "whole_add":
        return a[0] + a[1]
    if op == "whole_madd":
        return a[0] * a[1] + a[2]
    raise NotImplementedError(op)


class Machine:
    """`leaf(node)` gives what a node that is made of none is; tables are read from `tables`."""

    def __init__(self, program, leaf, tables=()):
        self.program, self.leaf, self.tables = program, leaf, [np.asarray(t, FLOAT) for t in tables]
        self.outputs, self.rows, self.indices = elementary.expand(program)

    def run(self, roots, known=None):
        known = {} if known is None else known
        with np.errstate(all="ignore"):
            return [self.of(r, known) for r in roots]

    def of(self, root, known):
        stack = [root]
        while stack:
            n = stack[-1]
            if n.id in known:
                stack.pop()
                continue
            if n.op == "loop":
                known |= self.loop(n, known)
                continue
            todo = [a for a in n.args if a.id not in known]
            if todo:
                stack += todo
                continue
            known[n.id] = self.value(n, [known[a.id] for a in n.args])
        return known[root.id]

    def value(self, n, a):
        if n.op in ("gather", "selected"):
            table = self.tables[n.data if n.op == "gather" else n.data[0]]
            flat = table.reshape(-1) if n.op == "gather" else table.reshape(len(table), -1)[:, n.data[1]]
            inside = (a[0] >= 0) & (a[0] < len(flat))
            return np.where(inside, flat[np.where(inside, a[0], 0)], FLOAT(np.nan))
        if not n.args and n.op not in ("constant", "whole_constant"):
            x = np.asarray(self.leaf(n))
            return x.astype(np.int32 if n.kind == "whole number" else FLOAT)
        return operate(n.op, a, n.data)

    def loop(self, n, known):
        place, _, size = n.data
        begin, after, done = n.args[:size], n.args[size : 2 * size], n.args[2 * size :]
        state = [self.of(a, known) for a in begin]
        loop = self.program.graph.loops[place]
        for _ in range(loop.turns):
            inner = dict(known) | {c.id: s for c, s in zip(loop.carried, state, strict=True)}
            if done and np.all(self.of(done[0], inner)):
                break
            state = [self.of(a, inner) for a in after]
        same = [a.id for a in n.args]
        twins = [m for m in self.program.graph.nodes if m.op == "loop" and [a.id for a in m.args] == same]
        return {m.id: state[m.data[1]] for m in twins if m.data[0] == place}


def of_function(function, count):
    """The function of numbers in float32, as a function of `count` float32 arrays."""
    from diffrt_aot.model import Item, Model, PerItemFree

    names = "abc"[:count]
    text = f"def f(item, {', '.join(names)}): return function({', '.join(names)})"
    space = {"function": function}
    exec(text, space)
    f = space["f"]
    f.__annotations__ = {"item": Item, **dict.fromkeys(names, PerItemFree)}
    program = Model(f).trace("forward")

    def evaluate(*x):
        x = [np.asarray(v, FLOAT) for v in x]
        machine = Machine(program, lambda n: x[n.data[0]])
        return np.broadcast_to(machine.run(machine.outputs)[0], x[0].shape)

    return evaluate
