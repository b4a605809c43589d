"""What a fit may claim: that it converged, that it saw what it fitted, and how well it knows the answer."""

import numpy as np
import pytest

import diffrt_aot as dr

pytestmark = pytest.mark.every_device

CAMERA = dr.PinholeCamera(64, 48, 60, 60, 31.5, 23.5)
UNSEEN = {
    "beside the image": ((5, 0, 2), {}),
    "behind the camera": ((0, 0, -2), {}),
    "shrinks beside the observed one": ((-0.5, 0, 2), {}),
    "behind a wall": ((0.3, 0, 9), {"wall": dr.Plane((0, 0, 6), (0, 0, -1))}),
}


def ball(center, radius=0.3, **others):
    return dr.Scene(CAMERA, {"ball": dr.Sphere(center, radius), **others})


def mask_of(scene):
    return dr.Renderer(scene, output="mask").render()


@pytest.mark.parametrize("case", UNSEEN)
def test_what_is_not_seen_is_not_converged(case):
    center, others = UNSEEN[case]
    output = "depth" if others else "mask"
    observed = dr.Renderer(ball((0.3, 0, 2), **others), output=output).render()
    renderer = dr.Renderer(ball(center, **others), ["ball.center"], output)
    result = dr.fit(renderer, observed)
    assert result.status is dr.Status.NOT_SEEN
    assert not result.status.converged and "Not seen" in str(result.status)
    if others:
        return
    assert renderer.render(result.theta).sum() < 1


@pytest.mark.filterwarnings("ignore::diffrt_aot.FitWarning")  # of which it speaks, too
def test_a_loss_that_ignores_every_residual_sees_nothing():
    scene = ball((0.3, 0, 2))
    observed = dr.Renderer(scene, output="depth").render() + 5
    result = dr.fit(dr.Renderer(scene, ["ball.center"], "depth"), observed, loss=dr.Tukey(0.01))
    assert result.status is dr.Status.NOT_SEEN


def test_a_prior_does_not_make_up_for_data():
    renderer = dr.Renderer(ball((5, 0, 2)), ["ball.center"], "mask")
    result = dr.fit(renderer, mask_of(ball((0.3, 0, 2))), priors={"ball.center": ((4, 0, 2), 0.1)})
    assert result.status is dr.Status.NOT_SEEN


def test_what_is_seen_in_part_is_told_in_part():
    """Of two balls one is hidden: the other's fit is good, and nothing is known of the first."""
    truth = ball((0.3, 0, 2), wall=dr.Plane((0, 0, 6), (0, 0, -1)), hidden=dr.Sphere((0, 0, 9), 1))
    start = truth.replace(ball=dr.Sphere((0.31, 0.01, 2), 0.3))
    renderer = dr.Renderer(start, ["ball.center", "hidden.center"], "depth")
    with pytest.warns(dr.FitWarning, match=r"hidden\.center: moves no pixel"):
        result = dr.fit(renderer, dr.Renderer(truth, output="depth").render())
    assert result.status.converged
    assert [text for text in result.warnings if "moves no pixel" in text] == result.warnings
    assert result.rank == 3


def test_a_speck_may_be_fitted():
    """Less than a pixel is seen, as long as it is not what is left of more."""
    truth, start = ball((0.3, 0, 20), 0.12), ball((0.31, 0.01, 20), 0.12)
    result = dr.fit(
        dr.Renderer(start, ["ball.center"], "mask"), mask_of(truth), bounds={"ball.center": ((-9, -9, 20), (9, 9, 20))}
    )
    assert mask_of(truth).sum() < 1
    assert result.status is not dr.Status.NOT_SEEN


