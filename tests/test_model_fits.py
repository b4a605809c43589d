"""Fits of compiled models, against SciPy's least squares of the same in NumPy: poses, tables, priors, bounds, losses,
weights, and what was not measured.
"""

import numpy as np
import pytest

import diffrt_aot as dr
from diffrt_aot.model import Free, FreeTable, Item, PerItem, PerItemIndex, Pose, exp, model
from diffrt_aot.model.reference import exponential, logarithm

pytest.importorskip("llvmlite")
optimize = pytest.importorskip("scipy.optimize")


@model
def decay(item: Item, height: Free, rate: Free, offset: Free[2], t: PerItem):
    y = height * exp(-rate * t)
    return y + offset[0], y * y + offset[1]


@model
def aligned(point: Item, T_a_b: Pose, scale: Free, x: PerItem[3]):
    return T_a_b[:3, :3] @ (scale * x) + T_a_b[:3, 3]


@model
def chain(item: Item, gain: Free, nodes: FreeTable[2], k: PerItemIndex, t: PerItem):
    a, b = nodes[k], nodes[k + 1]
    return (1.0 - t) * a[0] + t * b[0] + gain * a[1] * b[1], (1.0 - t) * a[1] + t * b[1] * b[1]


def decay_values(theta, t):
    y = theta[0] * np.exp(-theta[1] * t)
    return np.stack([y + theta[2], y * y + theta[3]], 1)


def aligned_values(theta, x):
    T = exponential(theta[:6])
    return theta[6] * x @ T[:3, :3].T + T[:3, 3]


def chain_values(theta, k, t):
    nodes = theta[1:].reshape(-1, 2)
    (a0, a1), (b0, b1) = nodes[k].T, nodes[k + 1].T
    return np.stack([(1 - t) * a0 + t * b0 + theta[0] * a1 * b1, (1 - t) * a1 + t * b1 * b1], 1)


RNG = np.random.default_rng(11)
N = 120
DECAY = {"shape": N, "t": RNG.uniform(0, 3, N)}
ALIGNED = {"shape": N, "x": RNG.normal(size=(N, 3))}
CHAIN = {"shape": 12 * 8, "k": np.repeat(np.arange(12), 8), "t": np.tile(np.linspace(0, 1, 8), 12)}
# {name: (model, the same in NumPy, data, truth, how far off the start is)}
PROBLEMS = {
    "decay": (decay, decay_values, DECAY, {"height": 2.0, "rate": 0.8, "offset": (0.3, -0.2)}, 0.2),
    "pose": (aligned, aligned_values, ALIGNED, {"T_a_b": (0.5, -1.0, 2.0, 0.8, -1.1, 0.6), "scale": 1.2}, 0.3),
    "table": (chain, chain_values, CHAIN, {"gain": 1.1, "nodes": RNG.uniform(0.5, 1.5, (13, 2))}, 0.05),
}
LOSSES = {None: (None, "linear"), "huber": (dr.Huber(0.05), "huber"), "cauchy": (dr.Cauchy(0.05), "cauchy")}


class Problem:
    """A model, what it is fitted to, with outliers and holes, and the same in float64 for SciPy."""

    def __init__(self, name):
        author, values, data, self.truth, away = PROBLEMS[name]
        rows = {"nodes": 13} if name == "table" else {}
        compiled = author.compile(targets=["x64"])
        self.bind = lambda **options: compiled.bind(**data, **rows, **options)
        self.values = lambda theta: values(theta, **{k: x for k, x in data.items() if k != "shape"})
        self.bound = self.bind()
        rng = np.random.default_rng(5)
        theta = self.bound.parameters(**self.truth)
        right = self.values(theta)
        self.observed = right + 0.02 * rng.normal(size=right.shape)
        self.observed.flat[rng.permutation(right.size)[:10]] += 0.5
        self.observed.flat[rng.permutation(right.size)[:25]] = np.nan
        self.weights = rng.uniform(0.5, 2, right.shape)
        self.weights.flat[rng.permutation(right.size)[:10]] = 0
        self.start = theta + away * rng.uniform(-1, 1, theta.size)

    def residuals(self, theta, weights=None):
        weights = np.ones(self.observed.shape) if weights is None else weights
        r = self.values(theta) - self.observed
        kept = np.isfinite(r) & (weights > 0)
        return (r * np.sqrt(weights))[kept]

    def scipy(self, loss="linear", weights=None, prior=lambda theta: [], bounds=(-np.inf, np.inf)):
        def function(theta):
            return np.concatenate([self.residuals(theta, weights), prior(theta)])

        start = np.clip(self.start, *bounds)
        tight = {"xtol": 1e-12, "ftol": 1e-12, "gtol": 1e-12}
        return optimize.least_squares(function, start, "3-point", bounds, loss=loss, f_scale=0.05, **tight)


@pytest.fixture(scope="module", params=PROBLEMS)
def problem(request):
    return Problem(request.param)


def assert_same(result, right, tolerance=0.03):
    """To some hundredths of a deviation: a fit ends where a step promises less than float32 sees of the cost."""
    assert result.status.converged, result.status
    assert abs(result.cost - right.cost) <= 1e-5 * right.cost
    deviations = np.sqrt(np.diag(np.linalg.inv(right.jac.T @ right.jac))) * np.sqrt(2 * right.cost / result.count)
    assert np.abs((result.theta - right.x) / deviations).max() <= tolerance


