"""What a user's model becomes when it is traced: a graph of numbers, each made once.

`Node` is the number that a model's author computes with. The same graph is evaluated on NumPy (reference.py),
differentiated (derivative.py), and brought to what machines have (elementary.py).

What is known while a model is traced is done then: constants fold in float64; x + 0, x * 1 and -(-x) are x; and 0 * x
is 0, also of an x that is infinite or NaN when the model runs. Those are structural zeros: of np.eye(3) @ v, of the
partials that a number does not have. Nothing else is taken for granted: x - x, x / x and x == x are computed, and NaN
where x is. The sign of a zero is not kept.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from operator import attrgetter
from typing import Any, NamedTuple, NoReturn

import numpy as np

from diffrt_aot.errors import ModelError

NUMBER, TRUTH, WHOLE = "number", "condition", "whole number"

# Beyond it a whole number is an index beyond any table: see `whole`.
LARGEST_INDEX = 2**22

Place = tuple[str, int]

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_NUMPY = os.path.dirname(os.path.abspath(np.__file__)) + os.sep


def users_line() -> Place:
    """(file, line) of the innermost frame outside this package and NumPy: where the model's author is."""
    frame = sys._getframe(1)
    while frame.f_back is not None and is_ours(frame.f_code.co_filename):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def is_ours(file: str) -> bool:
    return file.startswith((_PACKAGE, _NUMPY, "<frozen"))


def refuse(text: str) -> NoReturn:
    file, line = users_line()
    raise ModelError(f"{file}:{line}: {text}")


class Loop(NamedTuple):
    """What is repeated: from `carried`, one node for each number of the state, to `after`, at most `turns` times.

    `done`: a condition on the carried numbers; an item for which it holds is left as it is (`after` says so), and
    the loop ends when it holds for all. None: all turns are made.
    """

    carried: list[Node]
    after: list[Node]
    done: Node | None
    turns: int


_thread = threading.local()


def _being_traced() -> list[Graph]:
    """The graphs that this thread is making; in the last one new nodes are made."""
    if not hasattr(_thread, "graphs"):
        _thread.graphs = []
    graphs: list[Graph] = _thread.graphs
    return graphs


class Graph:
    """All nodes of a model, none twice, in an order in which each comes after what it is made of."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.loops: list[Loop] = []
        self.line: Place | None = None  # of nodes that are made for another one's sake
        self.partials: dict[int, dict[int, Node]] = {}  # of derivative.forward
        self.total_slopes: dict[int, Any] = {}  # of derivative.slopes_of_total
        self.repeated = ""  # what is being traced once and run many times
        self._known: dict[Any, Node] = {}

    def __enter__(self) -> Graph:
        _being_traced().append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _being_traced().pop()

    @staticmethod
    def current() -> Graph:
        if not _being_traced():
            refuse("a number of a model is of use only while the model is traced: compute with it inside of the model")
        return _being_traced()[-1]

    def has(self, node: Node) -> bool:
        return node.id < len(self.nodes) and self.nodes[node.id] is node

    def repeating(self, what: str) -> AbstractContextManager[None]:
        """While the body of a loop or a total is traced."""
        if (what == "total" and self.repeated) or self.repeated == "total":
            refuse(f"{what}: within a {self.repeated}; write one total over both, of i = k // m and j = k % m")
        return self._repeating(what)

    @contextmanager
    def _repeating(self, what: str) -> Iterator[None]:
        before, self.repeated = self.repeated, what
        try:
            yield
        finally:
            self.repeated = before

    @contextmanager
    def at_line_of(self, node: Node) -> Iterator[None]:
        """Nodes made within are told to come from this one's line."""
        before, self.line = self.line, node.line
        try:
            yield
        finally:
            self.line = before

    def make(self, op: str, args: Sequence[Node] = (), data: Any = None, kind: str = NUMBER) -> Node:
        """The node, which is made unless it is there."""
        key = (op, tuple(a.id for a in args), data.hex() if isinstance(data, float) else data)
        for a in args:
            if not self.has(a):
                refuse("a number of another model, or of an earlier trace of this one: make it in this model")
        found = self._known.get(key)
        if found is None:
            found = Node(op, tuple(args), data, kind, len(self.nodes), self.line or users_line())
            self.nodes.append(found)
            self._known[key] = found
        return found


def make(op: str, args: Sequence[Node] = (), data: Any = None, kind: str = NUMBER) -> Node:
    return Graph.current().make(op, args, data, kind)


