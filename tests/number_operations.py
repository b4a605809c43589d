"""The operations of kernels.numbers, in one table: what each is, where it is tried, and NumPy's own formula for it.

The same table is run on floats, on NumPy arrays, on duals of both (test_numbers.py, test_linear.py), and inside
compiled kernels, on packets and scalars (compiled.py, test_numbers_compiled.py). It imports neither Taichi nor
pytest: the process that compiles reads it, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from kernels.geometry.se3 import exp_se3
from kernels.geometry.sphere import differentiate_sphere, inverse_depth_sphere
from kernels.geometry.triangle import differentiate_triangle
from kernels.losses import LOSSES
from kernels.numbers import (
    Mat3,
    Vec3,
    absolute,
    acos,
    asin,
    atan,
    atan2,
    ceil,
    clip,
    cos,
    cosh,
    exp,
    expm1,
    floor,
    hypot,
    implicit_root,
    log,
    log1p,
    maximum,
    minimum,
    polynomial,
    power,
    rarely,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    tan,
    tanh,
    value_of,
    where,
)

#: Inputs per operation: a multiple of every number of lanes.
COUNT = 48


@dataclass(frozen=True)
class Operation:
    """A function of numbers, with the domain of each argument and a formula in plain NumPy to compare with.

    `function` and `oracle` return a number, or a tuple or vector of numbers. With `complex_step` the oracle takes
    complex arrays, and its derivative is exact; otherwise central differences are taken. `accurate_near_0`: the
    (first) value has a small relative error, also where it is small itself; then it is tried there, too.
    """

    name: str
    function: Callable
    oracle: Callable
    domains: tuple[tuple[float, float], ...]
    complex_step: bool = True
    accurate_near_0: bool = False

    def inputs(self) -> list[np.ndarray]:
        """COUNT values per argument, all of them float32 numbers, the same in every process."""
        generator = np.random.default_rng([ord(letter) for letter in self.name])
        inputs = np.array([generator.uniform(low, high, COUNT) for low, high in self.domains])
        if self.accurate_near_0:
            inputs[:, 1::2] *= 10.0 ** generator.uniform(-9.0, 0.0, COUNT // 2)
        return list(inputs.astype(np.float32).astype(np.float64))

    @cached_property
    def constants(self) -> list[float]:
        """One ordinary float per argument, inside its domain."""
        return [float(np.float32(low + 0.625 * (high - low))) for low, high in self.domains]


def outputs(result) -> tuple:
    """What an operation returned, as a flat tuple of numbers."""
    if isinstance(result, (tuple, Vec3, Mat3)):
        return tuple(number for part in result for number in outputs(part))
    return (result,)


def unary(name, function, oracle, low=-3.0, high=3.0, complex_step=True, accurate_near_0=False):
    return Operation(name, function, oracle, ((low, high),), complex_step, accurate_near_0)


def binary(name, function, oracle, first=(-3.0, 3.0), second=(-3.0, 3.0), complex_step=True):
    return Operation(name, function, oracle, (first, second), complex_step)


def _step(x):
    return (np.real(x) > 0.5) * 1.0


UNARY = [
    unary("neg", lambda x: -x, lambda x: -x),
    unary("pos", lambda x: +x, lambda x: x),
    unary("abs", lambda x: abs(x), np.abs, complex_step=False),
    unary("absolute", absolute, np.abs, complex_step=False),
    unary("add float", lambda x: x + 1.5, lambda x: x + 1.5),
    unary("float add", lambda x: 1.5 + x, lambda x: 1.5 + x),
    unary("add int", lambda x: 2 + x + 3, lambda x: x + 5.0),
    unary("subtract int", lambda x: 2 - (x - 3), lambda x: 5.0 - x),
    unary("multiply by int", lambda x: 2 * x * 3, lambda x: 6.0 * x),
    unary("multiply by one", lambda x: 1 * x * 1.0, lambda x: x),
    unary("divide by int", lambda x: x / 4, lambda x: 0.25 * x),
    unary("int divided", lambda x: 4 / x, lambda x: 4.0 / x, 0.3, 3.0),
    unary("NumPy scalar", lambda x: np.float64(1.5) * x - np.float32(0.5), lambda x: 1.5 * x - 0.5),
    unary("NumPy scalar last", lambda x: x * np.float64(1.5) - np.int64(2), lambda x: 1.5 * x - 2.0),
    unary("to the 0", lambda x: x**0 + x, lambda x: 1.0 + x),
    unary("to the 1", lambda x: x**1, lambda x: x),
    unary("to the 2", lambda x: x**2, lambda x: x * x),
    unary("to the 3", lambda x: x**3, lambda x: x * x * x),
    unary("to the 7", lambda x: x ** np.int64(7), lambda x: x**7),
    unary("to the -1", lambda x: x**-1, lambda x: 1.0 / x, -3.0, -0.3),
    unary("to the -2", lambda x: x**-2, lambda x: 1.0 / (x * x), -3.0, -0.3),
    unary("to the 0.5", lambda x: x**0.5, np.sqrt, 0.1, 4.0),
    unary("to the -1.7", lambda x: x**-1.7, lambda x: np.exp(-1.7 * np.log(x)), 0.2, 4.0),
    unary("float to the", lambda x: 1.7**x, lambda x: np.exp(x * np.log(1.7))),
    unary("int to the", lambda x: 2**x, np.exp2, complex_step=False),
    unary("square", square, lambda x: x * x),
    unary("polynomial", lambda x: polynomial((1.5, -0.5, 0.25), x), lambda x: 1.5 - 0.5 * x + 0.25 * x * x),
    unary("sqrt", sqrt, np.sqrt, 0.01, 9.0),
    unary("exp", exp, np.exp, -20.0, 20.0),
    unary("expm1", expm1, np.expm1, -2.0, 2.0, accurate_near_0=True),
    unary("log", log, np.log, 1e-3, 20.0),
    unary("log1p", log1p, np.log1p, -0.9, 5.0, accurate_near_0=True),
    unary("sin", sin, np.sin, -3.0, 3.0, accurate_near_0=True),
    unary("cos", cos, np.cos, -7.0, 7.0),
    unary("tan", tan, np.tan, -1.4, 1.4, accurate_near_0=True),
    unary("asin", asin, np.arcsin, -0.95, 0.95, accurate_near_0=True),
    unary("acos", acos, np.arccos, -0.95, 0.95),
    unary("atan", atan, np.arctan, accurate_near_0=True),
    unary("sinh", sinh, np.sinh, -5.0, 5.0, accurate_near_0=True),
    unary("cosh", cosh, np.cosh, -5.0, 5.0),
    unary("tanh", tanh, np.tanh, -2.0, 2.0, accurate_near_0=True),
    unary("sign", sign, np.sign, complex_step=False),
    unary("floor", floor, np.floor, complex_step=False),
    unary("ceil", ceil, np.ceil, complex_step=False),
    unary("clip", lambda x: clip(x, -0.7, 1.1), lambda x: np.clip(x, -0.7, 1.1), complex_step=False),
    unary("minimum of float", lambda x: minimum(x, 0.5), lambda x: np.minimum(x, 0.5), complex_step=False),
    unary("maximum of float", lambda x: maximum(0.5, x), lambda x: np.maximum(x, 0.5), complex_step=False),
    unary("where", lambda x: where(x > 0.5, x * x, x), lambda x: np.where(_step(x), x * x, x)),
    unary("where else float", lambda x: where(x > 0.5, x, 2.0), lambda x: np.where(_step(x), x, 2.0)),
    unary("where float", lambda x: where(x > 0.5, 1, x), lambda x: np.where(_step(x), 1.0, x)),
    unary("where floats", lambda x: where(x > 0.5, 1.0, 2.0) * x, lambda x: np.where(_step(x), x, 2.0 * x)),
    unary("where, decided", lambda x: where(True, x, 1.0) + where(False, x, 1.0) * x, lambda x: 2.0 * x),
]

BINARY = [
    binary("add", lambda x, y: x + y, lambda x, y: x + y),
    binary("subtract", lambda x, y: x - y, lambda x, y: x - y),
    binary("multiply", lambda x, y: x * y, lambda x, y: x * y),
    binary("divide", lambda x, y: x / y, lambda x, y: x / y, second=(0.3, 3.0)),
    binary("pow", lambda x, y: x**y, lambda x, y: np.exp(y * np.log(x)), first=(0.2, 4.0)),
    binary("power", power, lambda x, y: np.exp(y * np.log(x)), first=(0.2, 4.0)),
    binary("atan2", atan2, np.arctan2, complex_step=False),
    binary("hypot", hypot, lambda x, y: np.sqrt(x * x + y * y)),
    binary("minimum", minimum, np.minimum, complex_step=False),
    binary("maximum", maximum, np.maximum, complex_step=False),
]


def _comparison(name, compare):
    """A comparison with a float, a float with it, and of two numbers; and what it chooses between."""

    def function(x, y):
        return where(compare(x, 0.5), x, y), where(compare(0.5, y), x, y), where(compare(x, y), x * y, x)

    def oracle(x, y):
        a, b = np.real(x), np.real(y)
        return np.where(compare(a, 0.5), x, y), np.where(compare(0.5, b), x, y), np.where(compare(a, b), x * y, x)

    # Steps of a half: many numbers are equal.
    return Operation(name, function, oracle, ((-1.0, 1.0), (-1.0, 1.0)))


class Halves(Operation):
    """An operation tried on multiples of one half, so that equal numbers occur."""

    def inputs(self):
        return [np.round(2.0 * x) / 2.0 for x in super().inputs()]


def _compare(name, compare):
    operation = _comparison(name, compare)
    return Halves(operation.name, operation.function, operation.oracle, operation.domains)


COMPARISONS = [
    _compare("<", lambda a, b: a < b),
    _compare("<=", lambda a, b: a <= b),
    _compare(">", lambda a, b: a > b),
    _compare(">=", lambda a, b: a >= b),
    _compare("==", lambda a, b: a == b),
    _compare("!=", lambda a, b: a != b),
    _compare("&", lambda a, b: (a > b) & (b < 0.5)),
    _compare("|", lambda a, b: (a > b) | (b < 0.5)),
    _compare("& True", lambda a, b: (a > b) & True & (True & (b < 0.5))),
    _compare("| False", lambda a, b: (a > b) | False | (False | (b < 0.5))),
]


def _rarely(x, y):
    """A branch on plain numbers that some packets take, and others do not."""
    a, b = floor(value_of(x)), floor(value_of(y))
    return tuple(number + x * y for number in rarely(a > 1.5, lambda: (a * b, b, 1.5), (b - a, 0.5, a)))


def _rarely_oracle(x, y):
    a, b = np.floor(np.real(x)), np.floor(np.real(y))
    choices = (a * b, b - a), (b, np.full_like(b, 0.5)), (np.full_like(a, 1.5), a)
    return tuple(np.where(a > 1.5, *choice) + x * y for choice in choices)


BINARY.append(binary("rarely", _rarely, _rarely_oracle))

# --- vectors: x, y, z are the arguments; NumPy's own linear algebra gives the answer


def _u(x, y, z):
    return Vec3(x, y * y, z - x)


def _v(x, y, z):
    return Vec3(z + 4.0, x * y, 1.5)


def _m(x, y, z):
    return Mat3((x + 4.0, y, 0.5), Vec3(z, y - 5.0, x * z), (1.0, x, z + 6.0))


def _n(x, y, z):
    return Mat3((y, 0.0, x), (z * y, x, 1.0), (2.0, z, y))


def _array(vector):
    """A Vec3 or Mat3 as an array [..., 3] or [..., 3, 3]."""
    if isinstance(vector, Mat3):
        return np.stack([_array(row) for row in vector], axis=-2)
    shape = np.broadcast_shapes(*(np.shape(c) for c in vector))
    return np.stack([np.broadcast_to(c, shape) for c in vector], axis=-1)


def _flat(array, count):
    """Arrays over the last `count` axes, one per entry."""
    return tuple(array[(..., *index)] for index in np.ndindex(array.shape[array.ndim - count :]))


def linear(name, function, oracle, makers, count, complex_step=True):
    """An operation on vectors and matrices that `makers` make of (x, y, z); `oracle` takes and gives arrays."""
    return Operation(
        name,
        lambda *xyz: function(*(make(*xyz) for make in makers)),
        lambda *xyz: _flat(np.asarray(oracle(*(_array(make(*xyz)) for make in makers))), count),
        ((-1.0, 1.0), (0.5, 2.0), (-2.0, 2.0)),
        complex_step,
    )


LINEAR = [
    linear("v + v", lambda a, b: a + b, lambda a, b: a + b, (_u, _v), 1),
    linear("v - v", lambda a, b: a - b, lambda a, b: a - b, (_u, _v), 1),
    linear("-v", lambda a: -a, lambda a: -a, (_u,), 1),
    linear("v * float", lambda a: a * 2.5, lambda a: a * 2.5, (_u,), 1),
    linear("int * v", lambda a: 2 * a, lambda a: 2.0 * a, (_u,), 1),
    linear("v * number", lambda a, b: a * b.x, lambda a, b: a * b[..., :1], (_u, _v), 1),
    linear("number * v", lambda a, b: b.x * a, lambda a, b: a * b[..., :1], (_u, _v), 1),
    linear("v / number", lambda a, b: a / b.x, lambda a, b: a / b[..., :1], (_u, _v), 1),
    linear("dot", lambda a, b: a.dot(b), lambda a, b: np.sum(a * b, axis=-1), (_u, _v), 0),
    linear("cross", lambda a, b: a.cross(b), np.cross, (_u, _v), 1),
    linear("norm", lambda a: a.norm(), lambda a: np.sqrt(np.sum(a * a, axis=-1)), (_v,), 0),
    linear(
        "normalized",
        lambda a: a.normalized(),
        lambda a: a / np.sqrt(np.sum(a * a, axis=-1, keepdims=True)),
        (_v,),
        1,
    ),
    linear("map", lambda a: a.map(exp), np.exp, (_u,), 1),
    linear(
        "where of vectors",
        lambda a, b: where(a.x > 0.0, a, b),
        lambda a, b: np.where(np.real(a[..., :1]) > 0.0, a, b),
        (_u, _v),
        1,
    ),
    linear("M + M", lambda a, b: a + b, lambda a, b: a + b, (_m, _n), 2),
    linear("M - M", lambda a, b: a - b, lambda a, b: a - b, (_m, _n), 2),
    linear("-M", lambda a: -a, lambda a: -a, (_m,), 2),
    linear("M * float", lambda a: a * 2.5, lambda a: a * 2.5, (_m,), 2),
    linear("number * M", lambda a, b: b.x * a, lambda a, b: a * b[..., :1, None], (_m, _u), 2),
    linear("M / number", lambda a, b: a / b.x, lambda a, b: a / b[..., :1, None], (_m, _v), 2),
    linear("M @ v", lambda a, b: a @ b, lambda a, b: np.einsum("...ij,...j", a, b), (_m, _u), 1),
    linear("M @ M", lambda a, b: a @ b, np.matmul, (_m, _n), 2),
    linear("transpose", lambda a: a.transpose(), lambda a: np.swapaxes(a, -1, -2), (_m,), 2),
    linear("determinant", lambda a: a.determinant(), np.linalg.det, (_m,), 0),
    linear("inverse", lambda a: a.inverse(), np.linalg.inv, (_m,), 2),
    linear("M.map", lambda a: a.map(square), np.square, (_m,), 2),
    linear(
        "where of matrices",
        lambda a, b: where(a.rows[0].y > 1.0, a, b),
        lambda a, b: np.where(np.real(a[..., :1, 1:2]) > 1.0, a, b),
        (_m, _n),
        2,
    ),
    linear("identity", lambda a: Mat3.identity() @ a, lambda a: a, (_u,), 1),
    linear("skew", lambda a, b: Mat3.skew(a) @ b, np.cross, (_u, _v), 1),
]


# --- models: functions of the other layers that are made of these operations


def _cube_root(x, y):
    """The root of t^3 = x y, known from elsewhere, with partials by the implicit function theorem."""
    a = value_of(x) * value_of(y)
    root = power(a, 1.0 / 3.0)
    return implicit_root(root, root * root * root - x * y, 3.0 * root * root)


def _sphere(x, y, z):
    direction, center = Vec3(0.05, -0.02, 1.0), Vec3(x, y, z + 8.0)
    radius = 2.0
    gap = value_of(center.dot(center) - radius * radius)
    inverse = inverse_depth_sphere(direction, center.map(value_of), radius, 1.0 / gap, 1.0)
    return differentiate_sphere(1.0 / inverse, direction, center, radius)


def _sphere_oracle(x, y, z):
    direction = np.array([0.05, -0.02, 1.0])
    center = np.stack(np.broadcast_arrays(x, y, z + 8.0), axis=-1)
    a, b = direction @ direction, center @ direction
    return (b - np.sqrt(b * b - a * (np.sum(center * center, axis=-1) - 4.0))) / a


def _triangle(x, y, z):
    direction, a, b, c = _triangle_corners(x, y, z)
    plain_a, plain_b, plain_c = (v.map(value_of) for v in (a, b, c))
    normal = (plain_b - plain_a).cross(plain_c - plain_a)
    return differentiate_triangle(normal.dot(plain_a) / normal.dot(direction), direction, a, b, c)


def _triangle_corners(x, y, z):
    return Vec3(0.1, 0.2, 1.0), Vec3(-2.0, -1.0, 6.0 + x), Vec3(2.0, y, 5.0), Vec3(0.5, 2.0, z + 7.0)


def _triangle_oracle(x, y, z):
    direction, *corners = _triangle_corners(x, y, z)
    d, a, b, c = (_array(v) for v in (direction, *corners))
    normal = np.cross(b - a, c - a)
    return np.sum(normal * a, axis=-1) / np.sum(normal * d, axis=-1)


def _loss(loss):
    """(rho, weight) at s, with a fixed scale and alpha; the oracle's weight is the derivative of rho."""
    return Operation(
        f"loss {loss.__name__}",
        lambda s: loss(s, 0.8, -1.5),
        LOSS_ORACLES[loss.__name__],
        ((1e-3, 4.0),),
        accurate_near_0=True,
    )


