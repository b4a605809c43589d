"""Functions of the numbers of a model. Each takes numbers, constants, and arrays of them element by element.

Where a function has a kink, its derivative is one of those on either side, never NaN:

    absolute(x)             at 0: 0
    minimum, maximum        the first argument's where both are equal, and where either is NaN
    clip(x, low, high)      at a bound: x's; beyond it, the bound's: 0 if it is a constant
    hypot(x, y)             at (0, 0): 0
    floor, ceil, sign, whole      0 everywhere
    pow(x, y)               at x = 0: by x as y x^(y - 1) says, by y 0
    where(c, a, b)          that of the side taken; the other leaves no trace, NaN or infinite as it may be

Infinite are those of sqrt at 0, of asin and acos at -1 and 1, of log at 0; atan2 has none at (0, 0): NaN. So is 0 times
infinite: the length sqrt(v @ v) of a vector that can be 0 is better written with where, or sqrt(v @ v + 1e-20).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from diffrt_aot.errors import ModelError

from . import graph as g
from .graph import NUMBER, TRUTH, WHOLE, Graph, Node, build, choose, compare, constant, lift, make, refuse


def _has_axes(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.ndim > 0


def _elementwise(function: Callable[..., Any], count: int) -> Any:
    """The function of numbers, also of arrays of them, broadcast; lists and tuples are taken for arrays."""
    name = function.__name__

    def take(*x: Any) -> Any:
        if len(x) != count:
            refuse(f"{name}: takes {count} argument{'s' if count > 1 else ''}, got {len(x)}")
        x = tuple(as_array(name, a) if isinstance(a, (list, tuple)) else a for a in x)
        if not any(map(_has_axes, x)):
            return function(*x)
        boxed = [_boxed(a) if isinstance(a, Node) else a for a in x]
        try:
            return np.frompyfunc(function, count, 1)(*boxed)
        except ValueError as error:
            if isinstance(error, ModelError):
                raise
            refuse(f"{name}: {error}")

    take.__name__ = take.__qualname__ = name
    take.__doc__ = function.__doc__
    return take


def _boxed(x: Any) -> Any:
    box = np.empty((), object)
    box[()] = x
    return box


def as_array(name: str, x: Any) -> Any:
    try:
        return np.array(x, object)
    except ValueError:
        refuse(f"{name}: a list of lists of unlike lengths is no array")


def _unary(op: str, doc: str) -> Any:
    def function(x: Any) -> Node:
        return build(op, lift(x, op))

    function.__name__, function.__doc__ = op, doc
    return _elementwise(function, 1)


def _binary(op: str, doc: str) -> Any:
    def function(a: Any, b: Any) -> Node:
        return build(op, lift(a, op), lift(b, op))

    function.__name__, function.__doc__ = op, doc
    return _elementwise(function, 2)


sqrt = _unary("sqrt", "Square root; its derivative at 0 is infinite.")
sin = _unary("sin", "Sine of an angle [rad].")
cos = _unary("cos", "Cosine of an angle [rad].")
tan = _unary("tan", "Tangent of an angle [rad].")
asin = _unary("asin", "Inverse sine [rad], in [-pi/2, pi/2].")
acos = _unary("acos", "Inverse cosine [rad], in [0, pi].")
atan = _unary("atan", "Inverse tangent [rad], in (-pi/2, pi/2).")
exp = _unary("exp", "e to the x.")
expm1 = _unary("expm1", "exp(x) - 1, accurate where x is small.")
log = _unary("log", "Natural logarithm.")
log1p = _unary("log1p", "log(1 + x), accurate where x is small.")
sinh = _unary("sinh", "Hyperbolic sine.")
cosh = _unary("cosh", "Hyperbolic cosine.")
tanh = _unary("tanh", "Hyperbolic tangent.")
floor = _unary("floor", "Largest whole number not above x; its derivative is 0.")
absolute = _unary("abs", "|x|; its derivative at 0 is 0.")
atan2 = _binary("atan2", "atan2(y, x): angle of the point (x, y) [rad], in [-pi, pi].")
hypot = _binary("hypot", "Length of the vector (x, y); its derivatives at (0, 0) are 0.")
absolute.__name__ = "absolute"


def _power(base: Any, exponent: Any) -> Node:
    """base to the exponent. Whole exponents multiply, and take any base; others take a base >= 0, and give NaN else."""
    if isinstance(exponent, Node) and exponent.op != "constant":
        return build("pow", lift(base, "pow"), lift(exponent, "pow"))
    n = lift(exponent, "pow").data
    x = lift(base, "pow")
    if n == 0.5:
        return build("sqrt", x)
    if n == int(n) if abs(n) <= 1024 else False:
        return _whole_power(x, int(n))
    return build("pow", x, constant(n))


def _whole_power(x: Node, n: int) -> Node:
    if n < 0:
        return build("div", constant(1.0), _whole_power(x, -n))
    if n == 0:
        return constant(1.0)
    if n == 1:
        return x
    half = _whole_power(x, n // 2)
    square = build("mul", half, half)
    return build("mul", square, x) if n % 2 else square


def _ceil(x: Any) -> Node:
    """Smallest whole number not below x; its derivative is 0."""
    return build("neg", build("floor", build("neg", lift(x, "ceil"))))


def _sign(x: Any) -> Node:
    """-1, 0 or 1, and NaN of NaN; its derivative is 0."""
    x = lift(x, "sign").value
    zero = constant(0.0)
    side = choose(compare("gt", x, zero), constant(1.0), choose(compare("lt", x, zero), constant(-1.0), x))
    return side.value


def _minimum(a: Any, b: Any) -> Node:
    """The smaller of two numbers, with its derivative; the first where they are equal or either is NaN."""
    a, b = lift(a, "minimum"), lift(b, "minimum")
    return choose(compare("lt", b, a), b, a)


def _maximum(a: Any, b: Any) -> Node:
    """The larger of two numbers, with its derivative; the first where they are equal or either is NaN."""
    a, b = lift(a, "maximum"), lift(b, "maximum")
    return choose(compare("gt", b, a), b, a)


def _clip(x: Any, low: Any, high: Any) -> Node:
    """x kept within [low, high]; beyond, the derivative is that of the bound."""
    return _minimum(_maximum(x, low), high)


for _function, _name in ((_power, "pow"), (_ceil, "ceil"), (_sign, "sign"), (_clip, "clip")):
    _function.__name__ = _name
_minimum.__name__, _maximum.__name__ = "minimum", "maximum"
pow = power = _elementwise(_power, 2)
ceil, sign = _elementwise(_ceil, 1), _elementwise(_sign, 1)
minimum, maximum = _elementwise(_minimum, 2), _elementwise(_maximum, 2)
clip = _elementwise(_clip, 3)


def where(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, else b: numbers, or arrays, element by element; tuples and lists likewise.

    Both are computed, and what is not chosen leaves no trace, NaN or infinite as it may be, in value or derivative.
    """
    if isinstance(a, (tuple, list)) or isinstance(b, (tuple, list)):
        if type(a) is not type(b) or len(a) != len(b):
            refuse(f"where: chooses between {_length(a)} and {_length(b)}: they must be alike")
        return type(a)(where(condition, x, y) for x, y in zip(a, b, strict=True))
    return _where(condition, a, b)