def constant(x: float) -> Node:
    x = float(x)
    return make("constant", (), x if x else 0.0)


def truth(x: bool) -> Node:
    """A condition that is known already. It vanishes in what asks for it."""
    return make("truth", (), bool(x), TRUTH)


def value_of_constant(node: Node) -> float | None:
    return float(node.data) if node.op == "constant" else None


def lift(x: Any, what: str = "a number", kind: str = NUMBER) -> Node:
    """x as a node of the kind; else it is refused."""
    if isinstance(x, np.ndarray) and x.ndim == 0:
        x = x.item()
    if not isinstance(x, Node):
        if kind == NUMBER and isinstance(x, (int, float, np.integer, np.floating)) and not isinstance(x, bool):
            return constant(_float(x))
        if kind == TRUTH and isinstance(x, (bool, np.bool_)):
            return truth(bool(x))
        if kind == WHOLE and isinstance(x, (int, np.integer)) and not isinstance(x, bool):
            return whole_constant(int(x))
        advice = ": take its elements one by one" if hasattr(x, "__len__") and not isinstance(x, str) else ""
        advice = "; did you forget a `return`, or a value for where()?" if x is None else advice
        refuse(f"{what}: expected a {kind}, got {name_of(x)}{advice}")
    if x.kind != kind:
        advice = {
            (NUMBER, TRUTH): "; choose by it, with where(condition, a, b)",
            (NUMBER, WHOLE): "; take number(i) of a whole number i",
            (TRUTH, NUMBER): "; compare it, x > 0.0",
            (WHOLE, NUMBER): "; take whole(floor(x)), or an argument annotated PerItemIndex",
        }.get((kind, x.kind), "")
        refuse(f"{what}: expected a {kind}, got a {x.kind}{advice}")
    return x


def name_of(x: Any) -> str:
    return "nothing (None)" if x is None else f"{type(x).__name__} {x!r}"[:80]


def _float(x: Any) -> float:
    try:
        return float(x)
    except OverflowError:
        refuse(f"a whole number of {len(str(x))} digits is beyond any float")


def whole_constant(k: int) -> Node:
    if abs(k) > LARGEST_INDEX * 256:
        refuse(f"{k} is beyond any index")
    return make("whole_constant", (), k, WHOLE)


# --- arithmetic, after what can be said of it now


def _guarded(function: Callable[..., float]) -> Callable[..., float]:
    def fold(*x: float) -> float:
        with np.errstate(all="ignore"):
            return float(function(*map(np.float64, x)))

    return fold


def _power(x: Any, y: Any) -> Any:
    return np.where((x < 0.0), np.nan, np.float_power(x, y))


#: NumPy's function of each operation on numbers.
EVALUATE: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "abs": np.abs,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "hypot": np.hypot,
    "pow": _power,
}

