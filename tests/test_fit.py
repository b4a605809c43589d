"""Fits: what they recover, how they end, and what they say about it."""

import itertools
import signal
import subprocess
import sys

import numpy as np
import pytest

import diffrt_aot as dr

pytestmark = pytest.mark.every_device

CAMERA = dr.PinholeCamera(120, 90, 110, 108, 60.5, 44.0)
TRUTH = dr.Scene(
    CAMERA,
    {
        "ball": dr.Sphere((0.3, -0.2, 5), 1),
        "floor": dr.Plane((0, 1.2, 0), (0.05, -1, -0.1)),
    },
)
FREE = ["ball.center", "ball.radius"]


def start(offset=0.03):
    return dr.Renderer(
        TRUTH.replace(ball=dr.Sphere(TRUTH.shapes["ball"].center + offset, 1 + offset)), free=FREE, boundary="none"
    )


def observed(noise=0.0, seed=0):
    image = dr.Renderer(TRUTH, boundary="none").render().astype(np.float64)
    return image + noise * np.random.default_rng(seed).normal(size=image.shape)


@pytest.fixture(scope="module")
def image(device):
    return observed()


def inside(renderer, image, margin=0.12):
    """The observed image with a strip around the silhouette left out: interior derivatives do not know it moves."""
    ball = TRUTH.shapes["ball"]
    seen = [
        dr.Renderer(TRUTH.replace(ball=ball.replace(radius=ball.radius + d)), boundary="none")
        .jacobian()[1]
        .primitive_ids
        == 0
        for d in (-margin, margin)
    ]
    return np.where(seen[0] == seen[1], image, np.nan)


@pytest.mark.parametrize("method", ["levenberg-marquardt", "gauss-newton"])
@pytest.mark.parametrize("loss", [None, dr.Huber(0.01), dr.Cauchy(0.02), dr.Barron(1.0, 0.02)], ids=str)
def test_recovers_the_scene(image, method, loss):
    renderer = start()
    result = dr.fit(renderer, inside(renderer, image), method=method, loss=loss)
    assert result.status.converged
    assert np.abs(result.theta - [0.3, -0.2, 5, 1]).max() < 2e-5
    fitted = result.scene.shapes["ball"]
    assert np.allclose(fitted.center, result.theta[:3]) and fitted.radius == pytest.approx(result.theta[3])
    assert result.scene.shapes["floor"] == TRUTH.shapes["floor"]
    assert np.array_equal(renderer.theta0, start().theta0)
    assert result.count == np.isfinite(inside(renderer, image)).sum()
    assert result.rank == 4 and len(result.null_directions) == 0


def test_poses_are_relative_to_the_renderers_scene():
    trimesh = pytest.importorskip("trimesh")
    # Its faces look in many directions: with three planes or more in sight no motion is left unseen.
    stone = trimesh.creation.icosphere(subdivisions=1)
    vertices, faces = stone.vertices * [1.0, 0.8, 0.6], stone.faces
    tilt = np.array([[0.8, 0, 0.6, 0.1], [0, 1, 0, 0.2], [-0.6, 0, 0.8, 4], [0, 0, 0, 1]])
    moved = tilt @ np.array(
        [[1, 0, 0, 0.02], [0, np.cos(0.05), -np.sin(0.05), -0.03], [0, np.sin(0.05), np.cos(0.05), 0.04], [0, 0, 0, 1]]
    )
    truth = dr.Scene(CAMERA, {"thing": dr.Mesh(vertices, faces, moved)})
    renderer = dr.Renderer(
        dr.Scene(CAMERA, {"thing": dr.Mesh(vertices, faces, tilt)}),
        free=["thing.pose"],
        output="depth",
        boundary="none",
    )
    image = dr.Renderer(truth, output="depth", boundary="none").render()
    shifted = [np.roll(image, (i, j), (0, 1)) for i in (-5, 0, 5) for j in (-5, 0, 5)]
    result = dr.fit(renderer, np.where(np.isfinite(shifted).all(0), image, np.nan), loss=dr.Cauchy(0.01))
    assert np.allclose(result.scene.shapes["thing"].T_world_mesh, moved, atol=1e-3)
    assert np.allclose(result.theta, [0.02, -0.03, 0.04, 0.05, 0, 0], atol=2e-3)
    again = dr.Renderer(result.scene, output="depth", boundary="none").render()
    assert np.nanmax(np.abs(again - renderer.render(result.theta))) < 1e-5


def test_history_tells_every_trial(image):
    records = []
    renderer = start()
    result = dr.fit(renderer, inside(renderer, image), callback=records.append)
    assert [r.step for r in records] == list(range(result.steps + 1)) == [r.step for r in result.history]
    assert [r.cost for r in records] == [r.cost for r in result.history]
    accepted = [r.cost / r.count for r in records if r.accepted]
    assert accepted == sorted(accepted, reverse=True)
    assert np.array_equal(records[0].theta, renderer.theta0)
    assert np.array_equal(records[-1].theta, result.theta)
    assert all(b.seconds >= a.seconds for a, b in itertools.pairwise(records))


def test_callback_stops_the_fit(image):
    result = dr.fit(start(), image, callback=lambda record: record.step < 2)
    assert result.status is dr.Status.INTERRUPTED
    assert result.steps == 2
    assert result.cost == min(r.cost for r in result.history)


def test_callback_errors_pass_through(image):
    def callback(record):
        raise RuntimeError("from the callback")

    with pytest.raises(RuntimeError, match="from the callback"):
        dr.fit(start(), image, callback=callback)


