"""Fits of many parameters: sparse all the way, and what is not computed says so."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from renderer_cases import CUBE

import diffrt_aot as dr

CAMERA = dr.PinholeCamera(width=160, height=120, fx=120, fy=120, cx=80, cy=60)


def sheet(columns, rows, bend=0.0):
    """A sheet that fills the image, [2, 2.1] away."""
    x, y = np.meshgrid(np.linspace(-1.5, 1.5, columns), np.linspace(-1.2, 1.2, rows))
    z = 2 + bend * np.sin(3 * x) * np.cos(2 * y)
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    one, two = [corner, corner + 1, corner + columns], [corner + 1, corner + columns + 1, corner + columns]
    return dr.Mesh(np.stack([x, y, z], axis=-1).reshape(-1, 3), np.hstack([one, two]).T)


def fit_sheet(columns, rows, dense_limit=1000, prior=0.1, **options):
    flat, bent = sheet(columns, rows), sheet(columns, rows, 0.05)
    rng = np.random.default_rng(0)
    observed = dr.Renderer(dr.Scene(CAMERA, {"it": bent}), output="depth").render() + rng.normal(0, 1e-3, (120, 160))
    renderer = dr.Renderer(dr.Scene(CAMERA, {"it": flat}), ["it.vertices"], "depth", dense_limit=dense_limit)
    priors = {"it.vertices": (flat.vertices.ravel(), prior)} if prior else None
    return dr.fit(renderer, observed, priors=priors, **options), renderer, observed


def test_beyond_the_dense_limit_the_same_is_told_sparsely():
    whole, _, _ = fit_sheet(16, 12, dense_limit=1000)
    result, _, _ = fit_sheet(16, 12, dense_limit=100)
    assert result.status.converged and np.array_equal(result.theta, whole.theta)
    assert result.rank == whole.rank == result.theta.size
    assert np.array_equal(result.H_rows.dense(), whole.H)
    assert np.array_equal(result.H_sparse.toarray(), whole.H) and result.H_sparse.format == "csc"
    assert np.allclose(result.standard_deviations, np.sqrt(np.diag(whole.covariance)), rtol=1e-6)
    assert np.allclose(result.standard_deviations_sandwich, np.sqrt(np.diag(whole.covariance_sandwich)), rtol=1e-6)
    for name, instead in (
        ("H", "H_sparse"),
        ("covariance", "standard_deviations"),
        ("covariance_sandwich", "standard_deviations_sandwich"),
        ("null_directions", "null_rows"),
    ):
        with pytest.raises(dr.InvalidValueError, match=rf"{name}: there are 576 parameters, and dense_limit is 100.*"):
            getattr(result, name)
        with pytest.raises(dr.InvalidValueError, match=instead):
            getattr(result, name)


def test_covariances_are_those_of_numpy():
    result, renderer, observed = fit_sheet(12, 9)
    prior = 1 / 0.1**2
    H = renderer.normal_equations(result.theta, observed).H + prior * np.eye(result.theta.size)
    assert np.allclose(result.H, H, rtol=1e-9, atol=1e-6)
    variance = 2 * result.cost / (result.count + len(H) - result.rank)
    assert result.residual_variance == pytest.approx(variance)
    assert np.allclose(result.covariance, variance * np.linalg.inv(H), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("size", [(7, 6), (15, 12)])  # by dense factors, and by sparse ones
def test_what_depth_does_not_tell_of_a_sheet_is_told(size):
    """Vertices of a plane may slide in it: two directions for each, and those that are off the image three."""
    flat = sheet(*size)
    flat = flat.replace(vertices=flat.vertices + [0, 0, 1] * (flat.vertices @ [[0.2], [0.1], [0]]))
    observed = dr.Renderer(dr.Scene(CAMERA, {"it": flat}), output="depth").render()
    renderer = dr.Renderer(dr.Scene(CAMERA, {"it": flat}), ["it.vertices"], "depth", dense_limit=4000)
    result = dr.fit(renderer, observed + np.random.default_rng(1).normal(0, 1e-3, observed.shape), max_steps=0)
    H = result.H
    scale = 1 / np.sqrt(np.maximum(np.diag(H), 1e-12))
    values = np.linalg.eigvalsh(scale[:, None] * H * scale)
    threshold = 16e-7 * np.sqrt((H != 0).sum(axis=1).max()) * values[-1]
    assert not np.any((values > 0.2 * threshold) & (values < 5 * threshold))  # or rank would be a matter of taste
    assert result.rank == np.count_nonzero(values > threshold)
    directions = result.null_rows
    assert directions.shape == (len(H) - result.rank, len(H)) and len(result.null_names) == len(H) - result.rank
    dense = directions.dense()
    assert np.allclose(np.linalg.norm(dense, axis=1), 1)
    assert np.linalg.matrix_rank(dense) == len(dense)
    assert np.abs(scale[:, None] * H @ dense.T).max() < 1e-4 * np.sqrt(np.diag(H).max())


def test_a_sphere_that_moves_no_pixel_is_a_null_direction_by_itself():
    shapes = {f"s{k}": dr.Sphere((0.4 * (k % 9 - 4), 0.4 * (k // 9 - 3), 3 + 0.01 * k), 0.15) for k in range(60)}
    shapes["hidden"] = dr.Sphere((0, 0, -3), 0.5)
    free = [f"{name}.{part}" for name in shapes for part in ("center", "radius")]
    renderer = dr.Renderer(dr.Scene(CAMERA, shapes), free=free, output="depth", background=0.0)
    start = renderer.theta0 + 0.002 * np.random.default_rng(0).standard_normal(renderer.theta0.size)
    with pytest.warns(dr.FitWarning) as told:
        result = dr.fit(renderer, renderer.render(), start)
    assert [str(warning.message).split(":")[0] for warning in told] == ["hidden.center", "hidden.radius"]
    assert result.status.converged
    assert result.rank == renderer.theta0.size - 4
    assert [name.split()[1] for name in result.null_names] == [
        "hidden.center.x",
        "hidden.center.y",
        "hidden.center.z",
        "hidden.radius",
    ]
    assert np.isinf(result.standard_deviations[-4:]).all() and np.isfinite(result.standard_deviations[:-4]).all()


def test_many_that_are_not_seen_are_one_warning():
    shapes = {f"s{k}": dr.Sphere((0.1 * k, 0, -3), 0.1) for k in range(30)} | {"ball": dr.Sphere((0, 0, 3), 0.5)}
    renderer = dr.Renderer(dr.Scene(CAMERA, shapes), free=[f"{name}.center" for name in shapes], output="depth")
    with pytest.warns(dr.FitWarning) as told:
        dr.fit(renderer, renderer.render(), renderer.theta0 + 1e-3)
    assert len(told) == 1 and "and 25 others: moves no pixel" in str(told[0].message)


def test_uncertainty_is_left_out_where_it_is_not_asked_for():
    result, _, _ = fit_sheet(8, 6, uncertainty=False)
    whole, _, _ = fit_sheet(8, 6)
    assert np.array_equal(result.theta, whole.theta) and np.array_equal(result.H, whole.H)
    for name in ("rank", "null_names", "null_directions", "covariance", "standard_deviations", "residual_variance"):
        with pytest.raises(dr.InvalidValueError, match=rf"{name}: was not asked for"):
            getattr(result, name)
    for other in (copy.copy(result), copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        assert other == result
        with pytest.raises(dr.InvalidValueError, match="rank: was not asked for"):
            _ = other.rank
    with pytest.raises(dr.InvalidTypeError, match="uncertainty"):
        fit_sheet(8, 6, uncertainty=1)


def test_a_result_beyond_the_limit_is_copied_and_compared():
    result, _, _ = fit_sheet(16, 12, dense_limit=100)
    for other in (copy.copy(result), copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        assert other == result and other.rank == result.rank
        with pytest.raises(dr.InvalidValueError, match="dense_limit is 100"):
            _ = other.H


def test_what_cannot_begin_has_no_rank():
    renderer = dr.Renderer(dr.Scene(CAMERA, {"ball": dr.Sphere((0, 0, 3), 0.5)}), ["ball.center"], "depth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = dr.fit(renderer, np.full((120, 160), np.nan))
    assert result.status is dr.Status.NO_RESIDUALS
    assert result.rank is None and result.null_names is None and result.covariance is None


def test_fits_are_the_same_for_any_number_of_threads():
    results = []
    for threads in (1, 2, 3):
        flat, bent = sheet(20, 16), sheet(20, 16, 0.05)
        observed = dr.Renderer(dr.Scene(CAMERA, {"it": bent}), output="depth").render()
        scene = dr.Scene(CAMERA, {"it": flat})
        renderer = dr.Renderer(scene, ["it.vertices"], "depth", background=0.0, threads=threads)
        results.append(dr.fit(renderer, observed, priors={"it.vertices": (flat.vertices.ravel(), 0.1)}, max_steps=6))
    for result in results[1:]:
        assert np.array_equal(result.theta, results[0].theta)
        assert np.array_equal(result.H_rows.values, results[0].H_rows.values)
        assert np.array_equal(result.standard_deviations, results[0].standard_deviations)


def test_poses_with_bounds_and_priors_beside_one_another():
    """The chart of a bounded pose, in parts: each body's answer is what it is alone."""
    rng = np.random.default_rng(5)
    corners, faces = CUBE
    box = corners * [0.2, 0.15, 0.1]
    turned = dr.rigid(rotation_xyzw=np.array([0.3, 0.4, 0.1, 0.86]) / np.linalg.norm([0.3, 0.4, 0.1, 0.86]))
    bodies = {}
    for k in range(6):
        T = np.array(turned)
        T[:3, 3] = (0.7 * (k % 3 - 1), 0.6 * (k // 3) - 0.3, 2)
        bodies[f"b{k}"] = dr.Mesh(box, faces, T_world_mesh=T)

    def fitted(shapes):
        free = [f"{name}.pose" for name in shapes]
        renderer = dr.Renderer(dr.Scene(CAMERA, shapes), free=free, output="depth", boundary="none")
        everything = dr.Renderer(dr.Scene(CAMERA, bodies), output="depth", boundary="none").render()
        seen = np.isfinite(renderer.render())
        observed = np.where(seen, everything + noise, np.nan)
        start = np.concatenate([offsets[name] for name in shapes])
        bounds = {name: ([-1, -1, -1, -1, -1, -1], [1, 1, 1, 0.005, 1, 1]) for name in free}
        priors = dict.fromkeys(free, (0.0, 0.5))
        return dr.fit(renderer, observed, start, bounds=bounds, priors=priors)

    noise = rng.normal(0, 1e-3, (120, 160))
    offsets = {name: rng.normal(0, 0.004, 6) - [0, 0, 0, 0.01, 0, 0] for name in bodies}
    together = fitted(bodies)
    assert together.status.converged and together.rank > 30
    for k, (name, body) in enumerate(bodies.items()):
        alone = fitted({name: body})
        part = slice(6 * k, 6 * k + 6)
        assert np.allclose(together.theta[part], alone.theta, atol=1e-5)
        ratio = np.sqrt(together.residual_variance / alone.residual_variance)
        assert np.allclose(together.standard_deviations[part], ratio * alone.standard_deviations, rtol=1e-3, atol=1e-9)
