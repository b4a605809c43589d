"""Results that stay on the GPU that computed them, and how other libraries take them over without a copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from ._arguments import describe
from .errors import InvalidTypeError, InvalidValueError

# DLDeviceType (https://dmlc.github.io/dlpack/latest/c_api.html).
_CPU, _CUDA, _VULKAN = 1, 2, 7


class DeviceArray:
    """An array of float32 that stays where the renderer works: an image, or the columns of J.

    On CUDA, PyTorch, CuPy, JAX and others take it over as it is: torch.from_dlpack(array), cupy.from_dlpack(array),
    or anything that reads `__cuda_array_interface__`. It is complete when the call that returned it has returned.
    Its memory is used for another result only when nobody holds it any more: neither this object, nor what was made
    of it. Vulkan's memory has no consumers; `numpy()` copies from either.
    """

    def __init__(self, core: _core.DeviceArray) -> None:
        if not isinstance(core, _core.DeviceArray):
            raise InvalidTypeError(f"DeviceArray: is made by Renderer.render(on_device=True), not of {describe(core)}")
        self._core = core

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of its axes."""
        return self._core.shape

    @property
    def strides(self) -> tuple[int, ...]:
        """Steps along its axes [bytes]."""
        return tuple(4 * stride for stride in self._core.strides)

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """How much memory they take [bytes]."""
        return 4 * self.size

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """float32."""
        return np.dtype(np.float32)

    @property
    def device(self) -> str:
        """Where it lies: "cuda:0", "vulkan:0"."""
        return self._core.device

    def numpy(self) -> npt.NDArray[np.float32]:
        """Return a copy in the host's memory."""
        return self._core.numpy()

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """A copy in the host's memory, for np.asarray."""
        if copy is False:
            raise InvalidValueError(f"copy: an array on {self.device} has no view on the host; leave copy=False out")
        array = self.numpy()
        return array if dtype is None else array.astype(dtype, copy=False)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Its device as DLPack names it: (kind, index)."""
        return (_CUDA if self._core.is_cuda else _VULKAN, self._core.device_index)

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """Return a DLPack capsule of this memory.

        Args:
            stream: the CUDA stream on which the consumer works: None or 1 for the legacy default stream, 2 for the
                thread's own, -1 if it sees to the order itself, or a handle. The numbers are there already, so that
                no stream has to wait; the memory is not written again before the stream has come so far.
            max_version: the newest DLPack that the consumer knows; None, or a major version of 0, for capsules from
                before version 1.
            dl_device: where the consumer wants it: this device, or (1, 0), the host, which takes a copy.
            copy: True: memory of its own; False: never a copy.

        Raises:
            BufferError: it cannot be had there, or in this way.
        """
        here = self.__dlpack_device__()
        if dl_device is not None and tuple(dl_device) != here:
            if dl_device[0] != _CPU:
                raise BufferError(f"the array lies on {self.device}; it can be had there, or on the host")
            if copy is False:
                raise BufferError(
                    f"the array lies on {self.device}; on the host it is a copy, which copy=False forbids"
                )
            return _of_host(self.numpy(), max_version)
        if not self._core.is_cuda:
            raise BufferError(
                f"the array lies on {self.device}, whose memory no other library can reach: take .numpy()"
            )
        core = self._core.copy() if copy else self._core
        core.used_on(_consumer(stream))
        return core.dlpack(max_version is not None and max_version[0] >= 1, bool(copy))

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Version 3 of Numba's interface. No stream: the numbers are there already. Only on CUDA."""
        if not self._core.is_cuda:
            raise AttributeError(f"__cuda_array_interface__: the array lies on {self.device}")
        self._core.used_on(0)
        return {
            "shape": self.shape,
            "typestr": "<f4",
            "data": (self._core.address, False),
            "strides": self.strides,
            "stream": None,
            "version": 3,
        }

    def __copy__(self) -> DeviceArray:
        return self

    def __deepcopy__(self, _: object) -> DeviceArray:
        return DeviceArray(self._core.copy())

    def __reduce__(self) -> tuple[Any, ...]:
        raise InvalidTypeError("DeviceArray: cannot be pickled; pickle its .numpy()")

    def __repr__(self) -> str:
        return f"DeviceArray(shape={self.shape}, device={self.device!r})"


def _consumer(stream: Any) -> int:
    """The stream that reads the memory; 0 where it is not known which."""
    if stream is None:
        return 1
    if isinstance(stream, bool) or not isinstance(stream, (int, np.integer)):
        raise InvalidTypeError(f"stream: must be a whole number or None, got {describe(stream)}")
    if stream == 0 or stream < -1:
        raise InvalidValueError(
            f"stream: {stream} is not a stream in DLPack; 1 is the legacy default stream, 2 the thread's own, -1 none"
        )
    return 0 if stream in (-1, 2) else int(stream)  # 2 is another stream in each thread


def _of_host(array: npt.NDArray[np.float32], max_version: tuple[int, int] | None) -> Any:
    if max_version is not None and np.lib.NumpyVersion(np.__version__) >= "2.1.0":
        return array.__dlpack__(max_version=max_version)
    return array.__dlpack__()
