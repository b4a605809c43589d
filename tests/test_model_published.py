"""Models beside numbers that others have published: ADBench's (github.com/microsoft/ADBench, MIT licence)."""

import model_examples
import numpy as np
import pytest

pytest.importorskip("llvmlite")

# test/python/modules/common/ba_tests.py: the objective and the rows of J of its data/ba/test.txt, each twice below 30
# rows alike. By rotation, centre, focal length, principal point, distortion; the point; the weight.
WEIGHT = 0.417022
RESIDUALS = (-2.69048849235189402e-01, 2.59944792677901881e-01, 8.26092651515999976e-01)
ROWS = (
    *(2.28877202208246757e02, 6.34574811495545418e02, -7.82222866259340549e02, 2.42892615607159668e00),
    *(-1.17828079628011313e01, 2.54169312487743460e00, -1.03657084958518086e00, 4.17022e-01, 0.0),
    *(-3.50739521096005205e02, -9.12107773668008576e02, -2.42892615607159668e00, 1.17828079628011313e01),
    *(-2.54169312487743460e00, -6.45167039712987389e-01),
    *(-1.20542435994996879e02, -3.85673240766460424e02, 9.75476291403326456e01, -1.78372108529576567e00),
    *(4.15466799433126077e00, 2.04025718029898906e00, 3.49176397433145880e-01, 0.0, 4.17022e-01),
    *(1.18149147704414503e02, 3.07250108960343255e02, 1.78372108529576567e00, -4.15466799433126077e00),
    *(-2.04025718029898906e00, 6.23335921553064054e-01),
)
# The file itself was not to be had; what it holds follows from these numbers, but for what they do not depend on: where
# the origin is, and how what is seen parts from the principal point.
ROTATION, FOCAL, DISTORTION = (1.797201, 0.590697, -0.635786), 211.628116, (0.058931, 0.069976)
POINT_FROM_CAMERA = (-86.686502, -23.774517, -27.373665)


def test_bundle_adjustment():
    """Ten observations of ten points by two cameras: what is alike, so are rows."""
    bundle, n = model_examples.load("bundle"), 10
    camera = (*ROTATION, 10.0, -4.0, 2.0, FOCAL, 0.0, 0.0, *DISTORTION)
    point = np.add(POINT_FROM_CAMERA, (10.0, -4.0, 2.0))
    theta = {"cameras": np.tile(camera, (2, 1)), "points": np.tile(point, (n, 1)), "confidence": np.full(n, WEIGHT)}
    data = {"camera": np.arange(n) % 2, "point": np.arange(n)}
    shown = bundle.reference(theta, shape=n, seen=np.zeros((n, 2)), **data)[:, :2]
    seen = (shown - RESIDUALS[:2]) / WEIGHT
    right = np.reshape(ROWS, (2, 15))
    for value, J, tolerance in (
        (*bundle.reference_jacobian(theta, shape=n, seen=seen, **data), 2e-6),
        (*dense(bundle.compile().jacobian(theta, shape=n, seen=seen, **data)), 1e-5),
    ):
        assert J.shape == (n, 3, 22 + 3 * n + n) and np.count_nonzero(J) == n * (2 * 14 + 1)
        np.testing.assert_allclose(value, np.tile(RESIDUALS, (n, 1)), rtol=2e-4)
        for i in range(n):
            columns = [*range(11 * (i % 2), 11 * (i % 2) + 11), *range(22 + 3 * i, 25 + 3 * i), 22 + 3 * n + i]
            row = J[i][:, columns]
            np.testing.assert_allclose(row[:2, :14], right[:, :14], rtol=tolerance, atol=tolerance * 1e-2)
            np.testing.assert_allclose(row[:2, 14], right[:, 14], rtol=2e-4)
            assert row[2, 14] == pytest.approx(-8.34044e-01, rel=1e-6) and not row[2, :14].any()


def dense(found):
    value, J = found
    return value, J.dense()


def test_a_mixture_of_gaussians():
    """The same objective by NumPy, whose gradient is that of differences."""
    gmm, rng, n = model_examples.load("gmm"), np.random.default_rng(5), 40
    theta = {"alphas": rng.normal(size=3), "means": rng.normal(size=(3, 2)), "icf": 0.5 * rng.normal(size=(3, 3))}
    x = rng.normal(size=(n, 2))

    def objective(flat):
        alphas, means, icf = flat[:3], flat[3:9].reshape(3, 2), flat[9:].reshape(3, 3)
        total = -n * np.log(np.exp(alphas).sum())
        for point in x:
            densities = []
            for alpha, mean, (a, b, below) in zip(alphas, means, icf, strict=True):
                Q = np.array([[np.exp(a), 0.0], [below, np.exp(b)]])
                densities.append(np.exp(alpha + a + b - 0.5 * np.sum((Q @ (point - mean)) ** 2)))
            total += np.log(sum(densities))
        return total

    compiled = gmm.compile()
    flat = compiled.parameters(**theta)
    steps = 1e-6 * np.eye(flat.size)
    right = [(objective(flat + h) - objective(flat - h)) / 2e-6 for h in steps]
    value, J = compiled.jacobian(theta, shape=n, x=x)
    assert value.sum() == pytest.approx(objective(flat), rel=1e-6)
    np.testing.assert_allclose(J.dense().sum(0), right, rtol=1e-4, atol=1e-4)
