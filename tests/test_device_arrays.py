"""Results that stay on the device: the same numbers as on the host, for as long as they are held."""

import gc
import threading

import numpy as np
import pytest
from renderer_cases import CASES, OUTPUTS
from test_boundary_scenes import SCENES

import diffrt_aot as dr

GPUS = [name for name in dr.devices() if name.endswith(":0")]
on_gpus = pytest.mark.parametrize("gpu", GPUS or [pytest.param("", marks=pytest.mark.skip("no GPU, no Vulkan driver"))])
BOTH = pytest.mark.parametrize("boundary", ["none", "exact"])


def assert_same(array, expected):
    assert isinstance(array, dr.DeviceArray)
    assert array.shape == expected.shape and array.dtype == expected.dtype == np.float32
    assert array.size == expected.size and array.nbytes == expected.nbytes and array.ndim == expected.ndim
    assert np.array_equal(array.numpy(), expected, equal_nan=True)


def assert_columns(dense, expected, renderer):
    """Sums of the same terms, rounded otherwise: a block's terms may all but cancel in one of its columns."""
    columns = dense.numpy()
    assert columns.shape == dense.shape == expected.shape
    for block in renderer.blocks.values():
        error = np.abs(columns[..., block] - expected[..., block]).max(initial=0.0)
        assert error <= 1e-5 * np.abs(expected[..., block]).max(initial=0.0)


@on_gpus
@BOTH
@pytest.mark.parametrize("outputs", ["depth", OUTPUTS], ids=["one channel", "all"])
@pytest.mark.parametrize("name", CASES)
def test_as_on_the_host(gpu, boundary, outputs, name):
    case = CASES[name]
    renderer = dr.Renderer(case.scene, free=case.free, output=outputs, boundary=boundary, device=gpu)
    for theta in case.thetas():
        image, J = renderer.jacobian(theta, on_device=True)
        expected, expected_J = renderer.jacobian(theta)
        assert_same(image, expected)
        assert_same(renderer.render(theta, on_device=True), renderer.render(theta))
        assert J.shape == expected_J.shape
        assert_columns(J.dense(), expected_J.dense(), renderer)
        # The same rows on the host: the same bits of all that is made of them there.
        assert np.array_equal(J.primitive_ids, expected_J.primitive_ids)
        v = np.linspace(-1, 1, theta.size)
        assert np.array_equal(J @ v, expected_J @ v)
        w = np.nan_to_num(expected)
        assert np.array_equal(J.T @ w, expected_J.T @ w)
        assert (J.to_scipy() != expected_J.to_scipy()).nnz == 0


@on_gpus
def test_many_primitives_share_pixels(gpu):
    """Rows of crossed pixels with more than two entries, and lists that grow in the call itself."""
    spheres = {f"ball{k}": dr.Sphere((0.05 * k - 1, 0.03 * (k % 7), 5 + 0.01 * k), 0.3) for k in range(50)}
    scene = dr.Scene(dr.PinholeCamera(64, 48, 60, 60, 32, 24), spheres)
    free = [f"{name}.{what}" for name in spheres for what in ("center", "radius")] + ["camera.pose", "camera.focal"]
    renderer = dr.Renderer(scene, free=free, output=["depth", "mask"], background=0.0, device=gpu)
    image, J = renderer.jacobian(on_device=True)
    expected_image, expected = renderer.jacobian()
    assert_same(image, expected_image)
    assert_columns(J.dense(), expected.dense(), renderer)
    assert np.array_equal(J @ np.ones(J.shape[-1]), expected @ np.ones(J.shape[-1]))
    cpu = dr.Renderer(scene, free=free, output=["depth", "mask"], background=0.0).jacobian()[1]
    assert np.allclose(J.dense().numpy(), cpu.dense(), atol=2e-3 * np.abs(cpu.dense()).max())


@on_gpus
def test_columns_that_are_too_many(gpu):
    """2^31 numbers, which kernels cannot count: an error that says what works."""
    spheres = {f"ball{k}": dr.Sphere((0, 0, -9), 1) for k in range(512)}
    scene = dr.Scene(dr.PinholeCamera(1024, 1024, 900, 900, 512, 512), spheres)
    free = [f"{name}.{what}" for name in spheres for what in ("center", "radius")]
    _, J = dr.Renderer(scene, free=free, boundary="none", device=gpu).jacobian(on_device=True)
    with pytest.raises(dr.DeviceMemoryError, match=r"^J: 2147483648 dense numbers are too many.*J @ v"):
        J.dense()
    assert not np.any(J @ np.ones(J.shape[-1]))


@on_gpus
@pytest.mark.parametrize("name", list(SCENES)[:6])
def test_scenes_with_silhouettes(gpu, name):
    scene, free = SCENES[name].scene, SCENES[name].free
    renderer = dr.Renderer(scene, free=free, output="mask", device=gpu)
    image, J = renderer.jacobian(on_device=True)
    expected_image, expected = renderer.jacobian()
    assert_same(image, expected_image)
    assert_columns(J.dense(), expected.dense(), renderer)


