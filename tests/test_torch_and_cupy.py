"""Arrays of PyTorch and CuPy on a CUDA device, in and out, without copies, on their streams. Needs a GPU."""

import contextlib
import gc
import io
from pathlib import Path

import numpy as np
import pytest
from test_readme import blocks

import diffrt_aot as dr

PAGE = Path(__file__).resolve().parents[1] / "docs" / "devices.md"
HAS_CUDA = "cuda:0" in dr.devices()
SPIN = r"""
extern "C" __global__ void spin(long long cycles) {
  const long long begin = clock64();
  while (clock64() - begin < cycles) {}
}
"""
CYCLES = 200_000_000  # about a tenth of a second


class Torch:
    """What the tests need of PyTorch."""

    def __init__(self):
        self.torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        if not self.torch.cuda.is_available():
            pytest.skip("PyTorch finds no CUDA device")

    def put(self, array):
        return self.torch.from_numpy(np.ascontiguousarray(array)).cuda()

    def get(self, array):
        return array.detach().cpu().numpy()

    def by_dlpack(self, array):
        return self.torch.from_dlpack(array)

    def by_interface(self, array):
        return self.torch.as_tensor(array, device="cuda")

    def address(self, array):
        return array.data_ptr()

    def stream(self):
        return self.torch.cuda.Stream()

    def default_stream(self):
        return self.torch.cuda.default_stream()

    def on(self, stream):
        return self.torch.cuda.stream(stream)

    def delay(self):
        self.torch.cuda._sleep(CYCLES)

    def fill(self, array, values):
        array.copy_(values)

    def clone(self, array):
        return array.clone()

    def repeat(self, row, shape):
        return row.expand(shape)

    def synchronize(self):
        self.torch.cuda.synchronize()


class Cupy:
    """What the tests need of CuPy."""

    def __init__(self):
        self.cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
        try:
            self.cupy.cuda.runtime.getDeviceCount()
        except self.cupy.cuda.runtime.CUDARuntimeError:
            pytest.skip("CuPy finds no CUDA device")
        self.spin = self.cupy.RawKernel(SPIN, "spin")

    def put(self, array):
        return self.cupy.asarray(array)

    def get(self, array):
        return self.cupy.asnumpy(array)

    def by_dlpack(self, array):
        return self.cupy.from_dlpack(array)

    def by_interface(self, array):
        return self.cupy.asarray(array)

    def address(self, array):
        return array.data.ptr

    def stream(self):
        return self.cupy.cuda.Stream(non_blocking=True)

    def default_stream(self):
        return self.cupy.cuda.Stream.null

    def on(self, stream):
        return stream

    def delay(self):
        self.spin((1,), (1,), (np.int64(CYCLES),))

    def fill(self, array, values):
        array[...] = values

    def clone(self, array):
        return array.copy()

    def repeat(self, row, shape):
        return self.cupy.broadcast_to(row, shape)

    def synchronize(self):
        self.cupy.cuda.runtime.deviceSynchronize()


class Interface:
    """An array with `__cuda_array_interface__` alone, as Numba's are."""

    def __init__(self, array):
        self.array = array

    @property
    def __cuda_array_interface__(self):
        return self.array.__cuda_array_interface__


@pytest.fixture(params=[Torch, Cupy], ids=["torch", "cupy"])
def library(request):
    if not HAS_CUDA:
        pytest.skip(f"no CUDA device: {dr.missing_devices().get('cuda')}")
    return request.param()


def test_the_pages_examples(library):
    name = type(library).__name__.lower()
    names = {"__name__": "page"}
    with contextlib.redirect_stdout(io.StringIO()):
        for code in blocks(PAGE, "python") + blocks(PAGE, f"python {name}"):
            exec(compile(code, PAGE.name, "exec"), names)
    assert tuple(names["image"].shape) == (480, 640)


def make_renderer(device="cuda", several=True, output="distance", **options):
    camera = dr.PinholeCamera(97, 61, 80, 80, 48, 30)
    shapes = {"ball": dr.Sphere((0.2, -0.1, 5), 1.3)}
    if several:
        shapes |= {"small": dr.Sphere((-0.9, 0.4, 4), 0.4), "wall": dr.Plane((0, 0, 9), (0.1, 0.2, -1))}
    scene = dr.Scene(camera, shapes)
    free = ["ball.center", "ball.radius"] + ["small.center", "camera.pose"] * several
    return dr.Renderer(scene, free=free, output=output, background=0.0, device=device, **options)


def observation(renderer, dtype=np.float32):
    image = renderer.render()
    rng = np.random.default_rng(5)
    observed = (image + rng.normal(0, 0.1, image.shape)).astype(dtype)
    observed[3:9, 4:30] = np.nan
    weights = rng.uniform(0, 2, image.shape).astype(dtype)
    weights[weights < 0.2] = 0
    return observed, weights