def _slope(rho):
    """(rho, rho'), rho' by a complex step; where s is complex itself, central differences of that."""

    def oracle(s):
        h = 1e-30
        if not np.iscomplexobj(s):
            return rho(s), np.imag(rho(s + 1j * h)) / h
        real, step = np.real(s), np.imag(s)
        weight, dw = _derivative(lambda t: np.imag(rho(t + 1j * h)) / h, real)
        return rho(s), weight + 1j * step * dw

    return oracle


def _derivative(f, x, h=1e-3):
    """(f, f') at x: central differences of order 6."""
    h = h * (x + 0.05)
    d1, d2, d3 = (f(x + k * h) - f(x - k * h) for k in (1, 2, 3))
    return f(x), (45.0 * d1 - 9.0 * d2 + d3) / (60.0 * h)


C2 = 0.64  # scale 0.8, squared
LOSS_ORACLES = {
    "least_squares": _slope(lambda s: s),
    "huber": _slope(lambda s: np.where(np.real(s) > C2, 1.6 * np.sqrt(s) - C2, s)),
    "cauchy": _slope(lambda s: C2 * np.log1p(s / C2)),
    "geman_mcclure": _slope(lambda s: C2 * s / (C2 + s)),
    "tukey": _slope(lambda s: np.where(np.real(s) > C2, C2 / 3.0, s - s**2 / C2 + s**3 / (3.0 * C2**2))),
    "barron": _slope(lambda s: 2.0 * C2 * 3.5 / -1.5 * np.expm1(-0.75 * np.log1p(s / C2 / 3.5))),
    "barron_zero": _slope(lambda s: 2.0 * C2 * np.log1p(s / (2.0 * C2))),
    "welsch": _slope(lambda s: -2.0 * C2 * np.expm1(-s / (2.0 * C2))),
}


