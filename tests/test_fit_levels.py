"""Coarse-to-fine fits: what the coarse levels see, what they share, and how far they reach."""

import itertools
import json
import signal

import numpy as np
import pytest

import diffrt_aot as dr
from diffrt_aot.cli import main
from diffrt_aot.scene_file import FitSettings, load_scene_file, save_scene_file

pytestmark = pytest.mark.every_device

CAMERA = dr.PinholeCamera(162, 121, 110, 108, 80.5, 59.0)  # neither side divides by 4
TRUTH = dr.Scene(
    CAMERA,
    {
        "ball": dr.Sphere((0.3, -0.2, 5), 1),
        "floor": dr.Plane((0, 1.2, 0), (0.05, -1, -0.1)),
    },
)
FREE = ["ball.center", "ball.radius"]
START = TRUTH.replace(ball=dr.Sphere((0.5, -0.1, 5.1), 1.05))
LOSS = dr.Huber(0.01)
METHODS = ["levenberg-marquardt", "gauss-newton"]


def renderer_of(scene=START, free=FREE, **options):
    return dr.Renderer(scene, free=free, boundary="none", **{"output": "depth", **options})


@pytest.fixture(scope="module")
def image(device):
    return renderer_of(TRUTH).render().astype(np.float64)


def coarse_camera(camera, s):
    return camera.replace(
        width=camera.width // s,
        height=camera.height // s,
        fx=camera.fx / s,
        fy=camera.fy / s,
        cx=(camera.cx + 0.5) / s - 0.5,
        cy=(camera.cy + 0.5) / s - 0.5,
    )