@on_gpus
def test_results_stay_as_they_are(gpu):
    """While anyone holds them; afterwards their memory is used again. Also after the renderer is gone."""
    case = CASES["overlapping shapes"]
    here, there = case.thetas()
    renderer = dr.Renderer(case.scene, free=case.free, output="depth", device=gpu)
    expected, J_expected = zip(*(renderer.jacobian(theta) for theta in (here, there)), strict=True)
    J_expected = [J.dense() for J in J_expected]
    held = [renderer.jacobian(theta, on_device=True) for theta in (here, there)]
    for _ in range(5):
        renderer.render(here, on_device=True)
        renderer.jacobian(there, on_device=True)
        renderer.render(there)
    dense = [J.dense() for _, J in held]
    another = dr.Renderer(case.scene, free=case.free)
    del renderer
    gc.collect()
    for (image, J), columns, image_expected, dense_expected in zip(held, dense, expected, J_expected, strict=True):
        assert_same(image, image_expected)
        assert_columns(columns, dense_expected, another)
        assert_columns(J.dense(), dense_expected, another)


@on_gpus
def test_results_may_go_on_any_thread(gpu):
    case = CASES["sphere"]
    renderer = dr.Renderer(case.scene, free=case.free, device=gpu)
    expected = renderer.render()
    results = [[renderer.render(on_device=True), *renderer.jacobian(on_device=True)] for _ in range(4)]
    threads = [threading.Thread(target=result.clear) for result in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_same(renderer.render(on_device=True), expected)


@on_gpus
def test_a_refused_call_leaves_the_renderer_as_it_was(gpu):
    case = CASES["sphere"]
    renderer = dr.Renderer(case.scene, free=case.free, device=gpu)
    image = renderer.render(on_device=True)
    expected = renderer.render()
    for call in (renderer.render, renderer.jacobian):
        with pytest.raises(dr.InvalidValueError):
            call(np.full(renderer.theta0.shape, np.nan), on_device=True)
    assert_same(image, expected)
    assert_same(renderer.render(on_device=True), expected)


@on_gpus
def test_conversions(gpu):
    case = CASES["sphere"]
    array = dr.Renderer(case.scene, free=case.free, device=gpu).render(on_device=True)
    expected = array.numpy()
    assert np.array_equal(np.asarray(array), expected, equal_nan=True)
    assert np.asarray(array, dtype=np.float64).dtype == np.float64
    with pytest.raises(dr.InvalidValueError, match="copy"):
        array.__array__(copy=False)
    assert array.device == gpu and gpu in repr(array)
    assert array.__dlpack_device__() == ({"cuda": 2, "vulkan": 7}[gpu.split(":")[0]], 0)
    # On the host by DLPack, where that is asked for.
    on_host = array.__dlpack__(dl_device=(1, 0))
    assert "dltensor" in repr(on_host)
    with pytest.raises(BufferError, match="copy"):
        array.__dlpack__(dl_device=(1, 0), copy=False)
    with pytest.raises(BufferError, match="lies on"):
        array.__dlpack__(dl_device=(8, 0))


@pytest.mark.skipif("vulkan:0" not in dr.devices(), reason="no Vulkan driver")
def test_vulkan_has_no_consumers():
    case = CASES["sphere"]
    renderer = dr.Renderer(case.scene, free=case.free, device="vulkan")
    array = renderer.render(on_device=True)
    with pytest.raises(BufferError, match=r"vulkan:0, whose memory no other library can reach: take \.numpy\(\)"):
        array.__dlpack__()
    assert not hasattr(array, "__cuda_array_interface__")
    with pytest.raises(dr.InvalidTypeError, match=r"^observed: lies on a Vulkan device.*np\.asarray\(observed\)"):
        renderer.cost(None, array)
    with pytest.raises(dr.InvalidValueError, match=r"stream: only CUDA devices have streams.*vulkan:0"):
        renderer.stream = 1
    renderer.stream = None
    assert renderer.stream == 0


def test_on_the_cpu_they_are_numpys():
    case = CASES["sphere"]
    renderer = dr.Renderer(case.scene, free=case.free, device="cpu")
    image, J = renderer.jacobian(on_device=True)
    assert isinstance(image, np.ndarray) and isinstance(J.dense(), np.ndarray)
    assert isinstance(renderer.render(on_device=True), np.ndarray)
    with pytest.raises(dr.InvalidValueError, match=r"stream: only CUDA devices have streams.*cpu"):
        dr.Renderer(case.scene, free=case.free, device="cpu", stream=1)


@pytest.mark.parametrize("stream", [True, 1.5, "1", object()])
def test_a_wrong_stream_says_what_is_right(stream):
    with pytest.raises(dr.InvalidTypeError, match=r"^stream: must be a handle"):
        dr.Renderer(CASES["sphere"].scene, stream=stream)
    with pytest.raises(dr.InvalidValueError, match=r"^stream: must be a handle, got -1"):
        dr.Renderer(CASES["sphere"].scene, stream=-1)