def _exp_oracle(x, y, z):
    """Rodrigues' rotation and the left Jacobian by their power series."""
    skew = _array(Mat3.skew(Vec3(x, y, z)))
    rotation = left = term = np.broadcast_to(np.eye(3), skew.shape)
    for k in range(1, 30):
        term = term @ skew / k
        rotation, left = rotation + term, left + term / (k + 1)
    return *_flat(rotation, 2), *_flat(left @ np.array([0.3, -1.0, 2.0]), 1)


MODELS = [
    Operation("implicit_root", _cube_root, lambda x, y: np.exp(np.log(x * y) / 3.0), ((0.5, 3.0), (0.5, 3.0))),
    Operation("sphere", _sphere, _sphere_oracle, ((-0.8, 0.8), (-0.8, 0.8), (-1.0, 1.0))),
    Operation("triangle", _triangle, _triangle_oracle, ((-1.0, 1.0), (-1.0, 1.0), (-1.0, 1.0))),
    *map(_loss, LOSSES),
    Operation(
        "exp_se3",
        lambda *phi: exp_se3(Vec3(0.3, -1.0, 2.0), Vec3(*phi)),
        _exp_oracle,
        ((-1.0, 1.0),) * 3,
        accurate_near_0=True,
    ),
]


# --- special values


