"""What is particular to a GPU: lists that outgrow their memory, renderers that share a device, what stays there.

That a device computes what it should is tested by the files that are marked `every_device`.
"""

import numpy as np
import pytest
from renderer_cases import CAMERA, CASES, CUBE, OUTPUTS, ball_mesh, pose
from test_normal_equations import LOSSES, assert_agree, observation, sums
from test_renderer_repeatable import assert_same_bits, everything_of

import diffrt_aot as dr

GPUS = [name for name in dr.devices() if name.endswith(":0")]
on_gpus = pytest.mark.parametrize("gpu", GPUS or [pytest.param("", marks=pytest.mark.skip("no GPU, no Vulkan driver"))])
KINDS = pytest.mark.parametrize("kind", ["cuda", "vulkan"])


def compare(scene, free, gpu, thetas=None, output="depth", boundary="none"):
    """Images and ids are the CPU's, and J nearly; sums are those over the device's own J."""
    cpu, other = (
        dr.Renderer(scene, free=free, output=output, boundary=boundary, device=device, dense_limit=2000)
        for device in ("cpu", gpu)
    )
    for theta in [cpu.theta0] if thetas is None else thetas:
        (expected, expected_J), (image, J) = cpu.jacobian(theta), other.jacobian(theta)
        assert np.array_equal(J.primitive_ids, expected_J.primitive_ids)
        assert np.allclose(image, expected, rtol=1e-5, atol=1e-5, equal_nan=True)
        columns = expected_J.dense().reshape(-1, theta.size)
        error = np.abs(J.dense().reshape(columns.shape) - columns)
        assert np.all(error <= 1e-3 * np.abs(columns).max(axis=0, initial=1.0))
        observed = observation(image, 0.1)
        plain = LOSSES["least squares"][1]
        assert_agree(other, other.normal_equations(theta, observed), sums(image, J, observed, None, plain, 1.0))
    return other


@KINDS
def test_a_device_that_is_not_there_says_why(kind):
    if kind in dr.missing_devices():
        with pytest.raises(dr.DeviceError, match=f"device: '{kind}(:0)?' is not available: "):
            dr.Renderer(CASES["sphere"].scene, device=kind, boundary="none")
    else:
        assert dr.Renderer(CASES["sphere"].scene, device=kind, boundary="none").device == f"{kind}:0"


@pytest.mark.parametrize("name", ["gpu", "cpu:0", "cuda:x", "vulkan:", "", "CUDA"])
def test_a_wrong_name_lists_the_right_ones(name):
    with pytest.raises(dr.DeviceError, match="Valid: cpu, cuda, cuda:N, vulkan, vulkan:N, auto"):
        dr.Renderer(CASES["sphere"].scene, device=name, boundary="none")


def test_the_device_is_told():
    assert dr.Renderer(CASES["sphere"].scene, device="cpu").device == "cpu"
    assert dr.Renderer(CASES["sphere"].scene, device="auto").device in dr.devices()


@on_gpus
def test_many_primitives_in_every_tile(gpu):
    """The lists of candidates outgrow the memory that they are given at first, and again when the camera comes near."""
    spheres = {f"ball{k}": dr.Sphere((0.01 * k, 0, 60 - 0.2 * k), 2 + 0.02 * k) for k in range(120)}
    scene = dr.Scene(CAMERA, spheres)
    away = np.zeros(6)
    near = np.array([0, 0, 33.0, 0, 0, 0])
    renderer = compare(scene, ["camera.pose"], gpu, [away, near, away])
    assert renderer.jacobian(near)[1].primitive_ids.max() > 0


@on_gpus
@pytest.mark.parametrize("first", ["render", "jacobian", "normal_equations", "cost"])
def test_lists_that_grow_in_any_call(gpu, first):
    spheres = {f"ball{k}": dr.Sphere((0.01 * k, 0, 9), 5) for k in range(60)}
    scene = dr.Scene(CAMERA, spheres)
    renderer = dr.Renderer(scene, free=["ball7.radius"], boundary="none", device=gpu)
    observed = np.full(CAMERA.image_shape, 5.0)
    expected = everything_of(dr.Renderer(scene, free=["ball7.radius"], boundary="none", device=gpu), renderer.theta0)
    call = getattr(renderer, first)
    result = call() if first in ("render", "jacobian") else call(None, observed)
    if first == "render":
        assert result.tobytes() == expected["render"].tobytes()
    assert_same_bits(everything_of(renderer, renderer.theta0), expected)


