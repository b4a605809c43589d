"""What models are made of, on GPUs, where it is hardest: reads beyond tables, loops, sums, kinds of numbers, functions.

All as the CPU has it, which test_model_code.py compares to NumPy.
"""

import numpy as np
import pytest
from test_model_code import EDGES, endless, reading, sums, turning
from test_renderer_devices import on_gpus

from diffrt_aot.model import (
    Constant,
    Free,
    Item,
    PerItem,
    Pixel,
    Table,
    acos,
    asin,
    atan,
    atan2,
    cos,
    cosh,
    exp,
    expm1,
    floor,
    hypot,
    log,
    log1p,
    model,
    sin,
    sinh,
    sqrt,
    tan,
    tanh,
    total,
    where,
    whole,
)

pytest.importorskip("llvmlite")


def both(a_model, gpu, theta, shape, tolerance=1e-5, **data):
    """Value and Jacobian of the GPU, when they are those of the CPU: NaN and infinity where it has them."""
    compiled = a_model.compile()
    (value, J), (right, right_J) = (compiled.jacobian(theta, shape=shape, device=d, **data) for d in (gpu, "cpu"))
    np.testing.assert_array_equal(compiled(theta, shape=shape, device=gpu, **data), value)
    np.testing.assert_allclose(value, right, rtol=tolerance, atol=1e-6)
    np.testing.assert_allclose(J.dense(), right_J.dense(), rtol=tolerance, atol=1e-6)
    return value, J.dense()


@on_gpus
def test_reads_beyond_a_table_are_nan(gpu):
    rng = np.random.default_rng(3)
    i, x = (a.ravel() for a in np.meshgrid(EDGES, [*map(float, EDGES), 2.75, -1e30, np.nan, np.inf, -np.inf]))
    tables = {"rows": rng.normal(size=(5, 3)), "single": rng.normal(size=12), "picture": rng.normal(size=(4, 7))}
    theta = {"scale": 2.0, "blocks": rng.normal(size=(6, 3)), "alone": rng.normal(size=3)}
    compiled = reading.compile()
    values = [compiled(theta, shape=i.size, i=i, x=x, device=d, **tables) for d in (gpu, "cpu")]
    np.testing.assert_allclose(*values, rtol=1e-6)
    assert np.isnan(values[0]).any() and np.isfinite(values[0]).any()
    # Times the length of a row they come back into the table; nothing is read there.
    i = np.array([2**30, 2**31 - 1, -(2**31), -(2**30), 1431655766, -1431655765])
    tables["picture"] = np.ones((4, 1024))
    value = compiled(theta, shape=i.size, i=i, x=np.zeros(i.size), device=gpu, **tables)
    assert np.isnan(value[:, [0, 2, 3]]).all() and np.isfinite(value[:, [1, 4, 6]]).all()
    tables = {"rows": np.ones((0, 3)), "single": np.ones(0), "picture": np.ones((0, 7))}
    theta = {"scale": 2.0, "blocks": np.ones((0, 3)), "alone": np.ones(0)}
    value = compiled(theta, shape=9, i=np.zeros(9, int), x=np.zeros(9), device=gpu, **tables)
    assert np.isnan(value).all()


@on_gpus
def test_loops(gpu):
    value, _ = both(turning, gpu, {"a": 2.25}, (5, 21), n=3.0)
    counts = value[..., 0] / 2.25
    assert counts.min() < counts.max() < 20
    # And none waits for what is beyond the last item.
    value, _ = both(endless, gpu, {"a": 1e-30}, 5, x=np.full(5, 1e38))
    np.testing.assert_array_equal(value, np.float32(1e38))


@model
def pairs(item: Item, a: Free[5, 2], x: PerItem):
    """Whose partials lie two planes apart, from turn to turn."""
    return total(5, lambda k: a[k][0] * a[k][1] * x)


@on_gpus
def test_sums_in_loops(gpu):
    """The partials are stored turn by turn, those of the second output by a loop of their own."""
    rng = np.random.default_rng(4)
    both(sums, gpu, {"a": rng.normal(size=5)}, 37, x=rng.normal(size=37), b=rng.normal(size=(37, 5)))
    both(pairs, gpu, {"a": rng.normal(size=(5, 2))}, 37, x=rng.normal(size=37))


@model
def kinds(pixel: Pixel, a: Free[3], c: Constant[2], t: Table):
    """What prepare() hands over: numbers, conditions, whole numbers."""
    k = whole(floor(c[0] + c[1]))
    above = (a[0] > c[0]) | ~(a[1] <= 0.5)
    below = above & (a[2] != a[1])
    x = pixel.column + t.rows * pixel.row
    return where(above, x, a[0]) * a[1], where(below, x * a[2], 1.0), t[k + whole(pixel.column)] * exp(a[2])


@on_gpus
@pytest.mark.parametrize("first", [0.75, np.nan])
@pytest.mark.parametrize("a", [(1.0, 0.2, 0.3), (-1.0, 0.7, 0.7), (-1.0, 0.2, 0.1)])
def test_what_is_computed_once_is_of_all_kinds(a, first, gpu):
    value, _ = both(kinds, gpu, a, (3, 5), c=(first, 1.5), t=np.arange(1.0, 6.0))
    assert np.isnan(value[:, 3:, 2]).all()


@model
def functions(item: Item, a: Free, x: PerItem, y: PerItem):
    s = x * a
    of_one = (sin, cos, tan, asin, acos, atan, exp, expm1, log, log1p, sinh, cosh, tanh, sqrt, floor, abs)
    comparisons = (s < y, s <= y, s > y, s >= y, s == y, s != y, ~(s < y))
    return [*(f(s) for f in of_one), hypot(s, y), atan2(s, y), s**y, *(where(c, 1.0, 0.0) for c in comparisons)]


@on_gpus
def test_functions_where_they_are_hard(gpu):
    hard = [0.0, 1.0, 0.5, 2.0, 88.0, 88.8, 100.0, 1e4, 1e-30, 1e30, 3e38, np.pi, np.inf]
    x, y = (a.ravel() for a in np.meshgrid([*hard, *np.negative(hard), np.nan], [*hard, *np.negative(hard), np.nan]))
    both(functions, gpu, {"a": 1.0}, x.size, 1e-4, x=x, y=y)