def _length(x: Any) -> str:
    return f"a {type(x).__name__} of {len(x)}" if hasattr(x, "__len__") else f"a {type(x).__name__}"


def _choose(condition: Any, a: Any, b: Any) -> Node:
    c = lift(condition, "where", TRUTH)
    kind = WHOLE if any(isinstance(x, Node) and x.kind == WHOLE for x in (a, b)) else NUMBER
    if kind == WHOLE:
        refuse("where: chooses between numbers: whole(where(condition, x, y)) for an index")
    return choose(c, lift(a, "where"), lift(b, "where"))


_choose.__name__ = "where"
_where = _elementwise(_choose, 3)


def whole(x: Any) -> Node:
    """The whole number of x, cut towards 0: an index. Take floor(x) or floor(x + 0.5) first. It has no derivative.

    What is NaN or beyond 4 million (2^22) is an index beyond any table, of which NaN is read.
    """
    if _has_axes(x):
        return np.frompyfunc(whole, 1, 1)(x)  # type: ignore[no-any-return]
    if isinstance(x, Node) and x.kind == WHOLE:
        return x
    x = lift(x, "whole").value
    if x.op == "constant":
        if not abs(x.data) <= g.LARGEST_INDEX:
            refuse(f"whole: {x.data} is beyond any index")
        return g.whole_constant(int(x.data))
    inside = compare("le", build("abs", x), constant(g.LARGEST_INDEX))
    return make("whole", (choose(inside, x, constant(-g.LARGEST_INDEX)),), None, WHOLE)


