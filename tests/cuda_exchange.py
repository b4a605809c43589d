"""What passes between CUDA renderers and other libraries, against the fake driver: run by test_cuda_exchange.py, in a
process of its own. The fake's kernels compute nothing; arrays are looked at by ctypes, as a consumer's C code would.
"""

import ctypes
import os
import threading

import numpy as np
import pytest

import diffrt_aot as dr

WIDTH, HEIGHT = 20, 12
FAKE = ctypes.CDLL(os.environ["DIFFRT_CUDA_LIBRARY"])
FAKE.diffrt_fake_allocate.restype = ctypes.c_uint64
FAKE.diffrt_fake_allocate.argtypes = [ctypes.c_size_t, ctypes.c_int]
FAKE.diffrt_fake_stream.restype = ctypes.c_size_t
FAKE.diffrt_fake_calls.restype = ctypes.c_long
FAKE.diffrt_fake_mistakes.restype = ctypes.c_char_p
FAKE.diffrt_fake_set_devices(2)


class Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_uint64),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


DELETER = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)


class Managed(ctypes.Structure):
    name, used = b"dltensor", b"used_dltensor"
    _fields_ = (("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", DELETER))


class ManagedVersioned(ctypes.Structure):
    name, used = b"dltensor_versioned", b"used_dltensor_versioned"
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", DELETER),
        ("flags", ctypes.c_uint64),
        ("tensor", Tensor),
    )


API = ctypes.pythonapi
API.PyCapsule_New.restype = ctypes.py_object
API.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
API.PyCapsule_GetPointer.restype = ctypes.c_void_p
API.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
API.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]
API.PyCapsule_GetName.restype = ctypes.c_char_p
API.PyCapsule_GetName.argtypes = [ctypes.py_object]


def take_over(capsule, kind):
    """What a consumer does: the capsule's content is its own from now on."""
    assert API.PyCapsule_GetName(capsule) == kind.name
    managed = ctypes.cast(API.PyCapsule_GetPointer(capsule, kind.name), ctypes.POINTER(kind))
    API.PyCapsule_SetName(capsule, kind.used)
    return managed


class Producer:
    """An array on the fake's device, of a library that speaks DLPack, of before version 1 or after it."""

    def __init__(self, shape=(HEIGHT, WIDTH), strides=None, code=2, bits=32, device=0, versioned=True, major=1):
        self.address = FAKE.diffrt_fake_allocate(8 * HEIGHT * WIDTH * 4, device)
        self.kind = ManagedVersioned if versioned else Managed
        self.device, self.streams, self.deleted, self.exports = device, [], 0, []
        self.arguments, self.major = (shape, strides, code, bits), major

    def __dlpack_device__(self):
        return (2, self.device)

    def __dlpack__(self, *, stream=None, **options):
        if self.kind is Managed and options:
            raise TypeError("unexpected keyword argument")
        assert self.kind is Managed or options == {"max_version": (1, 0)}
        self.streams.append(stream)
        shape, strides, code, bits = self.arguments
        managed = self.kind()
        numbers = [(ctypes.c_int64 * len(shape))(*shape), (ctypes.c_int64 * len(shape))(*(strides or shape))]
        pointers = [ctypes.cast(n, ctypes.POINTER(ctypes.c_int64)) for n in numbers]
        managed.tensor = Tensor(self.address - 8, 2, self.device, len(shape), code, bits, 1, *pointers, 8)
        if strides is None:
            managed.tensor.strides = None
        if self.kind is ManagedVersioned:
            managed.major = self.major

        def deleter(_):
            self.deleted += 1

        managed.deleter = DELETER(deleter)
        self.exports.append((managed, numbers, pointers))
        return API.PyCapsule_New(ctypes.addressof(managed), self.kind.name, None)