@pytest.mark.parametrize("sentinel", [10.0, 65504.0, 1e10, 3e38])
@pytest.mark.parametrize("boundary", ["none", "exact"])
@pytest.mark.filterwarnings("ignore::diffrt_aot.FitWarning")  # of which it speaks, too
def test_large_numbers_where_nothing_was_measured_are_no_noise(boundary, sentinel):
    """A loss that ignores them must leave the rest to be fitted."""
    scene = dr.Scene(CAMERA, {"ball": dr.Sphere((0.1, -0.2, 5), 1), "wall": dr.Plane((0, 0, 8), (0, 0, -1))})
    renderer = dr.Renderer(scene, ["ball.center", "ball.radius"], "depth", boundary=boundary)
    observed = renderer.render().astype(float)
    observed[::4, ::3] = sentinel
    result = dr.fit(renderer, observed, renderer.theta0 + 0.02, loss=dr.Tukey(0.1))
    assert result.status.converged
    assert np.abs(result.theta - renderer.theta0).max() < 1e-4


def random_rotation(rng, size):
    phi = rng.normal(0, size, 3)
    angle = np.linalg.norm(phi)
    K = np.cross(np.eye(3), phi / angle)
    return np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * K @ K


def clean_sphere(rng, output, background):
    """A fit without noise, from a start a tenth of the radius off."""
    center = np.array([rng.uniform(-0.8, 0.8), rng.uniform(-0.6, 0.6), rng.uniform(2.5, 5)])
    radius = rng.uniform(0.5, 1.0)
    options = {"output": output, "background": background}
    observed = dr.Renderer(ball(center, radius), **options).render()
    start = ball(center + rng.normal(0, 0.05, 3), radius * rng.uniform(0.95, 1.05))
    return dr.fit(dr.Renderer(start, ["ball.center", "ball.radius"], **options), observed)


@pytest.mark.parametrize("output, background", [("distance", 0.0), ("depth", None), ("mask", 0.0)])
def test_fits_without_noise_converge(output, background):
    """Where all that is left is rounding, the end is not for want of steps, nor of a shorter one."""
    ends = [clean_sphere(np.random.default_rng(seed), output, background).status for seed in range(25)]
    assert all(status.converged for status in ends), [status.name for status in ends]


@pytest.mark.parametrize("method", ["gauss-newton", "levenberg-marquardt"])
def test_full_steps_end_in_the_noise(method):
    camera = dr.PinholeCamera(640, 480, 400, 400, 320, 240)
    truth = dr.Scene(camera, {"ball": dr.Sphere((10, 10, 100), 10)})
    start = truth.replace(ball=dr.Sphere((10.1, 10.1, 100.1), 10.1))
    options = {"output": "distance", "background": 0.0}
    observed = dr.Renderer(truth, **options).render()
    result = dr.fit(dr.Renderer(start, ["ball.radius", "ball.center"], **options), observed, method=method, max_steps=9)
    assert result.status.converged and result.steps < 9
    np.testing.assert_allclose(result.theta, [10, 10, 10, 100], atol=2e-5)


def box(half=(0.06, 0.04, 0.025)):
    vertices = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * half
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    return vertices, np.array([[q[0], q[k], q[k + 1]] for q in quads for k in (1, 2)])


def test_a_direction_that_no_visible_face_shows_has_no_weight():
    """Two faces of a box that is rolled and pitched: along the axis of neither normal J is rounding alone, and so is
    its square in H, which may come out negative.
    """
    rng = np.random.default_rng(0)
    vertices, faces = box((1, 0.6, 0.4))
    for _ in range(20):
        T = np.eye(4)
        T[:3, :3], T[2, 3] = random_rotation(rng, 1.0), 6
        pose = dr.nearest_rigid(T)
        S = T.copy()
        S[:3, :3], S[:3, 3] = T[:3, :3] @ random_rotation(rng, 0.02), T[:3, 3] + 0.02
        scene = dr.Scene(CAMERA, {"box": dr.Mesh(vertices, faces, pose)})
        start = scene.replace(box=dr.Mesh(vertices, faces, dr.nearest_rigid(S)))
        result = dr.fit(
            dr.Renderer(start, ["box.pose"], "depth", boundary="none"),
            dr.Renderer(scene, output="depth", boundary="none").render(),
        )
        assert result.status.converged
        assert (np.diag(result.H) >= 0).all()