def box(image, s):
    """Sums over blocks of s x s pixels, of those that are whole."""
    height, width = (n // s for n in image.shape[:2])
    return image[: height * s, : width * s].reshape(height, s, width, s, *image.shape[2:]).sum((1, 3))


def box_filtered(observed, weights, s):
    valid = np.isfinite(observed) & (weights > 0)
    w = np.where(valid, weights, 0)
    known = 2 * box(valid.astype(float), s) >= s * s
    with np.errstate(invalid="ignore"):
        mean = box(w * np.where(valid, observed, 0), s) / box(w, s)
    return np.where(known, mean, np.nan), np.where(known, box(w, s), 0)


def case(kind):
    """Observed and weights of two channels, with holes of each kind."""
    rng = np.random.default_rng(3)
    observed = renderer_of(TRUTH, output=["depth", "shade"]).render().astype(np.float64)
    observed += 0.01 * rng.normal(size=observed.shape)
    observed[rng.random(observed.shape) < 0.3] = np.nan
    observed[40:47, 30:39, 0] = np.inf
    if kind == "no weights":
        return observed, None
    weights = rng.uniform(0.5, 2, observed.shape if kind == "per channel" else observed.shape[:2])
    weights[rng.random(weights.shape) < 0.2] = 0
    weights[rng.random(weights.shape) < 0.1] = np.nan
    return observed, weights


@pytest.mark.parametrize("kind", ["no weights", "per pixel", "per channel"])
@pytest.mark.parametrize("loss", [None, dr.Cauchy(0.05)], ids=str)
def test_a_coarse_level_is_the_fit_to_the_box_filtered_image(kind, loss):
    observed, weights = case(kind)
    full = renderer_of(output=["depth", "shade"], free=[*FREE, "camera.principal", "camera.focal"])
    starts = {}
    theta0 = full.theta0 + np.array([0.01, 0, 0, 0, 0.5, -0.3, 1, 2])

    def callback(record):
        starts.setdefault(record.level, record)

    dr.fit(full, observed, theta0, weights=weights, loss=loss, levels=3, callback=callback)
    assert list(starts) == [2, 1, 0]
    everywhere = np.ones(observed.shape) if weights is None else weights
    everywhere = np.broadcast_to(everywhere if everywhere.ndim == 3 else everywhere[..., None], observed.shape)
    for level, record in starts.items():
        scene = full.scene_at(record.theta)
        s = 2**level
        coarse = renderer_of(scene.replace(camera=coarse_camera(scene.camera, s)), output=["depth", "shade"])
        seen, worth = box_filtered(observed, everywhere, s)
        cost, count = coarse.cost(None, seen, worth, loss)
        assert count == record.count
        assert record.cost == pytest.approx(cost, rel=1e-4)


def test_the_cost_keeps_its_scale():
    renderer = dr.Renderer(textured(), free=["wall.point"], output="distance", boundary="none")
    observed = renderer.render() + 0.1
    for loss in (None, dr.Cauchy(0.05)):
        starts = [dr.fit(renderer, observed, loss=loss, levels=n, max_steps=1).history[0] for n in (1, 2, 3)]
        assert [r.level for r in starts] == [0, 1, 2]
        assert [r.cost for r in starts] == pytest.approx([starts[0].cost] * 3, rel=0.05)


def test_strides_and_precisions_do_not_matter(image):
    wide = np.full((121, 324), np.nan, np.float32)
    wide[:, ::2] = image
    thetas = [
        dr.fit(renderer_of(), seen, loss=LOSS, levels=3).theta
        for seen in (wide[:, ::2], image.astype(np.float32), np.asfortranarray(image.astype(np.float32)))
    ]
    assert np.array_equal(thetas[0], thetas[1]) and np.array_equal(thetas[0], thetas[2])


def test_one_level_is_the_plain_fit(image):
    plain = dr.fit(renderer_of(), image, loss=LOSS)
    one = dr.fit(renderer_of(), image, loss=LOSS, levels=1)
    assert np.array_equal(plain.theta, one.theta) and plain.steps == one.steps
    assert all(r.level == 0 for r in one.history)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("levels", [2, 3, 4])
def test_recovers_the_scene(image, method, levels):
    result = dr.fit(renderer_of(), image, loss=dr.Cauchy(0.02), method=method, levels=levels)
    assert result.status.converged
    assert np.abs(result.theta - [0.3, -0.2, 5, 1]).max() < 1e-3
    alone = dr.fit(renderer_of(), image, result.theta, loss=dr.Cauchy(0.02), method=method, max_steps=0)
    assert (result.cost, result.count) == (alone.cost, alone.count)
    assert np.array_equal(result.H, alone.H) and np.array_equal(result.covariance, alone.covariance)


def test_history_and_steps_are_those_of_all_levels(image):
    records = []
    result = dr.fit(renderer_of(), image, loss=LOSS, levels=3, callback=records.append)
    assert [r.level for r in records] == sorted((r.level for r in records), reverse=True)
    assert [(r.step, r.level, r.cost, r.count, r.accepted) for r in records] == [
        (r.step, r.level, r.cost, r.count, r.accepted) for r in result.history
    ]
    assert result.history[-1].step == result.steps == len(records) - 3
    for a, b in itertools.pairwise(records):
        assert b.step - a.step == (1 if a.level == b.level else 0)
        assert b.seconds >= a.seconds
        if a.level != b.level:  # a level starts where the one before ended
            assert np.array_equal(a.theta, b.theta) and b.accepted
    assert np.array_equal(records[-1].theta, result.theta)
    assert np.array_equal(records[0].theta, renderer_of().theta0)


@pytest.mark.parametrize("budget", [0, 1, 2, 4])
def test_the_levels_share_the_budget(image, budget):
    renderer = renderer_of()
    result = dr.fit(renderer, image, loss=LOSS, levels=3, max_steps=budget)
    assert result.steps == budget and result.status is dr.Status.MAX_STEPS
    assert (result.cost, result.count) == pytest.approx(renderer.cost(result.theta, image, loss=LOSS))
    assert result.history[-1].level == 0 and result.history[-1].cost == result.cost


# ---- intrinsics: theta is in pixels of the full size --------------------------------------------------


def textured():
    """A scene without silhouettes in which focal lengths and principal point can be told apart."""
    planes = {"wall": dr.Plane((0, 0, 6), (0.3, 0.2, -1)), "floor": dr.Plane((0, 1.5, 0), (0, -1, 0.1))}
    return dr.Scene(CAMERA, planes)


@pytest.mark.parametrize("free", [["camera.focal"], ["camera.principal"], ["camera.principal", "camera.focal"]])
@pytest.mark.parametrize("method", METHODS)
def test_intrinsics(free, method):
    truth = textured()
    observed = dr.Renderer(truth, output="distance", boundary="none").render()
    renderer = dr.Renderer(truth, free=free, output="distance", boundary="none")
    expected = renderer.theta0
    offset = 8 * np.cos(np.arange(len(expected)))
    result = dr.fit(renderer, observed, expected + offset, method=method, levels=3, loss=dr.Huber(0.1))
    assert result.status.converged
    assert np.abs(result.theta - expected).max() < 1e-2
    first = next(r for r in result.history if r.step == 1)
    assert first.level == 2 and 0.5 < first.gain_ratio < 2


def test_priors_are_in_pixels_of_the_full_size():
    truth = textured()
    observed = dr.Renderer(truth, output="distance", boundary="none").render()
    renderer = dr.Renderer(truth, free=["camera.principal", "camera.focal"], output="distance", boundary="none")
    thetas = []
    mean = np.array([82.0, 57.0])
    result = dr.fit(
        renderer,
        observed,
        renderer.theta0 + 1,
        levels=3,
        priors={"camera.principal": (mean, 1e-6)},
        callback=lambda record: thetas.append((record.step, record.theta)),
    )
    assert np.abs(result.theta[:2] - mean).max() < 1e-3
    assert all(np.abs(theta[:2] - mean).max() < 1e-2 for step, theta in thetas if step > 0)


def test_bounds_are_in_pixels_of_the_full_size():
    truth = textured()
    observed = dr.Renderer(truth, output="distance", boundary="none").render()
    renderer = dr.Renderer(truth, free=["camera.principal", "camera.focal"], output="distance", boundary="none")
    thetas = []
    result = dr.fit(
        renderer,
        observed,
        [84, 62, 112, 112],
        levels=3,
        bounds={"camera.principal": ([82, -np.inf], np.inf), "camera.focal": (100, [112, 120])},
        callback=lambda record: thetas.append(record.theta),
    )
    assert result.theta[0] == 82
    assert all(theta[0] >= 82 and 100 <= theta[2] <= 112 and theta[3] <= 120 for theta in thetas)


# ---- ends ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop_at", [0, 1])
def test_a_callback_stops_it_at_a_coarse_level(image, stop_at):
    renderer = renderer_of()
    records = []

    def callback(record):
        records.append(record)
        return record.step < stop_at

    result = dr.fit(renderer, image, loss=LOSS, levels=3, callback=callback)
    assert result.status is dr.Status.INTERRUPTED and result.steps == stop_at
    assert [r.level for r in records] == [2] * (stop_at + 1)
    assert np.array_equal(result.theta, records[-1].theta)
    assert (result.cost, result.count) == pytest.approx(renderer.cost(result.theta, image, loss=LOSS))
    assert result.covariance is not None


def test_ctrl_c_at_a_coarse_level_returns_the_best_so_far(image, heeds_interrupts):
    def callback(record):
        if record.step == 1:
            signal.raise_signal(signal.SIGINT)

    result = dr.fit(renderer_of(), image, loss=LOSS, levels=3, callback=callback)
    assert result.status is dr.Status.INTERRUPTED and result.steps == 1
    assert np.isfinite(result.theta).all()


def test_callback_errors_pass_through(image):
    def callback(record):
        raise RuntimeError(f"at level {record.level}")

    with pytest.raises(RuntimeError, match="at level 2"):
        dr.fit(renderer_of(), image, levels=3, callback=callback)


def test_a_level_without_residuals_is_skipped():
    scene = dr.Scene(CAMERA, {"dot": dr.Sphere((0.02, 0.02, 5), 0.06)})  # 1.3 px: no coarse pixel's centre sees it
    result = dr.fit(dr.Renderer(scene, free=["dot.center"], output="depth", boundary="none"), np.full((121, 162), 4.9))
    assert result.count > 0
    renderer = dr.Renderer(scene, free=["dot.center"], output="depth", boundary="none")
    again = dr.fit(renderer, np.full((121, 162), 4.9), levels=3)
    assert [(r.level, r.count) for r in again.history[:1]] == [(2, 0)]
    assert np.isfinite(again.theta).all() and again.count > 0 and again.status is not dr.Status.NO_RESIDUALS


def test_nothing_observed(image):
    result = dr.fit(renderer_of(), np.full_like(image, np.nan), levels=3)
    assert result.status is dr.Status.NO_RESIDUALS and result.steps == 0


# ---- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [0, -1, 2.5, "3", True, None, 3.0])
def test_levels_must_be_a_whole_number(image, levels):
    with pytest.raises(dr.InvalidValueError, match=r"levels: must be a whole number >= 1"):
        dr.fit(renderer_of(), image, levels=levels)


@pytest.mark.parametrize("levels", [5, 40, 10**12])
def test_more_levels_than_the_image_bears(image, levels):
    with pytest.raises(dr.InvalidValueError, match=r"levels: at most 4 for an image of 162 x 121"):
        dr.fit(renderer_of(), image, levels=levels)
    assert dr.fit(renderer_of(), image, levels=np.int64(4), max_steps=1).steps == 1


def test_the_rest_is_checked_before_anything_is_done(image):
    called = []
    for bad, message in (
        ({"weights": -np.ones_like(image)}, "weights: some are negative"),
        ({"cost_tolerance": -1.0}, "cost_tolerance"),
        ({"bounds": {"ball.radius": (2, 3)}}, "outside its bounds"),
        ({"observed": image[:-1]}, "observed: has shape"),
    ):
        with pytest.raises(ValueError, match=message):
            dr.fit(renderer_of(), **{"observed": image, **bad}, levels=3, callback=called.append)
    assert not called


# ---- reach -----------------------------------------------------------------------------------------------


def exact(scene, free, output="mask"):
    """A renderer whose silhouettes pull; skips where they do not yet."""
    try:
        return dr.Renderer(scene, free=free, output=output, boundary="exact")
    except dr.InvalidValueError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("radius", [16, 25, 40])
@pytest.mark.parametrize("direction", range(0, 360, 60))
@pytest.mark.parametrize("free_radius", [False, True])
def test_a_mask_from_15_pixels_away(radius, direction, free_radius):
    camera = dr.PinholeCamera(160, 120, 200, 200, 79.5, 59.5)
    z = 200.0  # a unit is a pixel
    truth = dr.Scene(camera, {"ball": dr.Sphere((3.3, -2.2, z), radius)})
    free = ["ball.center", *(["ball.radius"] if free_radius else [])]
    observed = exact(truth, free).render()
    angle = np.radians(direction)
    away = truth.replace(ball=dr.Sphere((3.3 + 15 * np.cos(angle), -2.2 + 15 * np.sin(angle), z), radius))
    records = []
    result = dr.fit(
        exact(away, free),
        observed,
        levels=3,
        bounds={"ball.center": ([-np.inf, -np.inf, z], [np.inf, np.inf, z])},
        callback=records.append,
    )
    assert result.status.converged
    assert np.abs(result.theta[:2] - [3.3, -2.2]).max() < 0.01
    arrived = next(r.step for r in records if np.abs(r.theta[:2] - [3.3, -2.2]).max() < 0.01 and r.level == 0)
    assert arrived <= 12 and result.steps <= 14


# ---- the command -----------------------------------------------------------------------------------------


def test_the_command_takes_levels(capsys, tmp_path, monkeypatch, image):
    monkeypatch.chdir(tmp_path)
    settings = FitSettings(free=["ball.center", "ball.radius"], output="depth", loss=LOSS)
    save_scene_file("scene.toml", START, fit=settings)
    np.save("depth.npy", image)
    arguments = ["fit", "scene.toml", "--observed", "depth.npy", "--levels", "3", "--loss", "huber:0.01"]
    assert main([*arguments, "--loss", "cauchy:0.02"]) == 0
    told = capsys.readouterr().err
    assert [told.count(f"image at 1/{s} of its size") for s in (1, 2, 4)] == [1, 1, 1]
    stages = json.loads((tmp_path / "out" / "report.json").read_text())["stages"]
    assert [sorted({record["level"] for record in stage["history"]}) for stage in stages] == [[0, 1, 2], [0]]
    fitted = load_scene_file("out/fitted.toml").scene
    assert fitted.shapes["ball"].radius == pytest.approx(1, abs=1e-3)

    assert main(["fit", "scene.toml", "--observed", "depth.npy", "--levels", "0"]) == 2
    assert "levels: must be a whole number >= 1" in capsys.readouterr().err
