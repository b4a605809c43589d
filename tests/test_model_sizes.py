"""Models over images and ranges of all sizes, and rows of tables that meet: all that a bound model gives, against the
reference in float64.
"""

import numpy as np
import pytest
from test_wrong_model_arguments import DATA, THETA, everything

from diffrt_aot.model import FreeTable, Item, PerItemIndex, model, sin

pytest.importorskip("llvmlite")


@model
def crossed(item: Item, table: FreeTable[3], i: PerItemIndex, j: PerItemIndex):
    """The two may be the same row."""
    a, b = table[i], table[j]
    return a @ b + sin(a[0]), a[1] * b[2] - b[0]


def assert_close(mine, right):
    assert mine.shape == right.shape and np.array_equal(np.isnan(mine), np.isnan(right))
    with np.errstate(invalid="ignore"):
        assert np.nanmax(np.abs(mine - right), initial=0) <= 1e-6 * max(np.nanmax(np.abs(right), initial=0), 1e-3)


def check_all(bound, theta, value, J):
    """`value` and `J`, as they should be, and what is made of them."""
    size = J.shape[-1]
    rng = np.random.default_rng(8)
    found, rows = bound.jacobian(theta)
    assert_close(found, value)
    assert_close(rows.dense(), J)
    assert_close(rows.to_scipy().toarray(), J.reshape(-1, size))
    assert np.array_equal(bound(theta), found, equal_nan=True)
    seeds, w = rng.normal(size=(size, 2)), rng.normal(size=value.shape)
    kept = np.isfinite(value) & np.isfinite(J).all(-1)
    w[~kept] = 0
    assert_close(bound.jvp(theta, seeds)[1], J @ seeds)
    assert_close(bound.vjp(theta, w)[1], w[kept] @ J[kept])
    equations = bound.normal_equations(theta, 0.5 * np.nan_to_num(value))
    assert equations.count == kept.sum()
    assert_close(equations.H, J[kept].T @ J[kept])
    assert_close(equations.g, 0.5 * value[kept] @ J[kept])
    assert_close(equations.H_sparse.toarray(), J[kept].T @ J[kept])


@pytest.mark.parametrize("shape", [(1, 1), (1, 17), (17, 1), (3, 16), (2, 33), (5, 15), (31, 90), (1, 3000), (200, 16)])
def test_images(shape):
    rng = np.random.default_rng(1)
    which = rng.integers(-1, 5, shape)  # of four rows
    data = {**DATA, "seen": rng.normal(size=(*shape, 2)), "moved": rng.normal(size=shape), "which": which}
    bound = everything.compile(targets=["x64"]).bind(shape=shape, offsets=4, threads=2, **data)
    check_all(bound, THETA, *everything.reference_jacobian(THETA, shape=shape, **data))


@pytest.mark.parametrize("n", [1, 15, 16, 17, 500])
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_an_item_may_read_a_row_twice(n, rows):
    rng = np.random.default_rng(2)
    data = {"i": rng.integers(0, rows, n), "j": rng.integers(-1, rows + 1, n)}
    theta = {"table": rng.normal(size=(rows, 3))}
    bound = crossed.compile(targets=["x64"]).bind(shape=n, table=rows, threads=2, **data)
    check_all(bound, theta, *crossed.reference_jacobian(theta, shape=n, **data))
