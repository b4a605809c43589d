"""Functions of a model's numbers: values, derivatives by every way, kinks, and what is not taken."""

import math

import numpy as np
import pytest

from diffrt_aot import model as M
from diffrt_aot.model import Item, Model, PerItemFree, reference

METHODS = ("forward", "reverse", "mixed")


def of(function, names):
    """A model of a function of so many numbers of each item."""
    text = f"def f(item, {', '.join(names)}): return function({', '.join(names)})"
    space = {"function": function}
    exec(text, space)
    f = space["f"]
    f.__annotations__ = {"item": Item, **dict.fromkeys(names, PerItemFree)}
    return Model(f)


def value_and_partials(function, *x, method="forward"):
    """The function's outputs at arrays x, and their partials [output][argument]."""
    x = np.broadcast_arrays(*(np.asarray(a, float) for a in x))
    names = "abcdefgh"[: len(x)]
    program = of(function, names).trace(method)
    data = dict(zip(names, x, strict=True))
    call = reference.Data(program, {}, len(x[0]), data)
    order = [(o, s) for o, row in enumerate(program.rows) for s in row]
    found = reference.evaluate(program, call, [*program.outputs, *(program.rows[o][s] for o, s in order)])
    count = len(program.outputs)
    partials = np.zeros((count, len(x), len(x[0])))
    for (o, s), e in zip(order, found[count:], strict=True):
        partials[o, s] = e[0]
    return np.stack([f[0] for f in found[:count]]), partials


