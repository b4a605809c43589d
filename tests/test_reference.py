"""The reference renderer: against the ray caster and its differences, and against itself by Taylor's theorem."""

import doctest
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from oracles import renderer as oracle
from renderer_cases import CASES, OUTPUTS, differences, traced

from kernels import losses, reference

EVERY = pytest.mark.parametrize("name", CASES)
BOTH = pytest.mark.parametrize("which", [0, 1], ids=["theta0", "moved"])

# Both images are exact but for rounding, 1e-16, times what the geometry makes of it: at most the distance
# over the radius of a tiny or a huge sphere, and one over the cosine towards a silhouette.
ROUNDING = 1e-12
CONDITION = {"huge sphere": 1e4, "tiny far sphere": 1e3}
# Central differences of steps 1e-6 are exact to 1e-12 times the third derivative; a sphere's grows with the
# inverse fifth power of the cosine, so pixels are compared where that is above 0.2. Rounding adds the image's
# over 1e-6.
DIFFERENCE = 1e-7
DIFFERENCE_ILL_CONDITIONED = 5e-6


@EVERY
@BOTH
def test_image_is_the_ray_casters(name, which):
    case = CASES[name]
    hits, steady = traced(name, which)
    image = reference.render(case.scene, OUTPUTS, free=case.free, theta=case.thetas()[which])
    expected = oracle.image_of(hits, OUTPUTS)
    assert image.shape == expected.shape
    assert np.array_equal(np.isnan(image[steady]), np.isnan(expected[steady]))
    seen = steady & (hits.ids >= 0)
    tolerance = ROUNDING * CONDITION.get(name, 1.0) / np.maximum(hits.cosine[seen], 0.01)
    size = np.maximum(np.abs(expected[seen]), 1.0)
    assert np.all(np.abs(image[seen] - expected[seen]) <= tolerance[:, None] * size)


@EVERY
@BOTH
def test_derivative_is_that_of_the_ray_casters_image(name, which):
    case = CASES[name]
    hits, steady = traced(name, which)
    expected = differences(name, which)
    _, J = reference.jacobian(case.scene, OUTPUTS, free=case.free, theta=case.thetas()[which])
    columns = np.concatenate([expected.columns[output] for output in OUTPUTS], axis=2)
    compared = expected.valid & (steady & ((hits.cosine > 0.2) | (hits.ids < 0)))[..., None]
    error = np.where(compared[:, :, None], J - columns, 0.0)
    size = np.abs(np.where(compared[:, :, None], columns, 0.0)).max(axis=(0, 1, 3))
    worst = np.abs(error).max(axis=(0, 1, 3))
    tolerance = DIFFERENCE_ILL_CONDITIONED if name in CONDITION else DIFFERENCE
    assert np.all(worst <= tolerance * size + 1e-12), worst / np.maximum(size, 1e-12)


@EVERY
def test_taylor_remainder_is_of_second_order(name):
    """|f(theta + h v) - f(theta) - h J v| = O(h^2): halving h divides it by four."""
    case = CASES[name]
    theta = case.thetas()[1]
    rng = np.random.default_rng(2)
    v = rng.uniform(-1.0, 1.0, len(theta)) * case.steps() * 1e3
    image, J = reference.jacobian(case.scene, OUTPUTS, free=case.free, theta=theta)
    hits, _ = traced(name, 1)
    inside = (hits.ids >= 0) & (hits.cosine > 0.2)
    sizes = 0.5 ** np.arange(1, 5)
    remainders = []
    moved = [theta + h * v for h in sizes]
    for there in moved:
        inside &= oracle.trace(oracle.world_at(case.scene, case.free, there)).ids == hits.ids
    if not inside.any():
        assert name == "nothing to see"
        return
    for h, there in zip(sizes, moved, strict=True):
        difference = reference.render(case.scene, OUTPUTS, free=case.free, theta=there) - image
        remainders.append(np.linalg.norm((difference - h * (J @ v))[inside], axis=0))
    remainders = np.array(remainders)
    curved = remainders[0] > 1e-9  # the mask has none, nor have the normals of a plane that keeps its
    slopes = -np.diff(np.log2(remainders[:, curved]), axis=0)
    assert np.all(np.abs(slopes - 2.0) < 0.05), slopes
    assert curved.any()


def test_theta_of_is_the_scenes_numbers():
    for case in CASES.values():
        assert np.array_equal(reference.theta_of(case.scene, case.free), oracle.theta_of(case.scene, case.free))


def test_nothing_free_has_no_columns():
    image, J = reference.jacobian(CASES["plane"].scene)
    assert J.shape == (*image.shape, 0)


def test_theta_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match=r"shape \(3,\), expected \(4,\)"):
        reference.render(CASES["sphere"].scene, free=["ball.radius", "ball.center"], theta=[1.0, 2.0, 3.0])


@pytest.mark.parametrize("loss", losses.LOSSES, ids=lambda loss: loss.__name__)
def test_gradient_is_that_of_the_cost(loss):
    """g against central differences of the cost; H against its definition, row by row."""
    scene, free = CASES["sphere"].scene, ["ball.center", "ball.radius"]
    theta = reference.theta_of(scene, free) + 0.01
    rng = np.random.default_rng(3)
    image, J = reference.jacobian(scene, ["depth"], free=free, theta=theta)
    observed = image + rng.normal(size=image.shape) * 0.1
    weights = rng.uniform(0.0, 2.0, image.shape)
    weights[traced("sphere", 0)[0].cosine < 0.3] = 0.0  # leave the silhouette out: it moves
    weights[10, 10], observed[11, 11], observed[12, 12] = np.nan, np.nan, np.inf

    def equations(at):
        return reference.normal_equations(
            *reference.jacobian(scene, ["depth"], free=free, theta=at), observed, weights, loss, scale=0.1, alpha=-1.3
        )

    here = equations(theta)
    assert here.count == np.sum(np.isfinite(image) & np.isfinite(observed) & (weights > 0))
    steps = 1e-5 * np.eye(4)
    slope = [(equations(theta + h).cost - equations(theta - h).cost) / 2e-5 for h in steps]
    np.testing.assert_allclose(here.g, slope, rtol=1e-6, atol=1e-6 * np.abs(here.g).max())

    H = np.zeros((4, 4))
    for index in np.ndindex(image.shape):
        r, w = image[index] - observed[index], weights[index]
        if np.isfinite(r) and w > 0:
            H += w * loss(r * r, 0.1, -1.3)[1] * np.outer(J[index], J[index])
    np.testing.assert_allclose(here.H, H, rtol=1e-12)


def test_the_example_in_the_docstring():
    assert doctest.testmod(reference, raise_on_error=True).attempted > 0


def test_it_needs_neither_taichi_nor_the_package():
    script = "import sys, kernels.reference; print([m for m in ('taichi', 'diffrt_aot') if m in sys.modules])"
    root = Path(__file__).parents[1]
    output = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"
