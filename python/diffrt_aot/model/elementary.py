"""Elementary functions of a graph as arithmetic, after differentiation: what a machine has is left.

So packets of any width have them, sin and cos of one angle share their reduction, and every device computes the same.
The approximations are Cephes' (Moshier 1992, single precision), for float32, within a few units of its last place:

    sin, cos    |x| <= 10,000 [rad], and there within 1.2e-7 of the truth; farther off errors grow with x, and from
                100,000 on the results mean nothing
    tan         likewise, but near its poles, where it is the quotient of those
    exp         x >= -87; below, where the result is less than 2e-38, it is 0
    pow         units grow with |y log x|: 2 where that is 1, some 60 where the result is 1e30
    all others  everywhere

Infinite and NaN arguments give what NumPy gives, but hypot(inf, nan), pow(1, inf) and pow(1, nan) are NaN. The sign
of a zero is not kept: atan2(-0.0, -1.0) is pi.

A division a / b is a * (1 / b) where 1 / b is the same for all items, or needed more than once; but not where the
quotient is compared or cut to a whole number, for there a unit of its last place can decide.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .graph import EVALUATE_TRUTH, Node, ancestors, build, choose, compare, constant, make, value_of_constant, varying

if TYPE_CHECKING:
    from .trace import Program

# pi / 2 and log 2 in parts: the first ones have few digits, so that whole numbers times them are exact.
QUARTER_TURN = (1.5703125, 4.837512969970703125e-4, 7.549789948768648e-8)
LOG_2 = (0.693359375, -2.12194440e-4)
# Coefficients of x ** 0, 1, 2, ...
SIN = (-1.6666654611e-1, 8.3321608736e-3, -1.9515295891e-4)  # of x^2, after x
COS = (4.166664568298827e-2, -1.388731625493765e-3, 2.443315711809948e-5)  # of x^2, after 1 - x^2 / 2
ASIN = (1.6666752422e-1, 7.4953002686e-2, 4.5470025998e-2, 2.4181311049e-2, 4.2163199048e-2)  # of x^2, after x
ATAN = (-3.33329491539e-1, 1.99777106478e-1, -1.38776856032e-1, 8.05374449538e-2)  # of x^2, after x
EXP = (0.50000001201, 0.16666665459, 4.1665795894e-2, 8.3334519073e-3, 1.3981999507e-3, 1.9875691500e-4)
LOG = (
    *(3.3333331174e-1, -2.4999993993e-1, 2.0000714765e-1, -1.6668057665e-1, 1.4249322787e-1),
    *(-1.2420140846e-1, 1.1676998740e-1, -1.1514610310e-1, 7.0376836292e-2),
)
SINH = (1.66667160211e-1, 8.33028376239e-3, 2.03721912945e-4)  # of x^2, after x
TANH = (-3.33332819422e-1, 1.33314422036e-1, -5.37397155531e-2, 2.06390887954e-2, -5.70498872745e-3)  # likewise
LARGEST_EXPONENT, SMALLEST_EXPONENT = 88.72283, -86.98
SMALLEST_NORMAL = 1.1754944e-38
BEYOND_QUARTER = 0.4142135623730950  # tan(pi / 8)


def _sqrt(x: Node) -> Node:
    return build("sqrt", x)


def _floor(x: Node) -> Node:
    return build("floor", x)


def _abs(x: Node) -> Node:
    return build("abs", x)


def _is(x: Node, op: str, y: float | Node) -> Node:
    return compare(op, x, y if isinstance(y, Node) else constant(y))


def _pick(condition: Node, a: float | Node, b: float | Node) -> Node:
    return choose(condition, *(x if isinstance(x, Node) else constant(x) for x in (a, b)))


def _signed_as(x: Node, size: Node) -> Node:
    return _pick(_is(x, "lt", 0.0), -size, size)


def _horner(x: Node, coefficients: Sequence[float]) -> Node:
    *rest, last = coefficients
    result = constant(last)
    for c in reversed(rest):
        result = result * x + c
    return result


def _odd_series(x: Node, coefficients: Sequence[float]) -> Node:
    """x + x^3 (c0 + c1 x^2 + ...)."""
    square = x * x
    series: Node = x + x * (square * _horner(square, coefficients))
    return series


def _quadrant(x: Node) -> tuple[Node, Node, Node, Node]:
    """Sine and cosine of what is left of x beside quarter turns, whether those are odd, and their quarter part."""
    turns = _floor(x * (2.0 / math.pi) + 0.5)
    for part in QUARTER_TURN:
        x = x - turns * part
    square = x * x
    cosine = (1.0 - 0.5 * square) + square * square * _horner(square, COS)
    quarter = turns * 0.25
    quarter = quarter - _floor(quarter)  # 0, 1/4, 1/2 or 3/4
    return _odd_series(x, SIN), cosine, _is(_abs(quarter - 0.5), "eq", 0.25), quarter


def sin(x: Node) -> Node:
    sine, cosine, odd, quarter = _quadrant(x)
    size = choose(odd, cosine, sine)
    return _pick(_is(quarter, "gt", 0.375), -size, size)


def cos(x: Node) -> Node:
    sine, cosine, odd, quarter = _quadrant(x)
    size = choose(odd, sine, cosine)
    return _pick(_is(_abs(quarter - 0.375), "lt", 0.25), -size, size)


def tan(x: Node) -> Node:
    sine, cosine, odd, _ = _quadrant(x)
    return build("div", choose(odd, -cosine, sine), choose(odd, sine, cosine))


def atan(x: Node) -> Node:
    size = _abs(x)
    high, middle = _is(size, "gt", 1.0 / BEYOND_QUARTER), _is(size, "gt", BEYOND_QUARTER)
    above = _pick(high, -1.0, _pick(middle, size - 1.0, size))
    below = _pick(high, size, _pick(middle, size + 1.0, 1.0))
    begin = _pick(high, math.pi / 2, _pick(middle, math.pi / 4, 0.0))
    return _signed_as(x, begin + _odd_series(build("div", above, below), ATAN))


def atan2(y: Node, x: Node) -> Node:
    across, up = _abs(x), _abs(y)
    steep = _is(up, "gt", across)
    longer, shorter = choose(steep, up, across), choose(steep, across, up)
    high = _is(shorter, "gt", longer * BEYOND_QUARTER) | _is(shorter, "eq", math.inf)
    above = _pick(high, _pick(_is(shorter, "eq", longer), 0.0, shorter - longer), shorter)
    below = _pick(_is(longer, "eq", 0.0), 1.0, _pick(high, shorter + longer, longer))
    angle = _pick(high, math.pi / 4, 0.0) + _odd_series(build("div", above, below), ATAN)
    angle = _pick(steep, math.pi / 2 - angle, angle)
    angle = _pick(_is(x, "lt", 0.0), math.pi - angle, angle)
    return _signed_as(y, angle)


def _arc_sine(size: Node) -> tuple[Node, Node, Node]:
    """Whether size > 1/2; then asin of sqrt((1 - size) / 2), else of size; and twice that."""
    high = _is(size, "gt", 0.5)
    arc = _odd_series(choose(high, _sqrt((1.0 - size) * 0.5), size), ASIN)
    return high, arc, arc + arc


def asin(x: Node) -> Node:
    high, arc, twice = _arc_sine(_abs(x))
    return _signed_as(x, _pick(high, math.pi / 2 - twice, arc))


def acos(x: Node) -> Node:
    high, arc, twice = _arc_sine(_abs(x))
    left = _is(x, "lt", 0.0)
    return _pick(high, _pick(left, math.pi - twice, twice), _pick(left, math.pi / 2 + arc, math.pi / 2 - arc))


def exp(x: Node) -> Node:
    k = _floor(x * (1.0 / math.log(2.0)) + 0.5)
    rest = x
    for part in LOG_2:
        rest = rest - k * part
    mantissa = rest * rest * _horner(rest, EXP) + rest + 1.0
    # 2^k alone can be too large.
    result = (mantissa + mantissa) * make("power_of_two", (k - 1.0,))
    return _pick(_is(x, "gt", LARGEST_EXPONENT), math.inf, _pick(_is(x, "lt", SMALLEST_EXPONENT), 0.0, result))


def log(x: Node) -> Node:
    tiny = _is(x, "lt", SMALLEST_NORMAL)
    scaled = _pick(tiny, x * 2.0**23, x)
    k, m = make("exponent", (scaled,)), make("mantissa", (scaled,))
    low = _is(m, "lt", math.sqrt(0.5))
    k = k - _pick(tiny, 23.0, 0.0) - _pick(low, 1.0, 0.0)
    m = _pick(low, m + m, m) - 1.0
    square = m * m
    tail = m * square * _horner(m, LOG) + k * LOG_2[1] - 0.5 * square
    result = (m + tail) + k * LOG_2[0]
    result = _pick(_is(x, "lt", math.inf), result, x)
    return _pick(_is(x, "gt", 0.0), result, _pick(_is(x, "eq", 0.0), -math.inf, math.nan))


def expm1(x: Node) -> Node:
    series = x * _horner(x, [1.0 / math.factorial(n) for n in range(1, 9)])
    return _pick(_is(_abs(x), "lt", 0.5), series, exp(x) - 1.0)


def log1p(x: Node) -> Node:
    t = build("div", x, x + 2.0)
    series = 2.0 * (t * _horner(t * t, [1.0 / n for n in range(1, 13, 2)]))
    return _pick(_is(_abs(x), "lt", 0.25), series, log(1.0 + x))


def _half_exponential(size: Node) -> tuple[Node, Node]:
    """exp(size) / 2, which is finite where exp(size) may not be, and exp(-size) / 2."""
    root = exp(0.5 * size)
    half = (0.5 * root) * root
    return half, build("div", constant(0.25), half)


def sinh(x: Node) -> Node:
    half, inverse = _half_exponential(_abs(x))
    return _pick(_is(_abs(x), "lt", 1.0), _odd_series(x, SINH), _signed_as(x, half - inverse))


def cosh(x: Node) -> Node:
    half, inverse = _half_exponential(_abs(x))
    total: Node = half + inverse
    return total


def tanh(x: Node) -> Node:
    far = 1.0 - build("div", constant(2.0), exp(2.0 * _abs(x)) + 1.0)
    return _pick(_is(_abs(x), "lt", 0.625), _odd_series(x, TANH), _signed_as(x, far))


def hypot(x: Node, y: Node) -> Node:
    """Of numbers whose squares would be too large or too small, scaled."""
    x, y = _abs(x), _abs(y)
    longer = _pick(_is(y, "gt", x), y, x)
    large, small = _is(longer, "gt", 2.0**60), _is(longer, "lt", 2.0**-40)
    scale = _pick(large, 2.0**-70, _pick(small, 2.0**80, 1.0))
    x, y = x * scale, y * scale
    length: Node = _sqrt(x * x + y * y) * _pick(large, 2.0**70, _pick(small, 2.0**-80, 1.0))
    return length


def pow(x: Node, y: Node) -> Node:
    return _pick(_is(y, "eq", 0.0), 1.0, exp(y * log(x)))


EXPANSIONS: dict[str, Callable[..., Node]] = {
    f.__name__: f
    for f in (sin, cos, tan, asin, acos, atan, atan2, exp, expm1, log, log1p, sinh, cosh, tanh, hypot, pow)
}


def expand(program: Program) -> tuple[list[Node], list[dict[int, Node]], list[Node]]:
    """(outputs, rows, indices of blocks), of operations that machines have."""
    indices = [b.index for b in program.blocks]
    roots = [*program.outputs, *(e for row in program.rows for e in row.values()), *indices]
    with program.graph:
        new = _replaced(program, roots, _elementary)
        roots = [new[r.id] for r in roots]
        new |= _replaced(program, roots, _divisions(roots))
    result = iter([new[r.id] for r in roots])
    outputs = [next(result) for _ in program.outputs]
    rows = [{k: next(result) for k in row} for row in program.rows]
    return outputs, rows, list(result)


def _replaced(
    program: Program, roots: Sequence[Node], replace: Callable[[Node, tuple[Node, ...]], Node | None]
) -> dict[int, Node]:
    """Of each node: what stands for it, `replace(node, new arguments)`, or the same operation if that is None."""
    graph = program.graph
    new: dict[int, Node] = {}
    for n in ancestors(roots):
        args = tuple(new[a.id] for a in n.args)
        with graph.at_line_of(n):
            other = replace(n, args)
        if other is None:
            same = all(a is b for a, b in zip(args, n.args, strict=True))
            other = n if same else graph.make(n.op, args, n.data, n.kind)
        new[n.id] = other
    return new


def _elementary(n: Node, args: tuple[Node, ...]) -> Node | None:
    if n.op in EXPANSIONS:
        return EXPANSIONS[n.op](*args)
    return args[0] if n.op in ("stop", "probe", "rule", "slopes") else None


def _divisions(roots: Sequence[Node]) -> Callable[[Node, tuple[Node, ...]], Node | None]:
    order = ancestors(roots)
    items = varying(order)
    divisions = [n for n in order if n.op == "div"]
    uses = Counter(n.args[1].id for n in divisions)
    exact = {a.id for n in order if n.op == "floor" or n.op in EVALUATE_TRUTH for a in n.args}

    def replace(n: Node, args: tuple[Node, ...]) -> Node | None:
        if n.op != "div" or n.id in exact or value_of_constant(args[0]) is not None:
            return None
        by = value_of_constant(args[1])
        if by is not None and not 1e-37 < abs(by) < 1e37:
            return None
        if uses[n.args[1].id] < 2 and n.args[1].id in items:
            return None
        return build("mul", args[0], build("div", constant(1.0), args[1]))

    return replace