#: Likewise of conditions.
EVALUATE_TRUTH: dict[str, Callable[..., Any]] = {
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


def build(op: str, *args: Node) -> Node:
    """A node of numbers, after what can be said of it now."""
    known = [value_of_constant(a) for a in args]
    if None not in known:
        if op == "div" and known[1] == 0.0:
            refuse("division by 0: what divides is 0 whatever the arguments are")
        return constant(_guarded(EVALUATE[op])(*known))
    simple = _simplified(op, args, known)
    if simple is not None:
        return simple
    if op in ("add", "mul") and args[0].id > args[1].id:
        args = (args[1], args[0])
    return make(op, args)


def _simplified(op: str, args: Sequence[Node], known: Sequence[float | None]) -> Node | None:
    if op == "neg":
        return args[0].args[0] if args[0].op == "neg" else None
    if op not in ("add", "sub", "mul", "div"):
        return None
    (a, b), (ka, kb) = args, known
    if op == "add":
        if ka == 0.0:
            return b
        if kb == 0.0:
            return a
        if b.op == "neg":
            return build("sub", a, b.args[0])
        if a.op == "neg":
            return build("sub", b, a.args[0])
    elif op == "sub":
        if kb == 0.0:
            return a
        if ka == 0.0:
            return build("neg", b)
        if b.op == "neg":
            return build("add", a, b.args[0])
    elif op == "mul":
        if ka == 0.0 or kb == 0.0:
            return constant(0.0)
        if ka == 1.0:
            return b
        if kb == 1.0:
            return a
        if ka == -1.0:
            return build("neg", b)
        if kb == -1.0:
            return build("neg", a)
        if a.op == "neg" and b.op == "neg":
            return build("mul", a.args[0], b.args[0])
        if a.op == "neg":
            return build("neg", build("mul", a.args[0], b))
        if b.op == "neg":
            return build("neg", build("mul", a, b.args[0]))
    else:
        if kb == 0.0:
            refuse("division by 0: what divides is 0 whatever the arguments are")
        if ka == 0.0:
            return constant(0.0)
        if kb == 1.0:
            return a
        if kb == -1.0:
            return build("neg", a)
        if a.op == "neg":
            return build("neg", build("div", a.args[0], b))
    return None


def choose(condition: Node, a: Node, b: Node) -> Node:
    """a where the condition holds, else b."""
    if condition.op == "truth":
        return a if condition.data else b
    if condition.op == "not":
        return choose(condition.args[0], b, a)
    return a if a is b else make("where", (condition, a, b), None, a.kind)


def compare(op: str, a: Node, b: Node) -> Node:
    ka, kb = value_of_constant(a), value_of_constant(b)
    if ka is not None and kb is not None:
        return truth(bool(EVALUATE_TRUTH[op](ka, kb)))
    return make(op, (a, b), None, TRUTH)


def both(a: Node, b: Node) -> Node:
    if a.op == "truth":
        return b if a.data else a
    if b.op == "truth":
        return a if b.data else b
    return a if a is b else make("and", (a, b), None, TRUTH)


def either(a: Node, b: Node) -> Node:
    if a.op == "truth":
        return a if a.data else b
    if b.op == "truth":
        return b if b.data else a
    return a if a is b else make("or", (a, b), None, TRUTH)


def opposite(a: Node) -> Node:
    if a.op == "truth":
        return truth(not a.data)
    return a.args[0] if a.op == "not" else make("not", (a,), None, TRUTH)


# --- whole numbers


def whole_sum(a: Node, b: Node) -> Node:
    if a.op == b.op == "whole_constant":
        return whole_constant(a.data + b.data)
    if b.op == "whole_constant":
        return whole_affine(a, 1, b.data)
    if a.op == "whole_constant":
        return whole_affine(b, 1, a.data)
    return make("whole_add", (a, b), None, WHOLE)


def whole_affine(i: Node, scale: int, offset: int) -> Node:
    """i * scale + offset."""
    if i.op == "whole_constant":
        return whole_constant(i.data * scale + offset)
    if i.op == "whole_affine":
        return whole_affine(i.args[0], i.data[0] * scale, i.data[1] * scale + offset)
    if max(abs(scale), abs(offset)) > LARGEST_INDEX * 256:
        refuse("a whole number beyond any index")
    return i if (scale, offset) == (1, 0) else make("whole_affine", (i,), (scale, offset), WHOLE)


# --- the number that an author has in hand


def _stands_aside(other: Any) -> bool:
    """Whether an operator leaves it to the other operand, which is an array."""
    return isinstance(other, np.ndarray) and other.ndim > 0


def _arithmetic(op: str, sign: str, reflected: bool = False) -> Any:
    def operation(self: Node, other: Any) -> Any:
        if _stands_aside(other):
            return NotImplemented
        if self.kind == WHOLE:
            return _whole_arithmetic(op, sign, self, other, reflected)
        a, b = lift(self, sign), lift(other, sign)
        return build(op, b, a) if reflected else build(op, a, b)

    return operation


def _whole_arithmetic(op: str, sign: str, self: Node, other: Any, reflected: bool) -> Node:
    b = lift(other, sign, WHOLE)
    if op == "add":
        return whole_sum(self, b)
    if op == "sub":
        a, b = (b, self) if reflected else (self, b)
        return whole_sum(a, whole_affine(b, -1, 0))
    if op == "mul" and "whole_constant" in (self.op, b.op):
        return whole_affine(self, b.data, 0) if b.op == "whole_constant" else whole_affine(b, self.data, 0)
    refuse(f"{sign}: whole numbers of a model are added, and multiplied by those that are known: i + 1, i * 16 + j")


def _comparison(op: str, sign: str) -> Any:
    def operation(self: Node, other: Any) -> Any:
        if _stands_aside(other):
            return NotImplemented
        if self.kind == WHOLE:
            return compare(op, as_number(self), as_number(lift(other, sign, WHOLE)))
        return compare(op, lift(self, sign), lift(other, sign))

    return operation


def _logic(function: Callable[[Node, Node], Node], sign: str) -> Any:
    def operation(self: Node, other: Any) -> Any:
        if _stands_aside(other):
            return NotImplemented
        return function(lift(self, sign, TRUTH), lift(other, sign, TRUTH))

    return operation


def as_number(i: Node) -> Node:
    """A whole number as a number."""
    return constant(i.data) if i.op == "whole_constant" else make("float", (i,))


class Node:
    """A number that is known when the model runs, not now; or a condition; or a whole number, an index.

    Attributes:
        op: what it is: "add", "parameter", ...
        args: the nodes that it is made of.
        data: what else is to be known of it: a constant's value, a parameter's place.
        kind: NUMBER, TRUTH or WHOLE.
        id: its place in the graph.
        line: (file, line) of the author's text.
    """

    __slots__ = ("args", "data", "id", "kind", "line", "op")
    __hash__ = object.__hash__

    def __init__(self, op: str, args: tuple[Node, ...], data: Any, kind: str, id: int, line: Place) -> None:
        self.op, self.args, self.data, self.kind, self.id, self.line = op, args, data, kind, id, line

    def __repr__(self) -> str:
        return f"<{self.kind} {self.op}{'' if self.data is None else ' ' + str(self.data)}>"

    __add__ = __radd__ = _arithmetic("add", "+")
    __sub__, __rsub__ = _arithmetic("sub", "-"), _arithmetic("sub", "-", True)
    __mul__ = __rmul__ = _arithmetic("mul", "*")
    __truediv__, __rtruediv__ = _arithmetic("div", "/"), _arithmetic("div", "/", True)
    __lt__, __le__ = _comparison("lt", "<"), _comparison("le", "<=")
    __gt__, __ge__ = _comparison("gt", ">"), _comparison("ge", ">=")
    __eq__, __ne__ = _comparison("eq", "=="), _comparison("ne", "!=")
    __and__ = __rand__ = _logic(both, "&")
    __or__ = __ror__ = _logic(either, "|")

    def __xor__(self, other: Any) -> Node:
        a, b = lift(self, "^", TRUTH), lift(other, "^", TRUTH)
        return either(both(a, opposite(b)), both(opposite(a), b))

    __rxor__ = __xor__

    def __invert__(self) -> Node:
        return opposite(lift(self, "~", TRUTH))

    def __neg__(self) -> Node:
        return whole_affine(self, -1, 0) if self.kind == WHOLE else build("neg", lift(self, "-"))

    def __pos__(self) -> Node:
        return self if self.kind == WHOLE else lift(self, "+")

    def __abs__(self) -> Node:
        return build("abs", lift(self, "abs"))

    def __pow__(self, exponent: Any) -> Any:
        from .functions import power

        return NotImplemented if _stands_aside(exponent) else power(self, exponent)

    def __rpow__(self, base: Any) -> Any:
        from .functions import power

        return NotImplemented if _stands_aside(base) else power(base, self)

    def __floordiv__(self, other: Any) -> Any:
        return NotImplemented if _stands_aside(other) else build("floor", lift(self / other, "//"))

    def __rfloordiv__(self, other: Any) -> Any:
        return build("floor", lift(other / self, "//"))

    def __mod__(self, other: Any) -> Any:
        return NotImplemented if _stands_aside(other) else self - other * (self // other)

    def __rmod__(self, other: Any) -> Any:
        if isinstance(other, str):
            refuse("a number of the model is not known while it is traced: it cannot be printed into a text")
        return other - self * (other // self)

    def __floor__(self) -> Node:
        return build("floor", lift(self, "floor"))

    def __ceil__(self) -> Node:
        return build("neg", build("floor", build("neg", lift(self, "ceil"))))

    # --- what a number is not

    def __bool__(self) -> bool:
        refuse(
            f"a {self.kind} of the model is not known while it is traced, so `if`, `while`, `and`, `or`, `not`, "
            "min, max and np.where cannot look at it, nor arrays be compared as a whole: choose with "
            "where(condition, a, b), combine conditions by & | ~, compare element by element, "
            "take minimum, maximum, clip, sign, ... of diffrt_aot.model"
        )

    def __float__(self) -> float:
        refuse(
            f"a {self.kind} of the model is no float, so functions of math, and arrays of floats, do not take it: "
            " call sqrt, sin, ... of diffrt_aot.model or np.sqrt, np.sin, ...; sqrt(v @ v) for a length; "
            "np.zeros(n, object) for an array that is filled"
        )

    __complex__ = __float__

    def __int__(self) -> int:
        refuse(
            f"a {self.kind} of the model is not known while it is traced, so range, int and lists cannot take it: "
            "repeat with loop, sum with total, read a Table or FreeTable at whole(floor(x))"
        )

    __index__ = __trunc__ = __int__

    def __round__(self, digits: int | None = None) -> Node:
        refuse("round: take floor(x + 0.5)")

    def __divmod__(self, other: Any) -> tuple[Any, Any]:
        return self // other, self % other

    def __format__(self, spec: str) -> str:
        if spec:
            refuse("a number of the model is not known while it is traced: it cannot be printed into a text")
        return repr(self)

    def __matmul__(self, other: Any) -> Any:
        refuse(f"@: takes vectors and matrices, arrays of numbers; a {self.kind} of the model is no array: write *")

    __rmatmul__ = __matmul__

    # --- NumPy

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """NumPy's functions of numbers and of arrays of them: np.sqrt(x), np.eye(3) @ v, a * v."""
        from .functions import apply_ufunc

        return apply_ufunc(ufunc, method, inputs, options)

    def conjugate(self) -> Node:
        return self

    @property
    def real(self) -> Node:
        return self

    def __getattr__(self, name: str) -> Any:
        """What NumPy calls on the elements of an array: np.sin(v) asks v[k] for `sin`."""
        from .functions import METHODS

        if name in METHODS:
            function = METHODS[name]
            return lambda *others: function(self, *others)
        kind = "number" if name in Node.__slots__ else self.kind  # of one that is being copied
        raise AttributeError(f"a {kind} of a model has no {name!r}")

    def __copy__(self) -> Node:
        return self

    def __deepcopy__(self, _: Any) -> Node:
        return self

    def __reduce__(self) -> Any:
        refuse("a number of a model is of use only while the model is traced: it cannot be saved")

    # --- a hand on the chain

    @property
    def value(self) -> Node:
        """The number without its derivative."""
        x = self
        while x.op in ("stop", "rule", "slopes", "probe"):
            x = x.args[0]
        return x if x.kind != NUMBER or x.op in ("constant", "uniform", "item", "column", "row") else make("stop", (x,))

    @property
    def partials(self) -> dict[int, Node]:
        """{slot: partial}: by the parameters that it depends on; each a number without derivatives of its own.

        A slot stands for one number of an argument; those of two numbers are the same where the parameter is.
        `partial(x)` asks for one.
        """
        from .derivative import forward

        lift(self, "partials")
        if Graph.current().repeated == "total" and self.id in inside_loops(ancestors([self])):
            refuse("partials: within a total they are those of one turn: read them of the sum, or of what is outside")
        return {slot: e.value for slot, e in forward(Graph.current(), self).items()}

    def partial(self, parameter: Any) -> Node:
        """The partial by a parameter of the model: f.partial(radius), f.partial(center[0]); 0 where there is none."""
        p = lift(parameter, "partial")
        if p.op not in ("parameter", "selected", "item_free"):
            refuse("partial: is by a number of an argument that is Free, FreeTable or PerItemFree, as it was given")
        found = self.partials.get(p.data[-1])
        return constant(0.0) if found is None else found


def ancestors(nodes: Iterable[Node], needed: Callable[[Node], tuple[Node, ...]] = attrgetter("args")) -> list[Node]:
    """The nodes and all that they are made of, or that is `needed` for them, each after what it is made of."""
    found: dict[int, Node] = {}
    todo = list(nodes)
    while todo:
        node = todo.pop()
        if node.id not in found:
            found[node.id] = node
            todo += needed(node)
    return [found[k] for k in sorted(found)]


VARYING = ("column", "row", "item", "item_free", "item_index", "carried", "counter")


def varying(order: Iterable[Node]) -> set[int]:
    """Ids of the nodes that differ from item to item; the others are computed once for a call."""
    result: set[int] = set()
    for n in order:
        if n.op in VARYING or any(a.id in result for a in n.args):
            result.add(n.id)
    return result


def inside_loops(order: Iterable[Node]) -> dict[int, frozenset[int]]:
    """Of each node that belongs to loops: their places in Graph.loops. A loop's own node is outside of it."""
    members: dict[int, frozenset[int]] = {}
    for n in order:
        found: frozenset[int] = frozenset().union(*(members.get(a.id, frozenset()) for a in n.args))
        if n.op == "carried":
            found = frozenset((n.data[0],))
        elif n.op == "counter":
            found = frozenset((n.data,))
        elif n.op in ("loop", "at_turn"):
            found = found - {n.data[0]}
        elif n.op == "total":
            found = found - {n.data}
        if found:
            members[n.id] = found
    return members
