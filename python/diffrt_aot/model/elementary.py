"""Elementary functions of a graph as arithmetic, after differentiation: what a machine has is left.

So packets of any width have them, sin and cos of one angle share their reduction, and every device computes the same.
They are Cephes' approximations (Moshier 1992, single precision), as in kernels/numbers/elementary.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .graph import Node, ancestors, build, choose, compare, constant, make

if TYPE_CHECKING:
    from .trace import Program

# pi / 2 and log 2 in parts: the first ones have few digits, so that whole numbers times them are exact.
QUARTER_TURN = (1.5703125, 4.837512969970703125e-4, 7.549789948768648e-8)
LOG_2 = (0.693359375, -2.12194440e-4)
# Coefficients of x ** 0, 1, 2, ...
SIN = (-1.6666654611e-1, 8.3321608736e-3, -1.9515295891e-4)  # of x^2, after x
COS = (4.166664568298827e-2, -1.388731625493765e-3, 2.443315711809948e-5)  # of x^2, after 1 - x^2 / 2
ATAN = (-3.33329491539e-1, 1.99777106478e-1, -1.38776856032e-1, 8.05374449538e-2)  # of x^2, after x
EXP = (0.50000001201, 0.16666665459, 4.1665795894e-2, 8.3334519073e-3, 1.3981999507e-3, 1.9875691500e-4)
LOG = (
    *(3.3333331174e-1, -2.4999993993e-1, 2.0000714765e-1, -1.6668057665e-1, 1.4249322787e-1),
    *(-1.2420140846e-1, 1.1676998740e-1, -1.1514610310e-1, 7.0376836292e-2),
)
LARGEST_EXPONENT, SMALLEST_EXPONENT = 88.72283, -87.33654
SMALLEST_NORMAL = 1.1754944e-38


def _sqrt(x: Node) -> Node:
    return build("sqrt", x)


def _floor(x: Node) -> Node:
    return build("floor", x)


def _horner(x: Node, coefficients: Sequence[float]) -> Node:
    *rest, last = coefficients
    result = constant(last)
    for c in reversed(rest):
        result = result * x + c
    return result


def _quadrant(x: Node, ahead: int) -> Node:
    """sin of x + ahead quarter turns."""
    turns = _floor(x * (2.0 / math.pi) + 0.5)
    for part in QUARTER_TURN:
        x = x - turns * part
    square = x * x
    sine = x + x * (square * _horner(square, SIN))
    cosine = (1.0 - 0.5 * square) + square * square * _horner(square, COS)
    turns = turns + float(ahead)
    odd = compare("gt", turns - 2.0 * _floor(turns * 0.5), constant(0.5))
    below = compare("gt", turns - 4.0 * _floor(turns * 0.25), constant(1.5))
    result = choose(odd, cosine, sine)
    return choose(below, -result, result)


def sin(x: Node) -> Node:
    return _quadrant(x, 0)


def cos(x: Node) -> Node:
    return _quadrant(x, 1)


def tan(x: Node) -> Node:
    return sin(x) / cos(x)


def atan2(y: Node, x: Node) -> Node:
    across, up, zero = abs(x), abs(y), constant(0.0)
    steep = compare("gt", up, across)
    longer, shorter = choose(steep, up, across), choose(steep, across, up)
    t = shorter / choose(compare("gt", longer, zero), longer, constant(1.0))
    t = choose(compare("eq", shorter, constant(math.inf)), constant(1.0), t)
    high = compare("gt", t, constant(math.sqrt(2.0) - 1.0))
    t = choose(high, (t - 1.0) / (t + 1.0), t)
    square = t * t
    angle = choose(high, constant(math.pi / 4), zero) + (t + t * (square * _horner(square, ATAN)))
    angle = choose(steep, math.pi / 2 - angle, angle)
    angle = choose(compare("lt", x, zero), math.pi - angle, angle)
    return choose(compare("lt", y, zero), -angle, angle)


def atan(x: Node) -> Node:
    return atan2(x, constant(1.0))


def _cosine_of_sine(x: Node) -> Node:
    return _sqrt((1.0 - x) * (1.0 + x))


def asin(x: Node) -> Node:
    return atan2(x, _cosine_of_sine(x))


def acos(x: Node) -> Node:
    return atan2(_cosine_of_sine(x), x)


def exp(x: Node) -> Node:
    k = _floor(x * (1.0 / math.log(2.0)) + 0.5)
    rest = x
    for part in LOG_2:
        rest = rest - k * part
    mantissa = rest * rest * _horner(rest, EXP) + rest + 1.0
    half = _floor(0.5 * k)
    result = mantissa * make("power_of_two", (half,)) * make("power_of_two", (k - half,))
    result = choose(compare("lt", x, constant(SMALLEST_EXPONENT)), constant(0.0), result)
    return choose(compare("gt", x, constant(LARGEST_EXPONENT)), constant(math.inf), result)


def log(x: Node) -> Node:
    zero = constant(0.0)
    tiny = compare("lt", x, constant(SMALLEST_NORMAL))
    scaled = choose(tiny, x * 2.0**23, x)
    k, m = make("exponent", (scaled,)), make("mantissa", (scaled,))
    low = compare("lt", m, constant(math.sqrt(0.5)))
    k = k - choose(tiny, constant(23.0), zero) - choose(low, constant(1.0), zero)
    m = choose(low, m + m, m) - 1.0
    square = m * m
    tail = m * square * _horner(m, LOG) + k * LOG_2[1] - 0.5 * square
    result = (m + tail) + k * LOG_2[0]
    result = choose(compare("lt", x, constant(math.inf)), result, x)
    return choose(
        compare("gt", x, zero), result, choose(compare("eq", x, zero), constant(-math.inf), constant(math.nan))
    )


def _small(x: Node, limit: float, near: Node, far: Node) -> Node:
    return choose(compare("lt", abs(x), constant(limit)), near, far)


def expm1(x: Node) -> Node:
    series = x * _horner(x, [1.0 / math.factorial(n) for n in range(1, 9)])
    return _small(x, 0.5, series, exp(x) - 1.0)


def log1p(x: Node) -> Node:
    t = x / (x + 2.0)
    series = 2.0 * (t * _horner(t * t, [1.0 / n for n in range(1, 13, 2)]))
    return _small(x, 0.25, series, log(1.0 + x))


def sinh(x: Node) -> Node:
    series = x * _horner(x * x, [1.0 / math.factorial(n) for n in range(1, 11, 2)])
    half = exp(abs(x) - math.log(2.0))
    far = half - 0.25 / half
    return _small(x, 1.0, series, choose(compare("lt", x, constant(0.0)), -far, far))


def cosh(x: Node) -> Node:
    half = exp(abs(x) - math.log(2.0))
    return half + 0.25 / half


def tanh(x: Node) -> Node:
    e = expm1(2.0 * abs(x))
    result = choose(compare("gt", abs(x), constant(10.0)), constant(1.0), e / (e + 2.0))
    return choose(compare("lt", x, constant(0.0)), -result, result)


def hypot(x: Node, y: Node) -> Node:
    return _sqrt(x * x + y * y)


def pow(x: Node, y: Node) -> Node:
    result = exp(y * log(x))
    return choose(compare("eq", y, constant(0.0)), constant(1.0), result)


EXPANSIONS: dict[str, Callable[..., Node]] = {
    f.__name__: f
    for f in (sin, cos, tan, asin, acos, atan, atan2, exp, expm1, log, log1p, sinh, cosh, tanh, hypot, pow)
}


def expand(program: Program) -> tuple[list[Node], list[dict[int, Node]], list[Node]]:
    """(outputs, rows, indices of blocks), of operations that machines have."""
    graph = program.graph
    new: dict[int, Node] = {}
    indices = [b.index for b in program.blocks]
    with graph:
        for n in ancestors([*program.outputs, *(e for row in program.rows for e in row.values()), *indices]):
            with graph.at_line_of(n):
                new[n.id] = _expanded(n, [new[a.id] for a in n.args])
    rows = [{k: new[e.id] for k, e in row.items()} for row in program.rows]
    return [new[o.id] for o in program.outputs], rows, [new[i.id] for i in indices]


def _expanded(n: Node, args: list[Node]) -> Node:
    if n.op in EXPANSIONS:
        return EXPANSIONS[n.op](*args)
    if n.op in ("stop", "probe", "rule", "slopes"):
        return args[0]
    if all(a is b for a, b in zip(args, n.args, strict=True)):
        return n
    return make(n.op, args, n.data, n.kind)