def test_ctrl_c_returns_the_best_so_far(image, heeds_interrupts):
    def callback(record):
        if record.step == 1:
            signal.raise_signal(signal.SIGINT)

    result = dr.fit(start(), image, callback=callback)
    assert result.status is dr.Status.INTERRUPTED
    assert np.isfinite(result.theta).all()


CTRL_C = """
import signal, numpy as np, diffrt_aot as dr
signal.signal(signal.SIGALRM, signal.default_int_handler)  # as Ctrl-C would, at a time of our choosing
spheres = {f"s{i}": dr.Sphere((i % 40 / 2 - 10, i // 40 / 2 - 10, 30), 0.6) for i in range(1600)}
scene = dr.Scene(dr.PinholeCamera(640, 480, 500, 500, 320, 240), spheres)
renderer = dr.Renderer(scene, free=[f"{name}.center" for name in spheres], background=0.0, threads=1)
observed = renderer.render() + 0.05 * np.random.default_rng(0).normal(size=(480, 640))
start = renderer.theta0 + 0.05
dr.fit(renderer, observed, start, max_steps=0)  # what is done once takes no time then
signal.setitimer(signal.ITIMER_REAL, 0.05)
result = dr.fit(renderer, observed, start)
print(result.status.name, result.steps)
"""


def test_ctrl_c_between_steps_without_a_callback():
    """4800 parameters: a step takes long enough for the signal to come in the middle of the fit."""
    done = subprocess.run([sys.executable, "-c", CTRL_C], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.startswith("INTERRUPTED")


def test_max_steps(image):
    result = dr.fit(start(), image, max_steps=1)
    assert result.status is dr.Status.MAX_STEPS and result.steps == 1
    assert dr.fit(start(), image, max_steps=0).steps == 0


def test_statuses_are_advice():
    for status in dr.Status:
        assert len(str(status)) > 30
    assert not dr.Status.STALLED.converged


def test_bounds_hold(image):
    renderer = start()
    result = dr.fit(
        renderer, inside(renderer, image), bounds={"ball.radius": (1.01, np.inf), "ball.center": (-9, [9, 9, 5.1])}
    )
    assert result.theta[3] == pytest.approx(1.01, abs=1e-12)
    assert result.status.converged
    assert result.covariance[3, 3] == 0


def test_priors_pull(image):
    renderer = start()
    data = inside(renderer, image)
    free = dr.fit(renderer, data).theta[3]
    loose = dr.fit(renderer, data, priors={"ball.radius": (1.2, 10.0)}).theta[3]
    tight = dr.fit(renderer, data, priors={"ball.radius": (1.2, 1e-6)}).theta[3]
    assert abs(loose - free) < 1e-4
    assert tight == pytest.approx(1.2, abs=1e-4)


def test_covariance_is_that_of_repeated_fits():
    renderer = start(0.0)
    sigma, thetas = 0.003, []
    for seed in range(60):
        result = dr.fit(renderer, inside(renderer, observed(sigma, seed)))
        thetas.append(result.theta)
    predicted = np.sqrt(np.diag(result.covariance))
    seen = np.std(thetas, axis=0, ddof=1)
    # The standard deviation of 60 samples is itself known to 9 %.
    assert np.all(np.abs(seen / predicted - 1) < 0.35)
    assert np.allclose(np.diag(result.covariance_sandwich), np.diag(result.covariance), rtol=0.2)
    assert np.sqrt(result.residual_variance) == pytest.approx(sigma, rel=0.05)


def test_null_directions_are_named():
    """A plane's normal may grow without a change in the image."""
    renderer = dr.Renderer(TRUTH, free=["floor.normal", "ball.radius"], boundary="none")
    result = dr.fit(renderer, observed(1e-3), loss=dr.Huber(0.01))
    assert result.rank == 3
    (direction,) = result.null_directions
    normal = TRUTH.shapes["floor"].normal
    assert np.allclose(np.abs(direction[:3] @ normal) / np.linalg.norm(normal), 1, atol=1e-3)
    assert "floor.normal" in result.null_names[0]
    assert np.isinf(np.diag(result.covariance)[:3]).all() and np.isfinite(result.covariance[3, 3])


def test_a_mask_alone_has_no_interior_derivative():
    """Which the result says, instead of a fit that pretends."""
    renderer = dr.Renderer(dr.Scene(CAMERA, {"ball": TRUTH.shapes["ball"]}), free=FREE, output="mask", boundary="none")
    result = dr.fit(renderer, renderer.render())
    assert result.rank == 0
    assert len(result.null_directions) == 4


def test_weights_choose_the_pixels(image):
    renderer = start()
    spoilt = np.where(np.arange(120) % 3 == 0, image + 1, image)
    weights = np.where(np.arange(120) % 3 == 0, 0.0, 2.0) * np.ones_like(image)
    weights[np.isnan(inside(renderer, image))] = 0
    result = dr.fit(renderer, spoilt, weights=weights)
    assert np.abs(result.theta - [0.3, -0.2, 5, 1]).max() < 3e-5
    assert result.count == np.count_nonzero(weights[np.isfinite(image)])


def test_the_fit_does_not_change_its_arguments(image):
    renderer, data = start(), image.copy()
    theta = renderer.theta0.copy()
    dr.fit(renderer, data, theta)
    assert np.array_equal(data, image, equal_nan=True)
    assert np.array_equal(theta, renderer.theta0)
    assert np.array_equal(renderer.render(), start().render(), equal_nan=True)
