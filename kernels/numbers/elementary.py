"""Elementary functions of a traced number, for GPUs: from arithmetic alone, accurate to a unit or two of float32.

Vulkan promises little of its own: sin and cos to 2^-11, atan2 to 4096 units. CUDA's are good, but slow or fast as the
compiler pleases. These are Cephes' approximations (Moshier 1992, single precision), the same on every device. `sin` and
`cos` are for angles of up to a few thousand turns, and take their reduction as it is written, as GPUs do
(kernels/aot/ptx.py, spirv.py).

On the CPU exp and log of packets are these, too: eight lanes take about as long as one call of libm.
"""

import math

import taichi as ti

from kernels.numbers.traced import Traced, horner

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
INFINITY, NAN = float("inf"), float("nan")


def _whole(x):
    return x.unary("floor")


def _quadrant(x, ahead):
    """sin of x + ahead quarter turns."""
    turns = _whole(x * (2.0 / math.pi) + 0.5)
    for part in QUARTER_TURN:
        x = x - turns * part
    turns = turns + float(ahead)
    square = x * x
    sine = x + x * (square * horner(square, SIN))
    cosine = (1.0 - 0.5 * square) + square * square * horner(square, COS)
    odd = turns - 2.0 * _whole(turns * 0.5) > 0.5
    below = turns - 4.0 * _whole(turns * 0.25) > 1.5
    result = Traced.where(odd, cosine, sine)
    return Traced.where(below, 0.0 - result, result)


def sin(x):
    return _quadrant(x, 0)


def cos(x):
    return _quadrant(x, 1)


def tan(x):
    return sin(x) / cos(x)


def atan2(y, x):
    across, up = abs(x), abs(y)
    steep = up > across
    longer, shorter = Traced.where(steep, up, across), Traced.where(steep, across, up)
    t = shorter / Traced.where(longer > 0.0, longer, 1.0)
    high = t > math.sqrt(2.0) - 1.0
    t = Traced.where(high, (t - 1.0) / (t + 1.0), t)
    square = t * t
    angle = Traced.where(high, math.pi / 4, 0.0) + (t + t * (square * horner(square, ATAN)))
    angle = Traced.where(steep, math.pi / 2 - angle, angle)
    angle = Traced.where(x < 0.0, math.pi - angle, angle)
    return Traced.where(y < 0.0, 0.0 - angle, angle)


def atan(x):
    return atan2(x, x.constant(1.0))


def asin(x):
    return atan2(x, ((1.0 - x) * (1.0 + x)).unary("sqrt"))


def acos(x):
    return atan2(((1.0 - x) * (1.0 + x)).unary("sqrt"), x)


def _power_of_two(k):
    return k.lane_by_lane(lambda k: ti.bit_cast((ti.cast(k, ti.i32) + 127) << 23, ti.f32))


def exp(x):
    k = _whole(x * (1.0 / math.log(2.0)) + 0.5)
    rest = x
    for part in LOG_2:
        rest = rest - k * part
    mantissa = rest * rest * horner(rest, EXP) + rest + 1.0
    half = _whole(0.5 * k)
    result = mantissa * _power_of_two(half) * _power_of_two(k - half)  # 2^k alone may be too large
    return Traced.where(x > LARGEST_EXPONENT, INFINITY, Traced.where(x < SMALLEST_EXPONENT, 0.0, result))


def log(x):
    tiny = x < SMALLEST_NORMAL
    scaled = Traced.where(tiny, x * 2.0**23, x)
    exponent = scaled.lane_by_lane(lambda x: ti.cast((ti.bit_cast(x, ti.i32) >> 23) - 126, ti.f32))
    k = exponent - Traced.where(tiny, 23.0, 0.0)
    m = scaled.lane_by_lane(
        lambda x: ti.bit_cast((ti.bit_cast(x, ti.i32) & 0x7FFFFF) | 0x3F000000, ti.f32)
    )  # in [1/2, 1)
    low = m < math.sqrt(0.5)
    k = k - Traced.where(low, 1.0, 0.0)
    m = Traced.where(low, m + m, m) - 1.0
    square = m * m
    tail = m * square * horner(m, LOG) + k * LOG_2[1] - 0.5 * square
    result = (m + tail) + k * LOG_2[0]
    result = Traced.where(x > 0.0, result, Traced.where(x >= 0.0, -INFINITY, NAN))
    return Traced.where(x * 0.5 < x, result, Traced.where(x > 0.0, x, result))  # infinity is its own


def tanh(x):
    e = (2.0 * x).unary("expm1")
    return Traced.where(x > 10.0, 1.0, e / (e + 2.0))


def power(base, exponent):
    return exp(exponent * log(base))


UNARY = {f.__name__: f for f in (sin, cos, tan, atan, asin, acos, exp, log, tanh)}
BINARY = {f.__name__: f for f in (atan2, power)}