# {name: (model's function, NumPy's, ranges)}
SMOOTH = {
    "add": (lambda a, b: a + b, np.add, (-2, 2), (-2, 2)),
    "add constant": (lambda a: 1.5 + a, lambda a: 1.5 + a, (-2, 2)),
    "subtract": (lambda a, b: a - b, np.subtract, (-2, 2), (-2, 2)),
    "from constant": (lambda a: 1.5 - a, lambda a: 1.5 - a, (-2, 2)),
    "multiply": (lambda a, b: a * b, np.multiply, (-2, 2), (-2, 2)),
    "divide": (lambda a, b: a / b, np.divide, (-2, 2), (0.5, 2)),
    "by constant": (lambda a: a / 3.0, lambda a: a / 3.0, (-2, 2)),
    "constant by": (lambda a: 3.0 / a, lambda a: 3.0 / a, (0.5, 2)),
    "negative": (lambda a: -a, np.negative, (-2, 2)),
    "square": (lambda a: a * a, np.square, (-2, 2)),
    "whole power": (lambda a: a**5, lambda a: a**5, (-2, 2)),
    "negative power": (lambda a: a**-3, lambda a: a**-3.0, (0.5, 2)),
    "power 0": (lambda a: a**0 + a, lambda a: 1.0 + a, (-2, 2)),
    "half power": (lambda a: a**0.5, np.sqrt, (0.5, 2)),
    "real power": (lambda a: a**2.5, lambda a: a**2.5, (0.5, 2)),
    "power of a constant": (lambda a: 2.0**a, lambda a: 2.0**a, (-2, 2)),
    "pow": (M.pow, np.float_power, (0.5, 2), (-2, 2)),
    "sqrt": (M.sqrt, np.sqrt, (0.1, 4)),
    "sin": (M.sin, np.sin, (-5, 5)),
    "cos": (M.cos, np.cos, (-5, 5)),
    "tan": (M.tan, np.tan, (-1.4, 1.4)),
    "asin": (M.asin, np.arcsin, (-0.95, 0.95)),
    "acos": (M.acos, np.arccos, (-0.95, 0.95)),
    "atan": (M.atan, np.arctan, (-5, 5)),
    "exp": (M.exp, np.exp, (-3, 3)),
    "expm1": (M.expm1, np.expm1, (-3, 3)),
    "log": (M.log, np.log, (0.1, 5)),
    "log1p": (M.log1p, np.log1p, (-0.9, 5)),
    "sinh": (M.sinh, np.sinh, (-3, 3)),
    "cosh": (M.cosh, np.cosh, (-3, 3)),
    "tanh": (M.tanh, np.tanh, (-3, 3)),
    "chain": (
        lambda a, b: M.exp(M.sin(a * b) / (1.0 + a * a)),
        lambda a, b: np.exp(np.sin(a * b) / (1 + a * a)),
        *((-2, 2), (-2, 2)),
    ),
    "used twice": (lambda a: (a * a) * M.sin(a * a) + a * a, lambda a: a * a * np.sin(a * a) + a * a, (-2, 2)),
}
# Not analytic, or not in NumPy for complex numbers: against central differences.
KINKED = {
    "atan2": (M.atan2, np.arctan2, (0.1, 3), (-3, 3)),
    "atan2, below": (M.atan2, np.arctan2, (-3, -0.1), (-3, 3)),
    "hypot": (M.hypot, np.hypot, (0.1, 3), (-3, -0.1)),
    "absolute": (abs, np.abs, (-2, 2)),
    "minimum": (M.minimum, np.minimum, (-2, 2), (-2, 2)),
    "maximum": (M.maximum, np.maximum, (-2, 2), (-2, 2)),
    "clip": (lambda a: M.clip(a, -0.5, 0.7), lambda a: np.clip(a, -0.5, 0.7), (-2, 2)),
    "clip by numbers": (M.clip, np.clip, (-2, 2), (-1, -0.5), (0.5, 1)),
    "floor": (lambda a: M.floor(a) * a, lambda a: np.floor(a) * a, (0.1, 3)),
    "ceil": (lambda a: M.ceil(a) * a, lambda a: np.ceil(a) * a, (0.1, 3)),
    "sign": (lambda a: M.sign(a) * a, np.abs, (-2, 2)),
    "floor division": (lambda a, b: (a // b) * a, lambda a, b: a // b * a, (0.1, 3), (0.3, 1)),
    "remainder": (lambda a, b: a % b, lambda a, b: a % b, (0.1, 3), (0.3, 1)),
    "constant remainder": (lambda a: 2.0 % a, lambda a: 2.0 % a, (0.3, 1)),
    "where": (lambda a, b: M.where(a < b, a * b, a + b), lambda a, b: np.where(a < b, a * b, a + b), (-2, 2), (-2, 2)),
    "where, nested": (
        lambda a, b: M.where(a > 0.0, M.where(b > 0.0, a * b, a), M.where(b > a, b * b, 2.0)),
        lambda a, b: np.where(a > 0, np.where(b > 0, a * b, a), np.where(b > a, b * b, 2.0)),
        *((-2, 2), (-2, 2)),
    ),
    "where, and or not": (
        lambda a, b: M.where(((a > 0.0) & (b > 0.0)) | ~(a > -1.0), a * b, b),
        lambda a, b: np.where(((a > 0) & (b > 0)) | ~(a > -1), a * b, b),
        *((-2, 2), (-2, 2)),
    ),
}


def sampled(ranges, count=200, seed=1):
    rng = np.random.default_rng(seed)
    return [rng.uniform(low, high, count) for low, high in ranges]


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("method", METHODS)
def test_smooth_functions_against_a_complex_step(name, method):
    function, oracle, *ranges = SMOOTH[name]
    x = sampled(ranges)
    value, partials = value_and_partials(function, *x, method=method)
    np.testing.assert_allclose(value[0], oracle(*x), rtol=1e-13, atol=1e-14)
    for k in range(len(x)):
        moved = [a + (1e-30j if j == k else 0j) for j, a in enumerate(x)]
        slope = np.imag(np.broadcast_to(oracle(*moved), x[0].shape)) / 1e-30
        np.testing.assert_allclose(partials[0, k], slope, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", KINKED)
@pytest.mark.parametrize("method", METHODS)
def test_other_functions_against_differences(name, method):
    function, oracle, *ranges = KINKED[name]
    x = sampled(ranges)
    value, partials = value_and_partials(function, *x, method=method)
    np.testing.assert_allclose(value[0], oracle(*x), rtol=1e-13, atol=1e-14)
    for k in range(len(x)):
        ends = [oracle(*(a + (s if j == k else 0.0) for j, a in enumerate(x))) for s in (1e-6, -1e-6)]
        slope = (ends[0] - ends[1]) / 2e-6
        assert np.quantile(np.abs(partials[0, k] - slope), 0.99) < 1e-7


@pytest.mark.parametrize("method", METHODS)
def test_derivatives_at_kinks(method):
    def slopes(function, *x):
        return value_and_partials(function, *([a] for a in x), method=method)[1][0, :, 0]

    assert slopes(abs, 0.0) == [0.0]
    np.testing.assert_array_equal(slopes(M.minimum, 1.0, 1.0), [1.0, 0.0])
    np.testing.assert_array_equal(slopes(M.maximum, 1.0, 1.0), [1.0, 0.0])
    assert slopes(lambda a: M.clip(a, 0.0, 1.0), 0.0) == [1.0]
    assert slopes(lambda a: M.clip(a, 0.0, 1.0), 2.0) == [0.0]
    np.testing.assert_array_equal(slopes(M.clip, 3.0, 0.0, 1.0), [0.0, 0.0, 1.0])
    np.testing.assert_array_equal(slopes(M.hypot, 0.0, 0.0), [0.0, 0.0])
    np.testing.assert_array_equal(slopes(M.hypot, 0.0, -2.0), [0.0, -1.0])
    np.testing.assert_array_equal(slopes(M.pow, 0.0, 1.5), [0.0, 0.0])
    np.testing.assert_array_equal(slopes(M.pow, 0.0, 1.0), [1.0, 0.0])
    for function in (M.floor, M.ceil, M.sign):
        assert slopes(function, 1.0) == [0.0]
    assert slopes(M.sqrt, 0.0) == [np.inf]
    assert slopes(M.log, 0.0) == [np.inf]
    assert np.isnan(slopes(M.atan2, 0.0, 0.0)).all()


@pytest.mark.parametrize("method", METHODS)
def test_nan_is_kept_where_it_comes_first(method):
    nan = [math.nan]
    assert np.isnan(value_and_partials(M.minimum, nan, [1.0], method=method)[0]).all()
    assert value_and_partials(M.minimum, [1.0], nan, method=method)[0] == 1.0
    assert np.isnan(value_and_partials(lambda a: M.clip(a, 0.0, 1.0), nan, method=method)[0]).all()
    assert np.isnan(value_and_partials(M.sign, nan, method=method)[0]).all()


UNTAKEN = {
    "sqrt": lambda a, b: M.where(a > 0.0, M.sqrt(a) * b, b),
    "log": lambda a, b: M.where(a > 0.0, b * M.log(a), b * a),
    "division": lambda a, b: M.where(a != 0.0, b / a, b),
    "shared": lambda a, b: (lambda s: M.where(a > 0.0, s * b + s, 0.0) + M.where(a > 0.0, s, b))(M.sqrt(a)),
    "nested": lambda a, b: M.where(a > 0.0, M.where(b > 0.0, M.log(b) * M.sqrt(a), b), M.where(b > 0.0, M.sqrt(b), a)),
    "in a function": lambda a, b: M.sin(M.where(a > 0.0, 1.0 / M.sqrt(a), b)) * b,
}


@pytest.mark.parametrize("name", UNTAKEN)
@pytest.mark.parametrize("method", METHODS)
def test_the_side_not_taken_leaves_no_trace(name, method):
    a, b = (x.ravel() for x in np.meshgrid([-1.0, 0.0, 2.0, -np.inf], [-1.5, 0.0, 0.5]))
    value, partials = value_and_partials(UNTAKEN[name], a, b, method=method)
    inner = np.isfinite(a)
    assert np.isfinite(value[0][inner]).all() and np.isfinite(partials[0][:, inner]).all()
    smooth = inner & (a != 0.0) & (b != 0.0)
    for k, (da, db) in enumerate(((1e-7, 0.0), (0.0, 1e-7))):
        ends = [value_and_partials(UNTAKEN[name], a + s * da, b + s * db)[0][0][smooth] for s in (1, -1)]
        np.testing.assert_allclose(partials[0, k][smooth], (ends[0] - ends[1]) / 2e-7, atol=1e-6)


def random_function(seed):
    """Of three numbers, from everything there is, with values that stay in range."""
    rng = np.random.default_rng(seed)
    unary = [
        *(M.sin, M.cos, M.tanh, M.atan, lambda x: M.exp(-x * x), lambda x: M.sqrt(1.0 + x * x), M.absolute),
        *(lambda x: M.log(2.0 + M.cos(x)), lambda x: 1.0 / (1.5 + M.sin(x)), lambda x: -x, lambda x: 0.5 * x, M.floor),
        *(lambda x: M.asin(0.9 * M.sin(x)), lambda x: x.value, lambda x: M.pow(1.1 + M.sin(x), 1.7)),
    ]
    binary = [
        *(lambda x, y: x + y, lambda x, y: x - y, lambda x, y: M.sin(x) * y, M.minimum, M.maximum, M.hypot),
        *(
            lambda x, y: x / (1.0 + y * y),
            lambda x, y: M.where(x > y, x, M.sin(y)),
            lambda x, y: M.where(x > 0.0, y, x),
        ),
        *(lambda x, y: M.where(x > 0.1, M.sqrt(x) * y, y), lambda x, y: M.atan2(x, 1.5 + M.sin(y))),
        lambda x, y: M.where(y > 0.2, M.log(y), M.where(x < 0.0, M.sqrt(-x), 1.0)),
    ]
    plan = [(rng.integers(2), rng.integers(99), rng.integers(99), rng.integers(99)) for _ in range(25)]

    def function(*numbers):
        known = list(numbers)
        for two, which, i, j in plan:
            x, y = known[-1 - i % min(6, len(known))], known[j % len(known)]
            known.append(binary[which % len(binary)](x, y) if two else unary[which % len(unary)](x))
        return known[-1], known[-4] * known[-2]

    return function


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_forward_against_reverse(seed):
    x = sampled([(-2, 2)] * 3, count=50, seed=seed)
    results = [value_and_partials(random_function(seed), *x, method=m) for m in METHODS]
    for value, partials in results[1:]:
        np.testing.assert_array_equal(value, results[0][0])
        np.testing.assert_allclose(partials, results[0][1], rtol=1e-8, atol=1e-9 * (1 + np.nanmax(np.abs(partials))))


# --- NumPy's ways of writing it


WAYS = {
    "np.sqrt": (lambda a, b: np.sqrt(a * a) + b, lambda a, b: M.sqrt(a * a) + b),
    "np.array @": (lambda a, b: np.array([a, b]) @ np.array([a, b]), lambda a, b: a * a + b * b),
    "matrix @": (lambda a, b: (np.eye(2) @ np.array([a, b]))[1], lambda a, b: b),
    "np.cross": (lambda a, b: np.cross([a, b, 1.0], [0.0, 1.0, b])[0], lambda a, b: b * b - 1.0),
    "np.sum": (lambda a, b: np.sum(np.array([a, b]) ** 2), lambda a, b: a * a + b * b),
    "np.dot": (lambda a, b: np.dot(np.array([a, b]), [2.0, 3.0]), lambda a, b: 2.0 * a + 3.0 * b),
    "np.linalg.norm": (lambda a, b: np.linalg.norm(np.array([a, b])), lambda a, b: M.sqrt(a * a + b * b)),
    "np.maximum": (lambda a, b: np.maximum(a, b), M.maximum),
    "np.sin of arrays": (lambda a, b: np.sin(np.array([a, b])).sum(), lambda a, b: M.sin(a) + M.sin(b)),
    "np.arctan2": (lambda a, b: np.arctan2(np.array([a]), b)[0], M.atan2),
    "np.hypot": (lambda a, b: np.hypot(a, b), M.hypot),
    "np.float32": (lambda a, b: np.float32(0.5) * a + np.int64(2) * b, lambda a, b: 0.5 * a + 2.0 * b),
    "np.einsum": (lambda a, b: np.einsum("i,i", np.array([a, b]), np.array([b, a])), lambda a, b: 2.0 * a * b),
    "lists": (
        lambda a, b: M.sin([a, b])[1] + M.where(a > b, [a, b], [b, a])[0],
        lambda a, b: M.sin(b) + M.maximum(a, b),
    ),
    "arrays in where": (lambda a, b: M.where(a > b, np.array([a, b]), 1.0)[1], lambda a, b: M.where(a > b, b, 1.0)),
    "np.isnan": (lambda a, b: M.where(np.isnan(a), b, a), lambda a, b: a),
    "negative array": (lambda a, b: (-np.array([a, b]))[0] * (1.0 / np.array([a, b]))[1], lambda a, b: -a / b),
}


@pytest.mark.parametrize("name", WAYS)
def test_numpy_writes_the_same(name):
    way, plain = WAYS[name]
    x = sampled([(-2, 2), (0.5, 2)])
    value, partials = value_and_partials(way, *x)
    wanted, slopes = value_and_partials(plain, *x)
    np.testing.assert_allclose(value, wanted, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(partials, slopes, rtol=1e-12, atol=1e-13)
