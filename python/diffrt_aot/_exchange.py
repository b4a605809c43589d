"""Arrays of other libraries, taken without a copy: DLPack (https://dmlc.github.io/dlpack/latest/python_spec.html) and
`__cuda_array_interface__` (https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html); and their streams.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _core
from ._arguments import describe
from .errors import InvalidTypeError, InvalidValueError

# DLDeviceType of memory that the host can read: its own, pinned by CUDA or ROCm, managed by CUDA. And of CUDA's own,
# of which the last is both.
_HOST = (1, 3, 11, 13)
_CUDA, _CUDA_MANAGED = 2, 13
_NAMES = {2: "a CUDA device", 4: "an OpenCL device", 7: "a Vulkan device", 8: "a Metal device", 10: "a ROCm device"}


def exchanged(name: str, value: Any, core: _core.Renderer | _core.BoundModel) -> Any:
    """Return a view of an array that another library holds; anything else as it is.

    In the host's memory it is one of NumPy's; on the renderer's own CUDA device an array as the core takes it, which
    what the renderer does from now on finds complete.

    Raises:
        InvalidTypeError: it lies elsewhere, or its library does not hand it out.
        InvalidValueError: it lies on another CUDA device, or is not described as it should be.
    """
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "__dlpack__") and hasattr(value, "__dlpack_device__"):
        kind, index = (int(number) for number in value.__dlpack_device__())
        if kind in (_CUDA, _CUDA_MANAGED) and isinstance(core, _core.Renderer) and core.device.startswith("cuda:"):
            return _from_dlpack(name, value, index, core)
        if kind not in _HOST:
            where = _NAMES.get(kind, f"a device of DLPack's kind {kind}")
            raise _elsewhere(name, where, core)
        try:
            return np.from_dlpack(value)
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            raise InvalidTypeError(f"{name}: its library does not hand it out by DLPack: {error}") from error
    interface = getattr(value, "__cuda_array_interface__", None)
    if interface is None:
        return value
    if not isinstance(core, _core.Renderer) or not core.device.startswith("cuda:"):
        raise _elsewhere(name, _NAMES[_CUDA], core)
    return _from_interface(name, interface, core)


def stream_handle(stream: Any) -> int:
    """Return a CUDA stream as a handle: given as such, or as an object of a library that has one.

    0, as PyTorch and CuPy number the default stream, is the legacy default stream.
    """
    for attribute in ("cuda_stream", "ptr"):
        if hasattr(stream, attribute):
            return stream_handle(getattr(stream, attribute))
    if hasattr(stream, "__cuda_stream__"):
        pair = stream.__cuda_stream__
        return stream_handle((pair() if callable(pair) else pair)[1])
    if isinstance(stream, bool) or not isinstance(stream, (int, np.integer)):
        raise InvalidTypeError(
            f"stream: must be a handle (cudaStream_t, CUstream) or a stream of PyTorch, CuPy or another library, "
            f"got {describe(stream)}"
        )
    if not 0 <= stream < 2**64:
        raise InvalidValueError(f"stream: must be a handle, got {describe(stream)}; handles are numbers of 64 bits")
    return int(stream) or 1


def _elsewhere(name: str, where: str, core: _core.Renderer | _core.BoundModel) -> InvalidTypeError:
    who = "renderer" if isinstance(core, _core.Renderer) else "model"
    return InvalidTypeError(
        f"{name}: lies on {where}, and the {who} works on {core.device}; copy it to the host first "
        f"({name}.cpu(), np.asarray({name}))"
    )


def _from_dlpack(name: str, value: Any, index: int, core: _core.Renderer) -> _core.ForeignArray:
    if core.device != f"cuda:{index}":
        raise InvalidValueError(
            f"{name}: lies on cuda:{index}, and the renderer works on {core.device}; move it there "
            f'({name}.to("{core.device}")), or make the renderer with device="cuda:{index}"'
        )
    try:
        try:
            capsule = value.__dlpack__(stream=core.stream, max_version=(1, 0))
        except TypeError:  # its library is of before version 1
            capsule = value.__dlpack__(stream=core.stream)
        return _floats(name, _core.ForeignArray.from_dlpack(capsule))
    except InvalidTypeError:
        raise
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise InvalidTypeError(f"{name}: its library does not hand it out by DLPack: {error}") from error


def _from_interface(name: str, interface: dict[str, Any], core: _core.Renderer) -> _core.ForeignArray:
    if interface.get("mask") is not None:
        raise InvalidValueError(f"{name}: has a mask; put NaN where nothing was measured instead")
    dtype = np.dtype(interface["typestr"])
    if not dtype.isnative:
        raise InvalidTypeError(f"{name}: its numbers have the other byte order")
    shape = tuple(int(length) for length in interface["shape"])
    strides = interface.get("strides")
    if strides is None:
        strides = tuple(int(dtype.itemsize * np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    array = _core.ForeignArray.from_address(interface["data"][0], shape, strides, dtype.name)
    _floats(name, array)
    # Before version 3 nothing was said of streams: all was on the default one.
    producer = interface.get("stream") if interface["version"] >= 3 else 1
    if producer is not None:
        if producer == 0:
            raise InvalidValueError(
                f"{name}: stream 0 is not allowed in __cuda_array_interface__; 1 and 2 are defaults"
            )
        core.wait_for(producer)
    return array


def _floats(name: str, array: _core.ForeignArray) -> _core.ForeignArray:
    if array.dtype not in ("float32", "float64"):
        raise InvalidTypeError(
            f"{name}: has dtype {array.dtype}, expected float32 or float64; convert it ({name}.float(), "
            f"{name}.astype('float32'))"
        )
    return array