def number(i: Any) -> Node:
    """A whole number as a number."""
    if isinstance(i, Node) and i.kind == WHOLE:
        return g.as_number(i)
    return lift(i, "number")


# --- rules of one's own


def Dual(value: Any, partials: Mapping[int, Any]) -> Node:
    """A number with the partials that one says it has: {slot: number}, as `x.partials` gives them.

    What `value` and the partials depend on is forgotten: they are taken for the numbers that they are.
    """
    if not isinstance(partials, Mapping):
        refuse(f"Dual: partials are a dict {{slot: number}}, as x.partials; got {g.name_of(partials)}")
    for slot in partials:
        if not isinstance(slot, int) or isinstance(slot, bool) or slot < 0:
            refuse(f"Dual: the keys of partials are slots, as x.partials gives them; got {g.name_of(slot)}")
    items = [(k, lift(e, "Dual: a partial").value) for k, e in sorted(partials.items())]
    items = [(k, e) for k, e in items if g.value_of_constant(e) != 0.0]
    if not items:
        return lift(value, "Dual").value
    return make("rule", (lift(value, "Dual").value, *(e for _, e in items)), tuple(k for k, _ in items))


def _with_slopes(value: Node, pairs: list[tuple[Node, Node]]) -> Node:
    """A number whose derivative is the sum of slope * d argument over (argument, slope)."""
    flat = [x for argument, slope in pairs for x in (argument, slope.value) if g.value_of_constant(slope) != 0.0]
    return make("slopes", (value.value, *flat)) if flat else value.value


