"""Exact boundaries: J is the derivative of the image that is returned, in every form, whoever computes it."""

import math

import numpy as np
import pytest
from boundary_cases import (
    BACKGROUND,
    EVERY_VIEW,
    OUTPUTS,
    VIEWS,
    Rendered,
    View,
    block_sizes,
    crossed_of,
    outputs_of,
    renderer,
)
from hypothesis import assume, given
from oracles import renderer as oracle
from renderer_cases import BIG, CASES, everything
from test_normal_equations import LOSSES, assert_agree, observation, sums
from test_renderer_properties import FEW, camera_is_clear_of, scenes
from test_renderer_repeatable import assert_same_bits, everything_of

import diffrt_aot as dr

pytestmark = pytest.mark.every_device

# Of the pixels that are crossed, how many may be left out because a corner or a vertex passes a side of theirs.
EXCLUDED = 0.01


def channels_of(outputs):
    return np.repeat(outputs, [oracle.CHANNELS[output] for output in outputs])


# Taylor's theorem: |f(theta + h d) - f(theta) - h J d| = O(h^2), halving h divides it by four.


def remainders(rendered, direction, steps):
    """(K, H, W, C), of each step."""
    image, J = rendered.jacobian()
    slope = J @ direction
    return np.stack([np.abs(rendered.render(rendered.theta0 + h * direction) - image - h * slope) for h in steps])


def without_worst(remainder, count):
    """(K, N), the remainders (K, H, W) without the `count` pixels that scale least like h^2."""
    rows = remainder.reshape(len(remainder), -1)
    scaled = rows * 4.0 ** np.arange(len(rows))[:, None]
    worst = np.argsort(np.ptp(scaled, axis=0))
    return rows[:, worst[: len(worst) - count]]


@pytest.mark.every_device(False)
@EVERY_VIEW
def test_taylor_remainder_of_the_reference(name):
    """Four octaves, from edges that move by 1/500 px."""
    steps = 2e-3 * 0.5 ** np.arange(5)
    shown = VIEWS[name]
    pixels = remainders(Rendered("reference", shown, outputs_of(name)), shown.direction(0), steps)
    count = math.ceil(EXCLUDED * crossed_of(name).sum())
    for channel, output in enumerate(channels_of(outputs_of(name))):
        norms = np.linalg.norm(without_worst(pixels[..., channel], count), axis=1)
        if output == "mask" and norms[0] < 1e-12:  # another object, or the edge of nothing, is all around
            continue
        slopes = -np.diff(np.log2(norms))
        assert np.all(np.abs(slopes - 2.0) < 0.05), (output, channel, slopes)


@EVERY_VIEW
def test_taylor_remainder_of_the_device(name):
    """In single precision steps are thirty times as long, and more corners pass sides: two octaves, less closely."""
    steps = 0.06 * 0.5 ** np.arange(3)
    shown = VIEWS[name]
    pixels = remainders(Rendered("device", shown, outputs_of(name)), shown.direction(0), steps)
    count = math.ceil(5 * EXCLUDED * crossed_of(name).sum())
    for channel, output in enumerate(channels_of(outputs_of(name))):
        norms = np.linalg.norm(without_worst(pixels[..., channel], count), axis=1)
        if output == "mask" and norms[0] < 1e-4:
            continue
        slopes = -np.diff(np.log2(norms))
        assert np.all(np.abs(slopes - 2.0) < 0.3), (output, channel, slopes)


# The device against the reference.


@EVERY_VIEW
@pytest.mark.parametrize("moved", [0.0, 1.0], ids=["theta0", "moved"])
def test_device_is_the_reference(name, moved):
    shown = VIEWS[name]
    theta = shown.theta0 + moved * shown.direction(3)
    image, J = Rendered("reference", shown, outputs_of(name)).jacobian(theta)
    other, columns = Rendered("device", shown, outputs_of(name)).jacobian(theta)
    errors = [np.abs(other - image).max(axis=-1) / 1e-3]
    for channel in range(J.shape[2]):
        sizes = block_sizes(shown, J[:, :, channel])
        # Sides that differ by nothing but rounding have columns of rounding.
        tolerance = 2e-3 * sizes + 1e-5 * np.maximum(np.abs(J).max(axis=(0, 1, 2)), 1.0)
        errors.append((np.abs(columns - J)[:, :, channel] / tolerance).max(axis=-1))
    # Rounding may put a vertex or a ridge on the other side of what decides.
    worst = np.sort(np.max(errors, axis=0).ravel())
    assert worst[-1 - math.ceil(EXCLUDED * crossed_of(name).sum())] <= 1.0, worst[-5:]