@dataclass(frozen=True)
class Special(Operation):
    """An operation at given points, and what it must give there, in float64 and in float32.

    points: one tuple of arguments each. expected: one value each. slopes: one list of partials per argument, or
    nothing where they are not looked at.
    """

    points: tuple = ()
    expected: tuple = ()
    slopes: tuple = ()

    def inputs(self):
        return [np.resize(np.array(column, dtype=np.float64), COUNT) for column in zip(*self.points, strict=True)]

    def spread(self, values):
        """Values at the points, as an array over the inputs."""
        return np.resize(np.array(values, dtype=np.float64), COUNT)


def special(name, function, points, expected, *slopes):
    points = tuple(p if isinstance(p, tuple) else (p,) for p in points)
    domains = ((0.0, 1.0),) * len(points[0])
    assert all(len(values) == len(points) for values in (expected, *slopes)), name
    return Special(f"special {name}", function, None, domains, True, False, points, tuple(expected), slopes)


INF, NAN, PI = np.inf, np.nan, np.pi

SPECIAL = [
    special("sqrt", sqrt, [0.0, -1.0, INF, NAN], [0.0, NAN, INF, NAN], [INF, NAN, 0.0, NAN]),
    special("sqrt of -0", sqrt, [-0.0], [0.0]),
    special(
        "NaN not chosen", lambda x: where(x > 0.0, sqrt(x), 0.0), [-1.0, 0.0, 4.0, NAN], [0, 0, 2, 0], [0, 0, 0.25, 0]
    ),
    special("infinity not chosen", lambda x: where(x != 0.0, 1.0 / x, 7.0), [0.0, 2.0], [7.0, 0.5], [0.0, -0.25]),
    special(
        "both not chosen",
        lambda x: where(x > 0.0, where(x < 9.0, log(x), exp(x * x)), x),
        [0.0, -3.0, 1.0, 100.0],
        [0.0, -3.0, 0.0, INF],
        [1.0, 1.0, 1.0, INF],
    ),
    special("NaN compared", lambda x: where(x == 0.0, 1.0, 2.0) + where(x < 1.0, 0.0, 4.0), [NAN, 0.0], [6.0, 1.0]),
    special("NaN unequal", lambda x: where(x != INF, 1.0, 2.0), [NAN, 0.0, INF], [1.0, 1.0, 2.0]),
    special("is a number", lambda x: where(x * x >= 0.0, 1.0, 2.0), [NAN, -1.0, INF, 0.0], [2.0, 1.0, 1.0, 1.0]),
    special("zeros equal", lambda x: where(x == 0.0, 1.0, 2.0), [0.0, -0.0, 1e-30], [1.0, 1.0, 2.0]),
    special("exp", exp, [1e3, -1e3, INF, -INF, NAN, 0], [INF, 0, INF, 0, NAN, 1], [INF, 0, INF, 0, NAN, 1]),
    special("expm1", expm1, [1e3, -1e3, INF, -INF, NAN, 0], [INF, -1, INF, -1, NAN, 0], [INF, 0, INF, 0, NAN, 1]),
    special("log", log, [0.0, -1.0, INF, NAN, 1.0], [-INF, NAN, INF, NAN, 0.0], [INF, -1.0, 0.0, NAN, 1.0]),
    special("log1p", log1p, [-1.0, -2.0, INF, NAN, 0.0], [-INF, NAN, INF, NAN, 0.0], [INF, -1.0, 0.0, NAN, 1.0]),
    special("sinh", sinh, [1e3, -1e3, 0.0, NAN], [INF, -INF, 0.0, NAN], [INF, INF, 1.0, NAN]),
    special("cosh", cosh, [1e3, -1e3, 0.0, NAN], [INF, INF, 1.0, NAN], [INF, -INF, 0.0, NAN]),
    special("tanh", tanh, [1e2, -1e2, INF, -INF, NAN, 0], [1, -1, 1, -1, NAN, 0], [0, 0, 0, 0, NAN, 1]),
    special("atan", atan, [INF, -INF, NAN, 0.0], [PI / 2, -PI / 2, NAN, 0.0], [0.0, 0.0, NAN, 1.0]),
    special("asin", asin, [1.0, -1.0, 2.0, NAN], [PI / 2, -PI / 2, NAN, NAN], [INF, INF, NAN, NAN]),
    special("acos", acos, [1.0, -1.0, 2.0, NAN], [0.0, PI, NAN, NAN], [-INF, -INF, NAN, NAN]),
    special("absolute", absolute, [0.0, -0.0, INF, -INF, NAN], [0, 0, INF, INF, NAN], [0, 0, 1, -1, NAN]),
    special("sign", sign, [0.0, -0.0, INF, -INF, NAN], [0, 0, 1, -1, NAN]),
    special("floor", floor, [-0.5, 0.5, 1e10, -INF, NAN], [-1, 0, 1e10, -INF, NAN]),
    special("ceil", ceil, [-0.5, 0.5, 1e10, -INF, NAN], [0, 1, 1e10, -INF, NAN]),
    special(
        "minimum", minimum, [(NAN, 1.0), (1.0, NAN), (2.0, 2.0), (INF, 3.0)], [NAN, 1, 2, 3], [1, 1, 1, 0], [0, 0, 0, 1]
    ),
    special(
        "maximum",
        maximum,
        [(NAN, 1.0), (1.0, NAN), (2.0, 2.0), (-INF, 3.0)],
        [NAN, 1, 2, 3],
        [1, 1, 1, 0],
        [0, 0, 0, 1],
    ),
    special("clip", lambda x: clip(x, 1.0, 2.0), [NAN, INF, -INF, 1.0], [NAN, 2.0, 1.0, 1.0], [1.0, 0.0, 0.0, 1.0]),
    special(
        "atan2",
        atan2,
        [(0.0, 1.0), (0.0, -1.0), (1.0, 0.0), (-1.0, 0.0), (0.0, 0.0), (NAN, 1.0), (INF, 1.0)],
        [0.0, PI, PI / 2, -PI / 2, 0.0, NAN, PI / 2],
    ),
    special(
        "power",
        power,
        [(0.0, 2.0), (2.0, 2e3), (2.0, -2e3), (0.0, 0.0), (INF, 2.0), (4.0, 0.5), (0.0, -1.0), (-1.0, 0.5), (NAN, 0.0)],
        [0.0, INF, 0.0, 1.0, INF, 2.0, INF, NAN, 1.0],
    ),
    special("to the 0", lambda x: x**0, [0.0, INF, NAN, -2.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]),
    special("to the 2", lambda x: x**2, [0.0, -3.0, INF, NAN], [0.0, 9.0, INF, NAN], [0.0, -6.0, INF, NAN]),
    special("to the -1", lambda x: x**-1, [0.0, -2.0, INF, NAN], [INF, -0.5, 0.0, NAN], [-INF, -0.25, 0.0, NAN]),
    special("hypot", hypot, [(0.0, 0.0), (INF, 1.0), (3.0, -4.0)], [0.0, INF, 5.0], [NAN, NAN, 0.6], [NAN, 0.0, -0.8]),
    special("division by 0", lambda x, y: x / y, [(1.0, 0.0), (-1.0, 0.0), (0.0, 0.0)], [INF, -INF, NAN]),
]