def assert_equal(found, expected):
    assert np.array_equal(found.H, expected.H) and np.array_equal(found.g, expected.g)
    assert (found.cost, found.count) == (expected.cost, expected.count)


LAYOUTS = {
    "contiguous": lambda library, a: library.put(a),
    "transposed": lambda library, a: library.put(a.T).T,
    "part of a larger one": lambda library, a: library.put(np.pad(a, ((3, 2), (5, 7))))[3:-2, 5:-7],
    "every other": lambda library, a: library.put(a.repeat(2, 0).repeat(3, 1))[::2, ::3],
    "interface alone": lambda library, a: Interface(library.put(a)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_observed_and_weights(library, layout, dtype):
    """The same bits as with the host's arrays: the same numbers reach the same kernels."""
    renderer = make_renderer()
    observed, weights = observation(renderer, dtype)
    there = [LAYOUTS[layout](library, a) for a in (observed, weights)]
    for loss in (None, dr.Huber(0.1)):
        expected = renderer.normal_equations(None, observed, weights, loss)
        assert_equal(renderer.normal_equations(None, *there, loss), expected)
        assert renderer.cost(None, *there, loss) == renderer.cost(None, observed, weights, loss)
        # One there, one here.
        assert_equal(renderer.normal_equations(None, there[0], weights, loss), expected)
        assert_equal(renderer.normal_equations(None, observed, there[1], loss), expected)
    expected = renderer.normal_equations(None, observed)
    assert_equal(renderer.normal_equations(None, there[0]), expected)


def test_repeated_rows_and_channels(library):
    renderer = make_renderer(output=["depth", "normal"])
    image = np.nan_to_num(renderer.render()) + np.float32(0.1)
    row = image[30]
    repeated = library.repeat(library.put(row), image.shape)
    assert_equal(
        renderer.normal_equations(None, repeated), renderer.normal_equations(None, np.broadcast_to(row, image.shape))
    )
    weights = np.random.default_rng(1).uniform(size=image.shape[:2]).astype(np.float32)
    expected = renderer.normal_equations(None, image, weights)
    assert_equal(renderer.normal_equations(None, library.put(image), library.put(weights)), expected)
    planes = library.put(image.transpose(2, 0, 1))
    chw = planes.permute(1, 2, 0) if hasattr(planes, "permute") else planes.transpose(1, 2, 0)
    assert_equal(renderer.normal_equations(None, chw, weights), expected)


def test_contents_may_change(library):
    renderer = make_renderer()
    observed, _ = observation(renderer)
    there = library.put(observed)
    for offset in (0.0, 0.5, 0.25):
        changed = observed + np.float32(offset)
        library.fill(there, library.put(changed))
        assert renderer.cost(None, there) == renderer.cost(None, changed)


@pytest.mark.parametrize("levels", [1, 2])
def test_fit(library, levels):
    renderer = make_renderer(several=False)
    observed = renderer.render(np.add(renderer.theta0, (0.05, -0.05, 0.1, 0.03)))
    weights = np.full(observed.shape, 0.7)
    expected = dr.fit(renderer, observed, weights=weights, loss=dr.Huber(0.5), levels=levels)
    found = dr.fit(renderer, library.put(observed), weights=library.put(weights), loss=dr.Huber(0.5), levels=levels)
    assert np.array_equal(found.theta, expected.theta) and found.cost == expected.cost
    assert np.allclose(found.theta, np.add(renderer.theta0, (0.05, -0.05, 0.1, 0.03)), atol=1e-4)


def test_wrong_arrays_are_refused(library):
    renderer = make_renderer()
    observed, weights = observation(renderer)
    there, weights_there = library.put(observed), library.put(weights)
    expected = renderer.normal_equations(None, there, weights_there)
    negative = weights.copy()
    negative[10, 11] = -1e-3
    for call in (
        lambda: renderer.normal_equations(None, there, library.put(negative)),
        lambda: renderer.cost(None, observed, library.put(negative)),
        lambda: renderer.cost(None, there[1:]),
        lambda: renderer.cost(None, library.put(observed.astype(np.float16))),
        lambda: renderer.cost(None, library.put(np.zeros(observed.shape, np.int32))),
        lambda: dr.fit(renderer, there, weights=library.put(negative)),
    ):
        with pytest.raises((dr.InvalidValueError, dr.InvalidTypeError), match=r"^(observed|weights): "):
            call()
        assert_equal(renderer.normal_equations(None, there, weights_there), expected)
    with pytest.raises(
        dr.InvalidTypeError, match=r"^observed: lies on a CUDA device.*works on cpu; copy it to the host"
    ):
        make_renderer("cpu").cost(None, there)
    with pytest.raises(dr.InvalidTypeError, match=r"^observed: lies on a CUDA device"):
        make_renderer("cpu").cost(None, Interface(there))


def test_tracked_tensors_are_refused():
    torch = Torch().torch if HAS_CUDA else pytest.skip("no CUDA device")
    renderer = make_renderer()
    with pytest.raises(dr.InvalidTypeError, match=r"^observed: .*detach"):
        renderer.cost(None, torch.zeros(61, 97, device="cuda", requires_grad=True))


@pytest.mark.parametrize("way", ["by_dlpack", "by_interface"])
@pytest.mark.parametrize("output", ["distance", ["depth", "normal"]], ids=["one channel", "four"])
@pytest.mark.parametrize("several", [False, True], ids=["one shape", "several"])
def test_image_and_columns(library, way, output, several):
    renderer = make_renderer(several=several, output=output)
    take = getattr(library, way)
    expected_image, expected = renderer.jacobian()
    image, J = renderer.jacobian(on_device=True)
    dense = J.dense()
    for array, values in ((image, expected_image), (dense, expected.dense())):
        taken = take(array)
        assert library.address(taken) == array._core.address
        assert tuple(taken.shape) == values.shape == array.shape
        tolerance = 1e-5 * np.abs(values[np.isfinite(values)]).max()
        assert np.allclose(library.get(taken), values, rtol=0, atol=tolerance, equal_nan=True)
        assert np.array_equal(library.get(taken), array.numpy(), equal_nan=True)
    assert np.array_equal(J @ np.ones(J.shape[-1]), expected @ np.ones(J.shape[-1]))


def test_results_are_kept_while_they_are_held(library):
    renderer = make_renderer()
    thetas = [renderer.theta0 + 0.02 * k for k in range(5)]
    expected = [renderer.render(theta) for theta in thetas]
    taken = [library.by_dlpack(renderer.render(theta, on_device=True)) for theta in thetas]
    del renderer
    gc.collect()
    for array, values in zip(taken, expected, strict=True):
        assert np.array_equal(library.get(array), values, equal_nan=True)


def test_memory_is_used_again(library):
    renderer = make_renderer()
    image = library.by_dlpack(renderer.render(on_device=True))
    addresses = set()
    for _ in range(10):
        addresses.add(library.address(image))
        image = library.by_dlpack(renderer.render(on_device=True))
    assert len(addresses) <= 2


# Streams. A delay stands for a producer, or a consumer, that takes its time.


@contextlib.contextmanager
def delayed(library, stream):
    library.synchronize()
    with library.on(stream):
        library.delay()
        yield


@pytest.mark.parametrize("stream", ["renderer's", "caller's", "default"])
@pytest.mark.parametrize("wrap", [lambda a: a, Interface], ids=["dlpack", "interface"])
def test_a_producer_that_takes_its_time(library, stream, wrap):
    renderer = make_renderer()
    observed, _ = observation(renderer)
    expected = renderer.cost(None, observed)
    there, source = library.put(np.zeros_like(observed)), library.put(observed)
    theirs = library.default_stream() if stream == "default" else library.stream()
    if stream != "renderer's":
        renderer.stream = theirs
    elif wrap is Interface and isinstance(library, Torch):
        pytest.skip("PyTorch's interface, of version 2, tells no stream")
    with delayed(library, theirs):
        library.fill(there, source)
        found = renderer.cost(None, wrap(there))
    assert found == expected


@pytest.mark.parametrize("stream", ["renderer's", "caller's"])
@pytest.mark.parametrize("way", ["by_dlpack", "by_interface"])
def test_a_consumer_that_takes_its_time(library, stream, way):
    """The array goes while a kernel that reads it has not begun: the next image does not come there before it."""
    renderer = make_renderer()
    theirs = library.stream()
    if stream == "caller's":
        renderer.stream = theirs
    renderer.render(on_device=True)
    expected = renderer.render()
    image = renderer.render(on_device=True)
    with delayed(library, theirs):
        taken = getattr(library, way)(image)
        copied = library.clone(taken)
        del taken, image
        others = [renderer.render(renderer.theta0 + 0.1 * k, on_device=True) for k in range(1, 4)]
    library.synchronize()
    assert not any(np.array_equal(other.numpy(), expected, equal_nan=True) for other in others)
    assert np.array_equal(library.get(copied), expected, equal_nan=True)


def test_a_loop_on_the_callers_stream(library):
    """Render, change on the device, compare: in order without a wait between them."""
    stream = library.stream()
    renderer = make_renderer(stream=stream)
    expected_image = renderer.render()
    expected = renderer.cost(None, expected_image + np.float32(0.5))
    with library.on(stream):
        for _ in range(3):
            image = library.by_dlpack(renderer.render(on_device=True))
            library.delay()
            image += 0.5
            assert renderer.cost(None, image) == expected