@pytest.mark.parametrize("name", CASES)
def test_device_is_the_reference_in_every_scene(name):
    """Shapes across the camera plane, a camera inside one, huge and tiny ones: relative to the largest entries."""
    case = CASES[name]
    outputs, theta = ["mask", "depth", "normal"], case.thetas()[1]
    rendered = [Rendered(by, View(case.scene, case.free), outputs, [0.0] * 3) for by in ("reference", "device")]
    (image, J), (other, columns) = (r.jacobian(theta) for r in rendered)
    assert np.all(np.isfinite(other)) and np.all(np.isfinite(columns))
    assert np.all(np.abs(other - image) <= 1e-4 * case.amplify * (np.abs(image).max(axis=(0, 1)) + 1e-3))
    sizes = np.abs(J).max(axis=(0, 1)) + 1e-3 * np.abs(J).max(axis=(0, 1, 3), initial=0.0)[:, None]
    assert np.all(np.abs(columns - J) <= 2e-3 * sizes + 1e-6)


@FEW
@given(scenes)
def test_random_scenes_stay_in_range(scene):
    """Whatever meets in a pixel: all is finite, coverage is between 0 and 1, normals are not longer than 1."""
    assume(camera_is_clear_of(scene))
    shown = dr.Renderer(scene, free=everything(scene), output=["mask", "normal", "shade"], boundary="exact")
    image, J = shown.jacobian()
    assert np.all(np.isfinite(image)) and np.all(np.isfinite(J.dense()))
    assert np.all((image[..., [0, 4]] >= -1e-6) & (image[..., [0, 4]] <= 1 + 1e-6))
    assert np.all(np.linalg.norm(image[..., 1:4], axis=-1) <= 1 + 1e-5)


# Forms of J and sums over it. Rows at silhouettes have entries of several objects.