@on_gpus
def test_large_free_mesh(gpu):
    """Most faces are small, one pair fills the image: a primitive's sum may be over all tiles or over one."""
    vertices, faces = ball_mesh(3)
    wall = np.array([[-40, -40, 9], [40, -40, 9], [40, 40, 9], [-40, 40, 9]], dtype=float)
    mesh = dr.Mesh(
        np.vstack([vertices + np.array([0.3, 0.1, 5]), wall]),
        np.vstack([faces, np.array([[0, 1, 2], [0, 2, 3]]) + len(vertices)]),
    )
    camera = dr.PinholeCamera(101, 67, 90, 90, 50, 33)
    compare(dr.Scene(camera, {"all": mesh}), ["all.vertices", "camera.focal"], gpu)


@on_gpus
@pytest.mark.parametrize("boundary", ["none", "exact"])
@pytest.mark.parametrize("free", ["all.pose", "all.vertices"])
def test_many_large_faces(gpu, free, boundary):
    """Each is in the lists of all tiles, which outgrow their memory."""
    rng = np.random.default_rng(7)
    corners = np.array([[-40, -40], [40, -40], [40, 40], [-40, 40]], dtype=float)
    depths = 9 + np.arange(100)[:, None] + rng.uniform(-3, 3, (100, 4))
    vertices = np.concatenate([np.column_stack([corners, z]) for z in depths])
    faces = np.concatenate([np.array([[0, 1, 2], [0, 2, 3]]) + 4 * k for k in range(len(depths))])
    compare(dr.Scene(CAMERA, {"all": dr.Mesh(vertices, faces)}), [free], gpu, boundary=boundary)


@on_gpus
def test_many_meshes_and_outputs(gpu):
    shapes = {f"cube{k}": dr.Mesh(CUBE[0] * 0.4, CUBE[1], pose((k, 1, 0), (k - 2, 0.1 * k, 6 + k))) for k in range(5)}
    free = [f"cube{k}.pose" for k in range(5)] + ["camera.pose", "camera.principal"]
    compare(dr.Scene(CAMERA, shapes), free, gpu, output=OUTPUTS)


ALONE = {
    "sphere": (dr.Sphere((0.2, 0.1, 6.0), 1.5), ["it.radius", "it.center"]),
    "plane": (dr.Plane((0.0, 0.5, 8.0), (0.1, -0.3, -1.0)), ["it.normal", "it.point"]),
    "mesh": (dr.Mesh(*CUBE, pose((0.4, 0.3, -0.2), (0.1, 0.2, 6.0))), ["it.pose"]),
}


@on_gpus
@pytest.mark.parametrize("shape", ALONE)
@pytest.mark.parametrize("moves", [[], ["camera.pose"], ["camera.focal", "camera.principal"]], ids=str)
@pytest.mark.parametrize("output", ["distance", ["normal", "depth"], "shade"], ids=str)
def test_one_primitive(gpu, shape, moves, output):
    """Image and columns come from one launch, and are those of the many that a list with a mask takes."""
    it, free = ALONE[shape]
    scene, free = dr.Scene(CAMERA, {"it": it}), free[:1] + moves + free[1:]
    compare(scene, free, gpu, output=output)
    alone, longer = (
        dr.Renderer(scene, free=free, output=names, boundary="none", background=-1.0, device=gpu)
        for names in (output, [*(output if isinstance(output, list) else [output]), "mask"])
    )
    (image, J), (others, K) = alone.jacobian(), longer.jacobian()
    assert np.array_equal(image.reshape(*image.shape[:2], -1), others[..., :-1])
    assert np.array_equal(alone.render(), image)
    columns = K.dense()[..., :-1, :]
    error = np.abs(J.dense().reshape(columns.shape) - columns)
    assert np.all(error <= 1e-5 * np.abs(columns).max(axis=(0, 1), initial=1.0))