GROUPS = {
    "unary": UNARY,
    "binary": BINARY,
    "comparisons": COMPARISONS,
    "linear": LINEAR,
    "models": MODELS,
    "special": SPECIAL,
}
OPERATIONS = {operation.name: operation for group in GROUPS.values() for operation in group}


# --- how an operation is called: "d" a Dual seeded with the argument's place, "p" a plain number, "c" a float


def forms(operation: Operation, group: str) -> list[str]:
    """The kinds of its arguments that an operation is tried with, at least one of them a number of the machine."""
    if group == "special":
        return ["d" * len(operation.domains)]
    if group == "binary":
        return ["".join(kinds) for kinds in product("dpc", repeat=2) if kinds != ("c", "c")]
    return ["d" * len(operation.domains), "p" * len(operation.domains)]


def oracle_jacobian(operation: Operation, inputs: list[np.ndarray]) -> tuple[tuple, list[tuple]]:
    """(values, partials by each argument) of NumPy's own formula, in float64."""
    values = outputs(operation.oracle(*inputs))
    partials = []
    for k in range(len(inputs)):
        if operation.complex_step:
            moved = [x + 1e-30j if a == k else x for a, x in enumerate(inputs)]
            partials.append(tuple(np.imag(v) / 1e-30 for v in outputs(operation.oracle(*moved))))
            continue
        h = 1e-5
        above, below = (
            outputs(operation.oracle(*(x + step if a == k else x for a, x in enumerate(inputs)))) for step in (h, -h)
        )
        partials.append(tuple((p - m) / (2.0 * h) for p, m in zip(above, below, strict=True)))
    return values, partials