def prism(sides, radius=0.05, half=0.1):
    a = 2 * np.pi * np.arange(sides) / sides
    rings = [np.c_[radius * np.cos(a), radius * np.sin(a), np.full(sides, h)] for h in (-half, half)]
    vertices = np.vstack([*rings, [[0, 0, -half], [0, 0, half]]])
    k = np.arange(sides)
    n = (k + 1) % sides
    bottom, top = np.full(sides, 2 * sides), np.full(sides, 2 * sides + 1)
    sides_of = [np.c_[k, n, n + sides], np.c_[k, n + sides, k + sides]]
    return vertices, np.vstack([*sides_of, np.c_[n, k, bottom], np.c_[k + sides, n + sides, top]])


def fit_with_noise(vertices, faces, seed):
    rng = np.random.default_rng(seed)
    camera = dr.PinholeCamera(160, 120, 150, 150, 79.5, 59.5)
    c, s, d, e = np.cos(1.2), np.sin(1.2), np.cos(0.3), np.sin(0.3)
    T = np.eye(4)
    T[:3, :3] = np.array([[d, 0, e], [0, 1, 0], [-e, 0, d]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    T[2, 3] = 0.6
    scene = dr.Scene(camera, {"it": dr.Mesh(vertices, faces, dr.nearest_rigid(T))})
    observed = dr.Renderer(scene, output="depth", boundary="none").render() + rng.normal(0, 0.002, (120, 160))
    T[0, 3] += 0.002
    start = scene.replace(it=dr.Mesh(vertices, faces, dr.nearest_rigid(T)))
    return dr.fit(dr.Renderer(start, ["it.pose"], "depth", boundary="none"), observed, loss=dr.Huber(0.005))


@pytest.mark.parametrize("seed", range(4))
def test_what_is_determined_to_first_order_only_is_told(seed):
    """A can of 64 sides: each resists a turn by a degree, and by 5.6 it looks as before."""
    result = fit_with_noise(*prism(64), seed)
    assert any("rotation.z" in name for name in result.null_names)
    assert result.rank + len(result.null_directions) == 6
    assert np.isinf(result.covariance[5, 5])
    assert np.isfinite(np.diag(result.covariance)[:3]).all()  # where it is, is known


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", ["box", "prism of 8"])
def test_what_is_determined_is_not_called_in_question(shape, seed):
    result = fit_with_noise(*(box() if shape == "box" else prism(8)), seed)
    assert result.rank == 6 and not result.null_names
    assert np.isfinite(result.covariance).all()


@pytest.mark.parametrize("scale", [0.02, 1e3, 1e6, 1e12, 2e19, 1e100])
@pytest.mark.parametrize(
    "kind",
    [
        dr.Huber,
        dr.Cauchy,
        dr.GemanMcClure,
        dr.Tukey,
        *(lambda c, a=a: dr.Barron(a, c) for a in (1.0, 0.0, -2.0, -np.inf)),
    ],
)
def test_scales_of_any_size(kind, scale):
    """Against the losses of the package, in float64."""
    renderer = dr.Renderer(ball((0.1, -0.2, 5), 1), ["ball.center", "ball.radius"], background=0.0)
    observed = renderer.render() + np.float32(0.01)
    loss = kind(scale)
    equations = renderer.normal_equations(None, observed, None, loss)
    squares = (renderer.render().astype(np.float64) - observed) ** 2
    assert equations.cost == pytest.approx(0.5 * loss.rho(squares).sum(), rel=1e-4)
    J = renderer.jacobian()[1].dense().reshape(-1, 4).astype(np.float64)
    H = J.T @ (loss.weight(squares).reshape(-1, 1) * J)
    np.testing.assert_allclose(equations.H, H, rtol=1e-3, atol=1e-4 * np.abs(H).max() + 1e-30)


@pytest.mark.parametrize("scale", [1e-20, 1e200])
def test_scales_beyond_all_arithmetic_are_refused(scale):
    with pytest.raises(dr.InvalidValueError, match=r"delta: must be between 1e-15 and 1e\+100"):
        dr.Huber(scale)