class Interface:
    """An array that has `__cuda_array_interface__` and nothing else."""

    def __init__(self, device=0, **changes):
        self.address = FAKE.diffrt_fake_allocate(8 * HEIGHT * WIDTH, device)
        entries = {"shape": (HEIGHT, WIDTH), "typestr": "<f4", "data": (self.address, True), "version": 3}
        self.__cuda_array_interface__ = entries | {"strides": None, "stream": None} | changes


def make_renderer(device="cuda", balls=1, **options):
    camera = dr.PinholeCamera(WIDTH, HEIGHT, 20, 20, 10, 6)
    scene = dr.Scene(camera, {f"ball{k}": dr.Sphere((0.3 * k, 0, 5), 1) for k in range(balls)})
    return dr.Renderer(scene, free=[f"ball{k}.center" for k in range(balls)], device=device, **options)


@pytest.fixture
def renderer():
    return make_renderer()


@pytest.fixture(autouse=True)
def no_mistakes():
    yield
    assert FAKE.diffrt_fake_mistakes() == b""


@pytest.mark.parametrize("max_version", [None, (0, 8), (1, 0), (2, 1)])
def test_an_image_as_a_consumer_sees_it(renderer, max_version):
    kind = ManagedVersioned if max_version and max_version[0] >= 1 else Managed
    image = renderer.render(on_device=True)
    address = image.__cuda_array_interface__["data"][0]
    managed = take_over(image.__dlpack__(max_version=max_version), kind).contents
    tensor = managed.tensor
    assert (tensor.device_type, tensor.device_id) == image.__dlpack_device__() == (2, 0)
    assert (tensor.code, tensor.bits, tensor.lanes, tensor.byte_offset) == (2, 32, 1, 0)
    assert tensor.data == address and tensor.ndim == 2
    assert tensor.shape[:2] == [HEIGHT, WIDTH] and tensor.strides[:2] == [WIDTH, 1]
    if kind is ManagedVersioned:
        assert (managed.major, managed.flags) == (1, 0)
    # It lives as long as the consumer holds it, and no longer.
    del image
    others = [renderer.render(on_device=True) for _ in range(4)]
    assert address not in [other._core.address for other in others]
    thread = threading.Thread(target=managed.deleter, args=(ctypes.addressof(managed),))
    thread.start()
    thread.join()
    assert renderer.render(on_device=True)._core.address == address


def test_a_capsule_that_nobody_takes(renderer):
    image = renderer.render(on_device=True)
    address = image._core.address
    capsules = [image.__dlpack__(), image.__dlpack__(max_version=(1, 0))]
    del image
    assert renderer.render(on_device=True)._core.address != address
    other = renderer.render(on_device=True)
    del capsules
    assert renderer.render(on_device=True)._core.address == address
    del other


@pytest.mark.parametrize("outputs", ["depth", ["depth", "normal"]])
@pytest.mark.parametrize("balls", [1, 2])
def test_columns_as_a_consumer_sees_them(outputs, balls):
    image, J = make_renderer(balls=balls, output=outputs).jacobian(on_device=True)
    dense = J.dense()
    P, C = 3 * balls, 1 if outputs == "depth" else 4
    shape = (HEIGHT, WIDTH, P) if C == 1 else (HEIGHT, WIDTH, C, P)
    strides = (WIDTH, 1, HEIGHT * WIDTH) if C == 1 else (WIDTH, 1, P * HEIGHT * WIDTH, HEIGHT * WIDTH)
    tensor = take_over(dense.__dlpack__(), Managed).contents.tensor
    assert tuple(tensor.shape[: tensor.ndim]) == shape == J.shape
    assert tuple(tensor.strides[: tensor.ndim]) == strides
    interface = dense.__cuda_array_interface__
    assert interface["shape"] == shape and interface["strides"] == dense.strides == tuple(4 * s for s in strides)
    assert interface["typestr"] == "<f4" and interface["version"] == 3 and interface["stream"] is None
    assert image.shape == shape[:-1]


