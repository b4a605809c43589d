"""Derivatives of a graph: rows of the Jacobian, by whichever of forward and reverse makes fewer operations per item.

Forward carries {slot: partial} along, and leaves out what does not exist. Reverse carries d output / d node back, one
sweep for each output: many parameters cost no more than a few values. "mixed" goes back as far as what is the same for
all items, whose partials are made forward, once for a call.

All keep the promise of `where`: the side that is not taken leaves no trace, NaN or infinite as it may be. Forward
chooses between the partials of both sides. Reverse carries the conditions along, under which what it carries matters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .graph import NUMBER, Graph, Node, ancestors, build, choose, compare, constant, varying

Row = dict[int, Node]

# Where a derivative begins: {slot: partial} of its own.
PARAMETERS = ("parameter", "selected", "item_free")


def own_partials(node: Node) -> Row | None:
    if node.op in PARAMETERS:
        return {node.data[-1]: constant(1.0)}
    if node.op == "rule":
        return dict(zip(node.data, node.args[1:], strict=True))
    return None


# --- d node / d argument

Slopes = Callable[[Node], list[Node]]


def _one_over(x: Node) -> Node:
    return build("div", constant(1.0), x)


def _sub(a: float | Node, b: Node) -> Node:
    return build("sub", constant(a) if isinstance(a, (int, float)) else a, b)


def _square(x: Node) -> Node:
    return build("mul", x, x)


def _of_division(n: Node) -> list[Node]:
    inverse = _one_over(n.args[1])
    return [inverse, build("neg", build("mul", n, inverse))]


def _of_absolute(n: Node) -> list[Node]:
    (x,), zero = n.args, constant(0.0)
    below = choose(compare("lt", x, zero), constant(-1.0), zero)
    return [choose(compare("gt", x, zero), constant(1.0), below)]


def _of_arc(n: Node) -> Node:
    """1 / sqrt(1 - x^2), as a product that keeps its digits near 1."""
    (x,), one = n.args, constant(1.0)
    return _one_over(build("sqrt", build("mul", build("sub", one, x), build("add", one, x))))


def _of_atan2(n: Node) -> list[Node]:
    y, x = n.args
    inverse = _one_over(build("add", _square(x), _square(y)))
    return [build("mul", x, inverse), build("neg", build("mul", y, inverse))]


def _of_hypot(n: Node) -> list[Node]:
    inverse = choose(compare("gt", n, constant(0.0)), _one_over(n), constant(0.0))
    return [build("mul", x, inverse) for x in n.args]


def _of_power(n: Node) -> list[Node]:
    x, y = n.args
    by_exponent = build("mul", n, build("log", x))
    return [
        build("mul", y, build("pow", x, build("sub", y, constant(1.0)))),
        choose(compare("eq", x, constant(0.0)), constant(0.0), by_exponent),
    ]


SLOPES: dict[str, Slopes] = {
    "add": lambda n: [constant(1.0), constant(1.0)],
    "sub": lambda n: [constant(1.0), constant(-1.0)],
    "mul": lambda n: [n.args[1], n.args[0]],
    "div": _of_division,
    "neg": lambda n: [constant(-1.0)],
    "abs": _of_absolute,
    "sqrt": lambda n: [build("div", constant(0.5), n)],
    "sin": lambda n: [build("cos", n.args[0])],
    "cos": lambda n: [build("neg", build("sin", n.args[0]))],
    "tan": lambda n: [build("add", constant(1.0), _square(n))],
    "asin": lambda n: [_of_arc(n)],
    "acos": lambda n: [build("neg", _of_arc(n))],
    "atan": lambda n: [_one_over(build("add", constant(1.0), _square(n.args[0])))],
    "atan2": _of_atan2,
    "exp": lambda n: [n],
    "expm1": lambda n: [build("add", n, constant(1.0))],
    "log": lambda n: [_one_over(n.args[0])],
    "log1p": lambda n: [_one_over(build("add", constant(1.0), n.args[0]))],
    "sinh": lambda n: [build("cosh", n.args[0])],
    "cosh": lambda n: [build("sinh", n.args[0])],
    "tanh": lambda n: [_sub(1.0, _square(n))],
    "hypot": _of_hypot,
    "pow": _of_power,
}


def differentiated(node: Node) -> tuple[Node, ...]:
    """The arguments by which a node has a derivative."""
    if node.kind != NUMBER:
        return ()
    if node.op == "where":
        return node.args[1:]
    if node.op == "slopes":
        return node.args[1::2]
    return node.args if node.op in SLOPES else ()


def slopes(node: Node) -> Sequence[Node]:
    """d node / d argument, of the arguments in `differentiated`."""
    return node.args[2::2] if node.op == "slopes" else SLOPES[node.op](node)


# --- forward


def forward(graph: Graph, target: Node) -> Row:
    """{slot: partial} of a node; what has been made before is kept."""
    known = graph.partials
    for node in ancestors([target]):
        if node.id not in known:
            with graph.at_line_of(node):
                known[node.id] = _partials(node, known)
    return known[target.id]


def _partials(node: Node, known: dict[int, Row]) -> Row:
    own = own_partials(node)
    if own is not None:
        return own
    arguments = differentiated(node)
    if not any(known[a.id] for a in arguments):
        return {}
    if node.op == "where":
        ours, theirs = (known[x.id] for x in arguments)
        zero = constant(0.0)
        return _without_zeros(
            {k: choose(node.args[0], ours.get(k, zero), theirs.get(k, zero)) for k in {**ours, **theirs}}
        )
    result: Row = {}
    for a, slope in zip(arguments, slopes(node), strict=True):
        for k, e in known[a.id].items():
            term = build("mul", slope, e)
            result[k] = build("add", result[k], term) if k in result else term
    return _without_zeros(result)


def _without_zeros(row: Row) -> Row:
    return {k: e for k, e in row.items() if not (e.op == "constant" and e.data == 0.0)}


# --- reverse

# The conditions under which an adjoint matters, and whether each is to hold.
Path = tuple[tuple[int, bool], ...]


def reverse(graph: Graph, output: Node, uniform: set[int] | None = None) -> Row:
    """{slot: partial} of an output; `uniform`: nodes from which on partials are made forward."""
    uniform = uniform or set()

    def own(node: Node) -> Row | None:
        return forward(graph, node) if node.id in uniform else own_partials(node)

    return _without_zeros(_sweep(graph, output, own))


def gradient(output: Node, by: Sequence[Node]) -> list[Node]:
    """d output / d node for each of `by`, in which nothing is looked at that those are made of."""
    graph = Graph.current()
    places = {node.id: k for k, node in enumerate(by)}

    def own(node: Node) -> Row | None:
        if node.id in places:
            return {places[node.id]: constant(1.0)}
        return {} if node.op in PARAMETERS or node.op == "rule" else None

    found = _sweep(graph, output, own)
    return [found.get(k, constant(0.0)) for k in range(len(by))]


def _sweep(graph: Graph, output: Node, own: Callable[[Node], Row | None]) -> Row:
    order, active = _active(output, own)
    adjoint: dict[int, dict[Path, Node]] = {output.id: {(): constant(1.0)}}
    row: Row = {}

    def give(node: Node, path: Path, term: Node) -> None:
        if node.id in active:
            mine = adjoint.setdefault(node.id, {})
            mine[path] = build("add", mine[path], term) if path in mine else term

    for node in reversed(order):
        paths = adjoint.pop(node.id, None)
        if not paths:
            continue
        with graph.at_line_of(node):
            path, bar = _merged(graph, paths)
            mine = own(node)
            if mine is not None:
                for k, e in mine.items():
                    term = _under(graph, path, build("mul", bar, e))
                    row[k] = build("add", row[k], term) if k in row else term
            elif node.op == "where":
                condition, a, b = node.args
                give(a, (*path, (condition.id, True)), bar)
                give(b, (*path, (condition.id, False)), bar)
            else:
                for a, slope in zip(differentiated(node), slopes(node), strict=True):
                    if a.id in active:
                        give(a, path, build("mul", bar, slope))
    return row


def _active(output: Node, own: Callable[[Node], Row | None]) -> tuple[list[Node], set[int]]:
    """Nodes between what is differentiated by and the output, in order."""
    active: set[int] = set()
    order = []
    for node in ancestors([output]):
        mine = own(node)
        if mine or (mine is None and any(a.id in active for a in differentiated(node))):
            active.add(node.id)
            order.append(node)
    return order, active


def _merged(graph: Graph, paths: dict[Path, Node]) -> tuple[Path, Node]:
    """One adjoint of what came by several paths: those that hold under further conditions are 0 elsewhere."""
    common, *others = paths
    for path in others:
        n = 0
        while n < min(len(common), len(path)) and common[n] == path[n]:
            n += 1
        common = common[:n]
    total = None
    for path, term in paths.items():
        term = _under(graph, path[len(common) :], term)
        total = term if total is None else build("add", total, term)
    assert total is not None
    return common, total


def _under(graph: Graph, path: Path, term: Node) -> Node:
    zero = constant(0.0)
    for place, holds in reversed(path):
        condition = graph.nodes[place]
        term = choose(condition, term, zero) if holds else choose(condition, zero, term)
    return term


# --- which of them

COST = {
    **dict.fromkeys(("div", "sqrt", "gather", "selected"), 6),
    **dict.fromkeys(("exp", "expm1", "sin", "cos", "log", "log1p", "hypot"), 20),
    **dict.fromkeys(("atan", "atan2", "asin", "acos", "tan", "sinh", "cosh", "tanh"), 30),
    "pow": 45,
}
FREE = (
    "constant",
    "truth",
    "whole_constant",
    "stop",
    "probe",
    "rule",
    "slopes",
    "neg",
    "column",
    "row",
    "carried",
    "float",
)


def cost(nodes: Sequence[Node]) -> int:
    """Of what differs from item to item: the rest is computed once for a call."""
    order = ancestors(nodes)
    items = varying(order)
    return sum(COST.get(n.op, 1) for n in order if n.id in items and n.op not in FREE)


METHODS = ("forward", "reverse", "mixed")


def rows(graph: Graph, outputs: Sequence[Node], method: str = "best") -> tuple[list[Row], str]:
    """[{slot: partial}] of each output, and how they were made: the way that costs the least, or the one asked for."""
    items = varying(ancestors(outputs))

    def made(way: str) -> list[Row]:
        if way == "forward":
            return [dict(forward(graph, o)) for o in outputs]
        uniform = {n.id for n in ancestors(outputs) if n.id not in items} if way == "mixed" else None
        return [reverse(graph, o, uniform) for o in outputs]

    ways = METHODS if method == "best" else (method,)
    tried = {way: made(way) for way in ways}
    price = {way: cost([*outputs, *(e for row in r for e in row.values())]) for way, r in tried.items()}
    best = min(ways, key=price.__getitem__)
    return tried[best], best