def with_slopes(function: Callable[..., Any], rule: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with the derivative that `rule` says instead of its own.

        soft_step = with_slopes(lambda x: where(x > 0.0, 1.0, 0.0), lambda x, y, dy: exp(-x * x))

    `rule(*arguments, value, slopes)` gets the arguments of a call, the function's value there and its slopes by
    automatic differentiation: one, or a tuple of one for each argument. It returns the slopes to use, likewise. What it
    is given has no derivatives of its own. It works in forward and in reverse alike.
    """

    def ruled(*arguments: Any) -> Node:
        from .derivative import gradient

        x = [lift(a, "with_slopes: an argument") for a in arguments]
        probes = [probe(a) for a in x]
        y = lift(function(*probes), "with_slopes: the function's value")
        found = gradient(y, probes)
        own = tuple(e.value for e in found)
        given = rule(*(a.value for a in x), y.value, own if len(x) != 1 else own[0])
        slopes = tuple(given) if isinstance(given, (tuple, list, np.ndarray)) else (given,)
        if len(slopes) != len(x):
            refuse(f"with_slopes: the rule returns {len(slopes)} slopes, the function takes {len(x)} arguments")
        pairs = [(a, lift(s, "with_slopes: a slope")) for a, s in zip(x, slopes, strict=True)]
        # What the function depends on beside its arguments keeps the derivative that it has: probes have none.
        return _with_slopes(y, [*pairs, (y, constant(1.0))])

    return ruled


def implicit_root(root: Any, function: Callable[[Node], Any]) -> Node:
    """The root of function(x) = 0 near `root`, found by whatever means, with its derivative: -dF/dtheta / (dF/dx).

    dF/dx is made here, of the function that is given; it must not be 0 at the root.
    """
    from .derivative import gradient

    root = lift(root, "implicit_root").value
    x = probe(root)
    residual = lift(function(x), "implicit_root: the function's value")
    (slope,) = gradient(residual, [x])
    if g.value_of_constant(slope) == 0.0:
        refuse("implicit_root: the function does not depend on its argument")
    return _with_slopes(root, [(residual, build("div", constant(-1.0), slope.value))])


def probe(x: Node) -> Node:
    """The same number, to differentiate by."""
    return make("probe", (x.value,), len(Graph.current().nodes))


# --- loops


def loop(
    count: int,
    step: Callable[..., Any],
    *start: Any,
    until: Callable[..., Any] | None = None,
    derivative: str = "none",
) -> Any:
    """`step(*state)` for `count` times, or until `until(*state)` holds: its last state, one number or a list of them.

    The step is traced once. An item for which `until` holds is left as it is.

    Args:
        count: the most turns there are, a whole number that is known while the model is traced.
        step: takes the numbers of the state, and returns as many.
        start: the numbers of the state before the first turn.
        until: takes the numbers of the state, and returns a condition.
        derivative: "none": what comes out has none; give it one by `implicit_root`, where it is a root, whatever the
            turns were. "carried": the partials are carried from turn to turn, as many numbers more as there are.
    """
    if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or not 0 <= count < 2**31:
        refuse(f"loop: the number of turns is a whole number, known now; got {g.name_of(count)}")
    if not start:
        refuse("loop: there is no state to start from: loop(count, step, x)")
    if derivative not in ("none", "carried"):
        refuse(f"loop: derivative is 'none' or 'carried', got {derivative!r}")
    state = [lift(x, "loop: the state") for x in start]
    if derivative == "none":
        out = _loop(int(count), step, [x.value for x in state], until)
    else:
        out = _carried(int(count), step, state, until)
    return out[0] if len(out) == 1 else out


def _loop(count: int, step: Any, start: list[Node], until: Any) -> list[Node]:
    graph = Graph.current()
    place = len(graph.loops)
    graph.loops.append(g.Loop([], [], None, count))
    carried = [make("carried", (), (place, k)) for k in range(len(start))]
    done = lift(until(*carried), "loop: until", TRUTH) if until else g.truth(False)
    after = _state(step(*carried), len(start))
    after = [choose(done, c, x.value) for c, x in zip(carried, after, strict=True)]
    if done.op == "truth" and done.data:
        return start
    end = None if done.op == "truth" else done
    graph.loops[place] = g.Loop(carried, after, end, count)
    args = (*start, *after, *(() if end is None else (end,)))
    return [make("loop", args, (place, k, len(start))) for k in range(len(start))]


def _state(after: Any, size: int) -> list[Node]:
    after = list(after) if isinstance(after, (tuple, list, np.ndarray)) else [after]
    if len(after) != size:
        refuse(f"loop: the step returns {len(after)} numbers, the state has {size}")
    return [lift(x, "loop: what the step returns") for x in after]


def _carried(count: int, step: Any, start: list[Node], until: Any) -> list[Node]:
    """The state and its partials, side by side."""
    size = len(start)
    slots = [set(x.partials) for x in start]
    for _ in range(size + 2):  # a turn hands what a number depends on to the others
        order = [(k, s) for k in range(size) for s in sorted(slots[k])]
        found: list[dict[int, Node]] = []

        def duals(numbers: tuple[Node, ...], order: list[tuple[int, int]] = order) -> list[Node]:
            partials: list[dict[int, Node]] = [{} for _ in range(size)]
            for (k, s), e in zip(order, numbers[size:], strict=True):
                partials[k][s] = e
            return [Dual(x, p) for x, p in zip(numbers[:size], partials, strict=True)]

        def turn(
            *numbers: Node,
            found: list[dict[int, Node]] = found,
            order: list[tuple[int, int]] = order,
            duals: Any = duals,
        ) -> list[Node]:
            after = _state(step(*duals(numbers)), size)
            found[:] = [x.partials for x in after]
            zero = constant(0.0)
            return [*after, *(found[k].get(s, zero) for k, s in order)]

        beyond = (lambda *numbers, duals=duals: until(*duals(numbers))) if until else None
        begin = [*start, *(start[k].partials.get(s, constant(0.0)) for k, s in order)]
        out = _loop(count, turn, [x.value for x in begin], beyond)
        more = [known | set(f) for known, f in zip(slots, found, strict=True)]
        if more == slots:
            return duals(tuple(out))
        slots = more
    refuse(
        "loop: a row of a FreeTable differs from turn to turn, so it cannot have columns of its own: read it outside "
        "of the loop, or take its .value"
    )


# --- NumPy's names

_NAMES: dict[str, Any] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
    "power": power,
    "float_power": power,
    "negative": operator.neg,
    "positive": operator.pos,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "equal": operator.eq,
    "not_equal": operator.ne,
    "bitwise_and": operator.and_,
    "bitwise_or": operator.or_,
    "bitwise_xor": operator.xor,
    "logical_and": operator.and_,
    "logical_or": operator.or_,
    "logical_xor": operator.xor,
    "invert": operator.invert,
    "logical_not": operator.invert,
    "absolute": absolute,
    "fabs": absolute,
    "sqrt": sqrt,
    "sin": sin,
    "cos": cos,
    "tan": tan,
    "arcsin": asin,
    "arccos": acos,
    "arctan": atan,
    "arctan2": atan2,
    "exp": exp,
    "expm1": expm1,
    "log": log,
    "log1p": log1p,
    "sinh": sinh,
    "cosh": cosh,
    "tanh": tanh,
    "floor": floor,
    "ceil": ceil,
    "sign": sign,
    "hypot": hypot,
    "minimum": minimum,
    "maximum": maximum,
    "clip": clip,
    "square": lambda x: x * x,
    "reciprocal": lambda x: 1.0 / x,
    "isnan": lambda x: x != x,
    "conjugate": lambda x: x,
}

#: What NumPy asks the elements of an array for.
METHODS: dict[str, Callable[..., Any]] = {
    name: function
    for name, function in _NAMES.items()
    if name not in ("add", "conjugate", "positive") and not name.startswith(("less", "greater", "equal", "not_equal"))
}


def apply_ufunc(ufunc: Any, method: str, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """`ufunc(*inputs)` for inputs of which one is a number of the model."""
    function = _NAMES.get(ufunc.__name__)
    arrays = [x.ndim for x in inputs if _has_axes(x)]
    if method == "__call__" and not options and function is not None:
        plain = [x.item() if isinstance(x, (np.ndarray, np.generic)) and not _has_axes(x) else x for x in inputs]
        if not arrays:
            return function(*plain)
        if ufunc.__name__ in _OPERATORS:
            return np.frompyfunc(function, len(plain), 1)(*(_boxed(x) if isinstance(x, Node) else x for x in plain))
        return function(*plain)
    if function is None and ufunc.__name__ != "matmul":
        refuse(f"np.{ufunc.__name__} is no function that a model can take; there are {', '.join(sorted(_NAMES))}")
    if options:
        refuse(f"np.{ufunc.__name__} of a number takes no {', '.join(options)}")
    if ufunc.__name__ == "matmul":
        refuse("@: takes vectors and matrices, arrays of numbers; a number of the model is no array: write *")
    refuse(f"np.{ufunc.__name__}.{method} of a number: write it with the operators, or with arrays of numbers")


_OPERATORS = {name for name, f in _NAMES.items() if getattr(f, "__module__", "") in ("_operator", "operator")} | {
    "square",
    "reciprocal",
    "isnan",
    "conjugate",
}