@on_gpus
@pytest.mark.parametrize("size", [(1, 1), (17, 3), (16, 16), (15, 33), (3, 100)])
def test_odd_sizes(gpu, size):
    camera = dr.PinholeCamera(*size, 30, 30, size[0] / 2, size[1] / 2)
    compare(CASES["overlapping shapes"].scene.replace(camera=camera), ["near.center", "cube.pose"], gpu, output=OUTPUTS)


@on_gpus
def test_two_renderers_take_turns(gpu):
    cases = [CASES["overlapping shapes"], CASES["sphere"]]
    renderers = [dr.Renderer(c.scene, free=c.free, output=OUTPUTS, boundary="none", device=gpu) for c in cases]
    expected = [everything_of(r, c.thetas()[1]) for r, c in zip(renderers, cases, strict=True)]
    for _ in range(3):
        for renderer, case, results in zip(renderers, cases, expected, strict=True):
            assert_same_bits(everything_of(renderer, case.thetas()[1]), results)


@on_gpus
def test_a_refused_call_leaves_the_renderer_as_it_was(gpu):
    case = CASES["sphere"]
    renderer = dr.Renderer(case.scene, free=case.free, output=OUTPUTS, boundary="none", device=gpu)
    expected = everything_of(renderer, renderer.theta0)
    image = renderer.render()
    for wrong in (
        lambda: renderer.normal_equations(None, image, np.full(image.shape, -1.0)),
        lambda: renderer.normal_equations(None, image[1:]),
        lambda: renderer.render(np.full(renderer.theta0.shape, np.nan)),
        lambda: renderer.cost(None, image, loss=dr.Huber(1.0), weights=np.where(image > 0, -1.0, 1.0)),
    ):
        with pytest.raises(dr.InvalidValueError):
            wrong()
        assert_same_bits(everything_of(renderer, renderer.theta0), expected)


@on_gpus
def test_weights_do_not_linger(gpu):
    """One weight for all, one per pixel, one per channel: each call has its own, in any order."""
    case = CASES["overlapping shapes"]
    options = {"free": case.free, "output": OUTPUTS, "boundary": "none", "device": gpu}
    renderer = dr.Renderer(case.scene, **options)
    observed = np.nan_to_num(renderer.render(), nan=3.0) + 0.1
    rng = np.random.default_rng(3)
    weights = [None, rng.uniform(size=observed.shape[:2]), rng.uniform(size=observed.shape), None]
    for given in (*weights, *weights[::-1]):
        got = renderer.normal_equations(None, observed, given)
        fresh = dr.Renderer(case.scene, **options).normal_equations(None, observed, given)
        assert np.array_equal(got.H, fresh.H) and got.cost == fresh.cost
        observed = observed + 0.01


@on_gpus
def test_fits_on_a_device_end_where_the_cpu_does(gpu):
    truth = CASES["overlapping shapes"].scene
    observed = dr.Renderer(truth, output="depth", boundary="none").render()
    start = truth.replace(near=truth.shapes["near"].replace(radius=0.83, center=(-0.98, 0.41, 4.52)))
    results = [
        dr.fit(
            dr.Renderer(start, free=["near.center", "near.radius"], output="depth", boundary="none", device=device),
            observed,
            loss=dr.GemanMcClure(0.05),
        )
        for device in ("cpu", gpu)
    ]
    assert np.allclose(results[0].theta, results[1].theta, atol=2e-5)
    assert np.allclose(results[0].covariance, results[1].covariance, rtol=1e-2)
    # The arrays of a fit are sent once; the next fit has its own.
    again = dr.Renderer(start, free=["near.radius"], output="depth", boundary="none", device=gpu)
    first, second = (dr.fit(again, observed + offset).cost for offset in (0.0, 0.5))
    assert second > 10 * first
