"""Compiled models in the runtime: values, Jacobians, products, normal equations and fits, against NumPy in float64."""

import model_examples
import numpy as np
import pytest
from test_normal_equations import LOSSES, assert_agree, sums

import diffrt_aot as dr

pytest.importorskip("llvmlite")

# Relative to the largest number of a column; the blob's root is only found to 1e-5, and grazing rays magnify that.
TOLERANCE = {"blob": 2e-3, "sphere": 1e-4, "sphere_with_rule": 1e-4}


@pytest.fixture(scope="module", params=[name for name in model_examples.NAMES if name != "mix_inverse_depths"])
def example(request):
    """(name, the author's model, the bound one, theta, data)."""
    theta, shape, data = model_examples.case(request.param)
    author = model_examples.load(request.param)
    compiled = author.compile(targets=["x64"])
    return request.param, author, compiled, theta, shape, data


def worst(mine, right):
    return np.abs(mine - right).max(initial=0) / max(np.abs(right).max(initial=0), 1e-30)


def test_value_and_jacobian(example):
    name, author, compiled, theta, shape, data = example
    tolerance = TOLERANCE.get(name, 2e-5)
    value, J = compiled.jacobian(theta, shape=shape, **data)
    right, right_J = author.reference_jacobian(theta, shape=shape, **data)
    assert worst(value, right) < tolerance
    assert np.array_equal(value, compiled(theta, shape=shape, **data))
    dense = J.dense()
    assert dense.shape == right_J.shape and worst(dense, right_J) < tolerance
    v = np.random.default_rng(0).normal(size=dense.shape[-1])
    w = np.random.default_rng(1).normal(size=value.shape)
    assert worst((J @ v).reshape(value.shape), dense @ v) < 1e-5
    assert worst(J.T @ w.reshape(-1), np.tensordot(w, dense, w.ndim)) < 1e-5
    seeds = np.stack([v, 2.0 * v], axis=-1)
    assert worst(compiled.jvp(theta, seeds, shape=shape, **data)[1], dense @ seeds) < 1e-5
    assert worst(compiled.vjp(theta, w, shape=shape, **data)[1], np.tensordot(w, dense, w.ndim)) < 1e-5


@pytest.mark.parametrize("loss", ["least squares", "huber", "barron -2.0"])
def test_normal_equations(example, loss):
    """Weights, holes and robust losses are the renderer's own."""
    _, _, compiled, theta, shape, data = example
    rng = np.random.default_rng(2)
    value, J = compiled.jacobian(theta, shape=shape, **data)
    observed = value + 0.1 * rng.normal(size=value.shape)
    observed.reshape(-1)[:: max(observed.size // 7, 2)] = np.nan
    weights = rng.uniform(0.0, 2.0, value.shape)
    make, shape_of_loss = LOSSES[loss]
    for given in (None, weights):
        found = compiled.normal_equations(theta, observed, weights=given, loss=make(0.1), shape=shape, **data)
        right = sums(value, J, observed, given, shape_of_loss, 0.1)
        assert_agree(compiled.bind(shape=shape, **rows_of(theta), **data), found, right, 3e-5)


def rows_of(theta):
    """How many rows the tables among the parameters have."""
    return {
        name: len(value)
        for name, value in theta.items()
        if name in ("height", "shift", "poses", "cameras", "points", "confidence")
    }


def test_results_do_not_depend_on_threads(example):
    _, _, compiled, theta, shape, data = example
    one, two = (compiled.normal_equations(theta, None, threads=n, shape=shape, **data) for n in (1, 2))
    assert np.array_equal(one.g, two.g) and one.cost == two.cost
    assert (one.H_sparse != two.H_sparse).nnz == 0


@pytest.mark.parametrize("name", ["network", "dense_chain", "hand", "photometric"])
def test_fit_finds_what_was_observed(name):
    theta, shape, data = model_examples.case(name)
    compiled = model_examples.load(name).compile(targets=["x64"])
    observed = compiled(theta, shape=shape, **data)
    truth = compiled.parameters(**theta)
    start = truth + 1e-3 * np.random.default_rng(3).normal(size=truth.size)
    result = dr.fit(compiled, observed, start, shape=shape, **data)
    at_start = compiled.normal_equations(start, observed, shape=shape, **data)
    assert result.status.converged and result.cost < 1e-4 * at_start.cost
    assert "theta=" in repr(result)
    with pytest.raises(dr.InvalidValueError, match="scene"):
        _ = result.scene