def test_streams_of_consumers(renderer):
    image = renderer.render(on_device=True)
    for stream in (None, -1, 1, 2, FAKE.diffrt_fake_stream()):
        assert API.PyCapsule_GetName(image.__dlpack__(stream=stream)) == b"dltensor"
    for wrong in (0, -2):
        with pytest.raises(dr.InvalidValueError, match=f"^stream: {wrong} is not a stream in DLPack"):
            image.__dlpack__(stream=wrong)
    for wrong in ("1", 1.0, True):
        with pytest.raises(dr.InvalidTypeError, match="stream: must be a whole number"):
            image.__dlpack__(stream=wrong)


@pytest.mark.parametrize("stream", [None, -1, 1, 2, "theirs"])
def test_memory_is_not_written_while_a_consumer_reads(stream):
    """Where the reader's stream is not the renderer's, the default stream is waited for, or else the device."""
    theirs = FAKE.diffrt_fake_stream()
    for ours in (None, 1, theirs):
        renderer = make_renderer(stream=ours)
        for_them = theirs if stream == "theirs" else stream
        reader = 1 if for_them is None else for_them
        same = ours is not None and reader == ours
        image = renderer.render(on_device=True)
        address = image._core.address
        image.__dlpack__(stream=for_them)
        del image
        before = [FAKE.diffrt_fake_calls(name) for name in (b"cuStreamWaitEvent", b"cuCtxSynchronize")]
        assert renderer.render(on_device=True)._core.address == address
        after = [FAKE.diffrt_fake_calls(name) for name in (b"cuStreamWaitEvent", b"cuCtxSynchronize")]
        expected = [0, 0] if same else [1, 0] if reader == 1 else [0, 1]
        assert np.subtract(after, before).tolist() == expected


def test_copies_and_other_devices(renderer):
    image = renderer.render(on_device=True)
    assert (
        take_over(image.__dlpack__(dl_device=(2, 0), copy=False), Managed).contents.tensor.data == image._core.address
    )
    managed = take_over(image.__dlpack__(copy=True, max_version=(1, 0)), ManagedVersioned).contents
    assert managed.tensor.data != image._core.address and managed.flags == 2
    assert np.from_dlpack(OnHost(image)).tobytes() == image.numpy().tobytes()
    with pytest.raises(BufferError, match="copy=False forbids"):
        image.__dlpack__(dl_device=(1, 0), copy=False)
    with pytest.raises(BufferError, match="lies on cuda:0"):
        image.__dlpack__(dl_device=(2, 1))


class OnHost:
    """As numpy.from_dlpack(array, device="cpu") sees it."""

    def __init__(self, array):
        self.array = array

    def __dlpack_device__(self):
        return (1, 0)

    def __dlpack__(self, **options):
        return self.array.__dlpack__(dl_device=(1, 0), max_version=options.get("max_version"))


# Inputs.


@pytest.mark.parametrize("versioned", [False, True])
@pytest.mark.parametrize("call", ["normal_equations", "cost", "fit"])
def test_arrays_of_others(renderer, versioned, call):
    observed, weights = Producer(versioned=versioned), Producer(versioned=versioned, bits=64)
    if call == "fit":
        dr.fit(renderer, observed, weights=weights, max_steps=1)
    else:
        getattr(renderer, call)(None, observed, weights)
    for producer in (observed, weights):
        assert producer.streams == [renderer.stream] and producer.streams != [0]
        assert producer.deleted == 1


def test_strides_of_others(renderer):
    for strides in [(1, HEIGHT), (0, 1), (0, 0), (-WIDTH, 1)]:
        producer = Producer(strides=strides)
        if strides[0] < 0:
            producer.address += 4 * WIDTH * (HEIGHT - 1)
        renderer.cost(None, producer)
        assert producer.deleted == 1