@pytest.mark.parametrize("loss", LOSSES)
def test_losses(problem, loss):
    ours, theirs = LOSSES[loss]
    result = dr.fit(problem.bound, problem.observed, problem.start, loss=ours)
    assert result.count == np.isfinite(problem.observed).sum()
    assert_same(result, problem.scipy(theirs))


def test_weights(problem):
    result = dr.fit(problem.bound, problem.observed, problem.start, weights=problem.weights)
    assert result.count == (np.isfinite(problem.observed) & (problem.weights > 0)).sum()
    assert_same(result, problem.scipy(weights=problem.weights))


def test_sparse_as_dense(problem):
    """Beyond dense_limit there is no dense H, and the answer is the same."""
    dense = dr.fit(problem.bound, problem.observed, problem.start)
    sparse = dr.fit(problem.bind(dense_limit=0), problem.observed, problem.start)
    assert sparse.status.converged and np.allclose(sparse.theta, dense.theta, rtol=0, atol=1e-5)
    assert np.allclose(sparse.H_sparse.toarray(), dense.H, rtol=1e-4, atol=1e-4 * np.abs(dense.H).max())
    assert sparse.rank == dense.rank == problem.start.size
    assert np.allclose(sparse.standard_deviations, dense.standard_deviations, rtol=1e-3)
    with pytest.raises(dr.InvalidValueError, match="dense_limit"):
        _ = sparse.H


def test_more_parameters_than_a_dense_matrix_takes():
    rng = np.random.default_rng(2)
    data = {"shape": 999 * 8, "k": np.repeat(np.arange(999), 8), "t": np.tile(np.linspace(0, 1, 8), 999)}
    truth = {"gain": 1.1, "nodes": rng.uniform(0.5, 1.5, (1000, 2))}
    bound = chain.compile(targets=["x64"]).bind(**data, nodes=1000)
    theta = bound.parameters(**truth)
    observed = chain_values(theta, data["k"], data["t"])
    result = dr.fit(bound, observed, theta + rng.uniform(-0.05, 0.05, theta.size))
    assert result.status.converged and result.rank == 2001 and np.abs(result.theta - theta).max() < 1e-4
    assert result.H_sparse.shape == (2001, 2001) and result.H_sparse.nnz < 20 * 2001
    with pytest.raises(dr.InvalidValueError, match="dense_limit"):
        _ = result.H


def test_priors_and_bounds_of_numbers():
    problem = Problem("decay")
    priors = {"rate": (0.5, 0.01), "offset": ((0.2, 0.0), (0.05, 0.1))}
    result = dr.fit(problem.bound, problem.observed, problem.start, priors=priors)

    def prior(theta):
        return np.array([(theta[1] - 0.5) / 0.01, (theta[2] - 0.2) / 0.05, theta[3] / 0.1])

    assert_same(result, problem.scipy(prior=prior))
    lower, upper = np.array([-np.inf, 0.9, -np.inf, -0.5]), np.array([1.9, np.inf, np.inf, 0.5])
    bounds = {"height": (-np.inf, 1.9), "rate": (0.9, np.inf), "offset": ((-np.inf, -0.5), (np.inf, 0.5))}
    held = dr.fit(problem.bound, problem.observed, problem.start.clip(lower, upper), bounds=bounds)
    right = problem.scipy(bounds=(lower, upper))
    assert held.status.converged and abs(held.cost - right.cost) <= 1e-4 * right.cost
    assert (held.theta >= lower).all() and (held.theta <= upper).all()
    assert np.abs(held.theta - right.x).max() < 1e-3 and (held.theta == lower).sum() + (held.theta == upper).sum() >= 1


def test_priors_and_bounds_of_a_table():
    problem = Problem("table")
    mean = np.asarray(problem.truth["nodes"]).ravel() + 0.1
    result = dr.fit(problem.bound, problem.observed, problem.start, priors={"nodes": (mean, 0.01)})
    assert_same(result, problem.scipy(prior=lambda theta: (theta[1:] - mean) / 0.01))
    inside = np.r_[problem.start[0], problem.start[1:].clip(0.8, 1.2)]
    held = dr.fit(problem.bound, problem.observed, inside, bounds={"nodes": (0.8, 1.2)})
    right = problem.scipy(bounds=(np.r_[-np.inf, np.full(26, 0.8)], np.r_[np.inf, np.full(26, 1.2)]))
    assert held.status.converged and abs(held.cost - right.cost) <= 1e-4 * right.cost
    assert np.abs(held.theta - right.x).max() < 2e-3 and (held.theta[1:] == 0.8).any() and (held.theta[1:] == 1.2).any()


def test_deviations_are_those_of_linear_regression():
    """Of a pose in its tangent space: against differences of the reference by T exp(delta)."""
    problem = Problem("pose")
    result = dr.fit(problem.bound, problem.observed, problem.start)
    T, step = exponential(result.theta[:6]), 1e-6

    def moved(k, sign):
        delta = np.zeros(7)
        delta[k] = sign * step
        pose = logarithm(T @ exponential(delta[:6]))
        return problem.residuals(np.r_[pose, result.theta[6] + delta[6]])

    J = np.stack([(moved(k, 1) - moved(k, -1)) / (2 * step) for k in range(7)], 1)
    variance = 2 * result.cost / (result.count - 7)
    assert np.allclose(result.covariance, variance * np.linalg.inv(J.T @ J), rtol=1e-3, atol=1e-9)