SHARED = {
    "overlapping shapes": (CASES["overlapping shapes"].scene, CASES["overlapping shapes"].free),
    "overlapping shapes, free vertices": (
        CASES["overlapping shapes, camera rotated, free vertices"].scene,
        CASES["overlapping shapes, camera rotated, free vertices"].free,
    ),
    "sphere": (VIEWS["sphere"].scene, VIEWS["sphere"].free),
    "sphere alone": (VIEWS["sphere"].scene, ["ball.radius", "ball.center"]),
    "sphere before free vertices": (
        VIEWS["sphere before free vertices"].scene,
        VIEWS["sphere before free vertices"].free,
    ),
    "one object free of two": (VIEWS["mesh before a sphere"].scene, ["ball.center"]),
    "spheres smaller than pixels": (
        dr.Scene(
            dr.PinholeCamera(24, 16, 30, 30, 11.7, 8.2),
            {f"s{k}": dr.Sphere((0.09 * (k % 8) - 0.3, 0.11 * (k // 8) - 0.2, 3.0), 0.03) for k in range(32)},
        ),
        [f"s{k}.{field}" for k in range(32) for field in ("center", "radius")],
    ),
}
EVERY_SHARED = pytest.mark.parametrize("name", SHARED)
ONE_OR_ALL = pytest.mark.parametrize("outputs", [["distance"], OUTPUTS], ids=["one channel", "all"])


def shared(name, outputs, **options):
    scene, free = SHARED[name]
    background = [BACKGROUND[output] for output in outputs]
    return renderer(View(scene, list(free)), outputs if len(outputs) > 1 else outputs[0], background, **options)


def moved_theta(shown):
    return shown.theta0 + 1e-2 * np.random.default_rng(5).normal(size=len(shown.theta0))


@EVERY_SHARED
@ONE_OR_ALL
def test_forms_and_products_agree(name, outputs):
    shown = shared(name, outputs)
    image, J = shown.jacobian(moved_theta(shown))
    dense = J.dense().astype(float)
    P = dense.shape[-1]
    assert dense.shape == J.shape == (*image.shape, P) and np.all(np.isfinite(dense)) and np.all(np.isfinite(image))
    np.testing.assert_allclose(shown.render(moved_theta(shown)), image, rtol=1e-6, atol=5e-6)

    sparse = J.to_scipy()
    assert sparse.has_canonical_format
    assert np.array_equal(sparse.toarray().reshape(dense.shape), J.dense())

    # Entries of several objects are added in float32 in one and in float64 in the other.
    sizes = np.abs(dense).max(axis=tuple(range(dense.ndim - 1)), initial=0.0)
    columns = J @ np.eye(P)
    assert np.all(np.abs(columns - dense) <= 1e-6 * (np.abs(dense) + 0.1 * sizes))

    rng = np.random.default_rng(6)
    V, w = rng.normal(size=(P, 3)), rng.normal(size=image.shape)
    product = J @ V
    terms = np.abs(dense) @ np.abs(V)
    assert np.all(np.abs(product - columns @ V) <= 1e-12 * (terms + sizes @ np.abs(V)))
    left, right = np.sum(product[..., 0] * w), V[:, 0] @ (J.T @ w)
    assert abs(left - right) <= 1e-12 * np.sum(np.abs(w) * terms[..., 0])
    expected = w.ravel() @ columns.reshape(-1, P)
    assert np.all(np.abs(J.T @ w - expected) <= 1e-12 * (np.abs(w).ravel() @ np.abs(columns).reshape(-1, P)))


@EVERY_SHARED
@ONE_OR_ALL
@pytest.mark.parametrize("loss", ["least squares", "cauchy"])
def test_normal_equations_are_those_of_the_dense_jacobian(name, outputs, loss):
    shown = shared(name, outputs)
    theta = moved_theta(shown)
    image, J = shown.jacobian(theta)
    make, shape = LOSSES[loss]
    observed = observation(image, 0.1)
    weights = np.random.default_rng(7).uniform(0.0, 2.0, image.shape)
    weights[::5] = 0.0
    equations = shown.normal_equations(theta, observed, weights, make(0.1))
    assert_agree(shown, equations, sums(image, J, observed, weights, shape, 0.1))
    cost, count = shown.cost(theta, observed, weights, make(0.1))
    assert cost == pytest.approx(equations.cost, rel=1e-6) and count == equations.count


@pytest.mark.parametrize("name", [*SHARED, "large"])
def test_same_bits_for_any_number_of_threads(name, monkeypatch):
    monkeypatch.setitem(SHARED, "large", (BIG.scene, BIG.free))
    theta = moved_theta(shared(name, OUTPUTS))
    expected = everything_of(shared(name, OUTPUTS, threads=1), theta)
    for threads in (1, 2, 3):
        shown = shared(name, OUTPUTS, threads=threads)
        for _ in range(2):
            assert_same_bits(everything_of(shown, theta), expected)


@EVERY_SHARED
def test_whatever_was_computed_in_between(name):
    """Storage is used again: rows of another theta must not show, and results that live stay as they are."""
    shown = shared(name, OUTPUTS)
    here, there = shown.theta0, moved_theta(shown)
    expected = {key: np.array(value) for key, value in everything_of(shown, here).items()}
    _, held = shown.jacobian(here)
    everything_of(shown, there)
    assert_same_bits(everything_of(shown, here), expected)
    assert held.dense().tobytes() == expected["dense"].tobytes()


@EVERY_SHARED
def test_gradient_is_the_slope_of_the_cost(name):
    """g against a central difference of the cost along a random direction: silhouettes count in it."""
    shown = shared(name, ["mask", "depth"])
    theta = shown.theta0
    rng = np.random.default_rng(8)
    direction = rng.normal(size=len(theta)) * 1e-3
    observed = shown.render(theta).astype(float) + rng.normal(size=(*shown.scene.camera.image_shape, 2))
    equations = shown.normal_equations(theta, observed)
    ahead, behind = (shown.cost(theta + sign * direction, observed)[0] for sign in (1, -1))
    _, J = shown.jacobian(theta)
    size = np.linalg.norm(J @ direction) * np.sqrt(2 * equations.cost)
    assert abs((ahead - behind) / 2 - equations.g @ direction) <= 2e-2 * size


def test_the_list_of_outputs_is_its_parts():
    """Mask and depth together are mask and depth alone, value and columns."""
    together = Rendered("device", VIEWS["mesh before a sphere"], OUTPUTS)
    image, J = together.jacobian()
    for output in OUTPUTS:
        alone, columns = Rendered("device", VIEWS["mesh before a sphere"], [output]).jacobian()
        chosen = channels_of(OUTPUTS) == output
        np.testing.assert_allclose(alone, image[..., chosen], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(columns, J[:, :, chosen], rtol=1e-5, atol=1e-5 * np.abs(columns).max())


@pytest.mark.parametrize("outputs", ["distance", OUTPUTS], ids=["one channel", "all"])
def test_spheres_do_not_mind_a_plane_that_nobody_sees(outputs):
    """Tiles with spheres alone have kernels of their own, which a plane behind the camera keeps from being taken."""
    spheres = {
        "left": dr.Sphere((-0.6, 0.1, 5.0), 1.0),
        "right": dr.Sphere((0.5, -0.2, 6.0), 1.1),
        "near": dr.Sphere((0.1, 0.7, 4.0), 0.4),
        "small": dr.Sphere((0.9, 0.9, 4.5), 0.02),
    }
    behind = {"plane": dr.Plane((0.0, 0.0, -10.0), (0.0, 0.0, 1.0))}
    camera = dr.PinholeCamera(width=90, height=70, fx=90, fy=88, cx=44, cy=35)
    free = [f"{name}.{part}" for name in spheres for part in ("center", "radius")]
    options = {"free": free, "output": outputs, "background": 0.0, "boundary": "exact"}
    alone, beside = (dr.Renderer(dr.Scene(camera, shapes), **options) for shapes in (spheres, spheres | behind))
    (image, J), (expected, expected_J) = alone.jacobian(), beside.jacobian()
    assert np.count_nonzero(image) > 1000
    np.testing.assert_allclose(image, expected, rtol=1e-6, atol=1e-6)
    scale = np.abs(expected_J.dense()).max()
    np.testing.assert_allclose(J.dense(), expected_J.dense(), rtol=1e-5, atol=1e-6 * scale)
    observed = np.zeros_like(image)
    ne, expected_ne = (r.normal_equations(r.theta0, observed) for r in (alone, beside))
    assert_agree(alone, ne, (expected_ne.H, expected_ne.g, expected_ne.cost, expected_ne.count), 1e-5)