def test_the_callers_stream(renderer):
    producer = Producer()
    handle = FAKE.diffrt_fake_stream()

    class TorchStream:
        cuda_stream = handle

    class CupyStream:
        ptr = handle

    class Protocol:
        def __cuda_stream__(self):
            return (0, handle)

    for stream in (handle, np.int64(handle), TorchStream(), CupyStream(), Protocol()):
        assert make_renderer(stream=stream).stream == handle
        renderer.stream = stream
        renderer.cost(None, producer)
        assert producer.streams[-1] == handle
        renderer.stream = None
        assert renderer.stream not in (0, handle)
    renderer.stream = 0  # as PyTorch and CuPy number the default stream
    assert renderer.stream == 1
    renderer.cost(None, producer)
    assert producer.streams[-1] == 1


def test_refused_arrays_are_given_back(renderer):
    for producer, message in [
        (Producer((WIDTH, HEIGHT)), r"^observed: has shape \(20, 12\), expected \(12, 20\).*transposed"),
        (Producer(code=0), "^observed: has dtype int32, expected float32 or float64"),
        (Producer(bits=16), r"^observed: has dtype float16.*observed\.float\(\)"),
        (Producer(code=4, bits=16), "^observed: has dtype bfloat16"),
    ]:
        with pytest.raises((dr.InvalidValueError, dr.InvalidTypeError), match=message):
            renderer.cost(None, producer)
        assert producer.deleted == 1
    newer = Producer(major=2)
    with pytest.raises(dr.InvalidTypeError, match="DLPack version is 2"):
        renderer.cost(None, newer)
    assert newer.deleted == 0  # its capsule's to call: this one has no destructor


def test_arrays_of_other_devices(renderer):
    far = Producer(device=1)
    message = r'^weights: lies on cuda:1, and the renderer works on cuda:0.*weights\.to\("cuda:0"\).*device="cuda:1"'
    with pytest.raises(dr.InvalidValueError, match=message):
        renderer.cost(None, Producer(), far)
    assert far.streams == []
    make_renderer("cuda:1").cost(None, far)
    with pytest.raises(dr.InvalidValueError, match=r"^observed: cuda:0: the array is on cuda:1"):
        renderer.cost(None, Interface(device=1))
    for array in (Producer(), Interface()):
        with pytest.raises(
            dr.InvalidTypeError, match=r"^observed: lies on a CUDA device, .*works on cpu; copy it to the host"
        ):
            make_renderer("cpu").cost(None, array)


def test_cuda_array_interface(renderer):
    waits = [FAKE.diffrt_fake_calls(b"cuStreamWaitEvent")]

    def cost(**changes):
        renderer.cost(None, Interface(**changes))
        waits.append(FAKE.diffrt_fake_calls(b"cuStreamWaitEvent"))
        return waits[-1] - waits[-2]

    assert cost() == 0
    assert cost(strides=(4, 4 * HEIGHT)) == 0
    assert cost(typestr="<f8") == 0
    assert cost(stream=1) == 1 and cost(stream=2) == 1 and cost(stream=FAKE.diffrt_fake_stream()) == 1
    assert cost(stream=renderer.stream) == 0
    assert cost(version=2) == 1
    for changes, message in [
        ({"stream": 0}, "^observed: stream 0"),
        ({"typestr": "<i4"}, "^observed: has dtype int32"),
        ({"typestr": ">f4"}, "^observed: its numbers have the other byte order"),
        ({"mask": object()}, "^observed: has a mask"),
        ({"shape": (HEIGHT, WIDTH, 2)}, r"^observed: has shape \(12, 20, 2\)"),
    ]:
        with pytest.raises((dr.InvalidValueError, dr.InvalidTypeError), match=message):
            cost(**changes)
    assert cost() == 0


def test_an_image_of_ours_is_observed(renderer):
    renderer.cost(None, renderer.render(on_device=True))


# Left to the end of the process: whoever holds what then, it ends well (test_cuda_exchange.py looks at how).
LEFT = []


def test_what_is_left_at_the_end():
    image, J = make_renderer().jacobian(on_device=True)
    LEFT.extend([image, J, J.dense(), image.__dlpack__(), take_over(image.__dlpack__(), Managed)])
