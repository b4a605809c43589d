"""Arrays of other libraries, taken without a copy: DLPack (https://dmlc.github.io/dlpack/latest/python_spec.html)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import InvalidTypeError

# DLDeviceType of memory that the host can read: its own, pinned by CUDA or ROCm, managed by CUDA.
_HOST = (1, 3, 11, 13)
_NAMES = {2: "a CUDA device", 4: "an OpenCL device", 7: "a Vulkan device", 8: "a Metal device", 10: "a ROCm device"}


def host_array(name: str, value: Any) -> Any:
    """Return a view of an array that another library holds in the host's memory; anything else as it is.

    Raises:
        InvalidTypeError: it lies elsewhere, or its library does not hand it out.
    """
    if isinstance(value, np.ndarray) or not (hasattr(value, "__dlpack__") and hasattr(value, "__dlpack_device__")):
        return value
    kind = int(value.__dlpack_device__()[0])
    if kind not in _HOST:
        where = _NAMES.get(kind, f"a device of DLPack's kind {kind}")
        raise InvalidTypeError(f"{name}: lies on {where}; copy it to the host first ({name}.cpu(), np.asarray({name}))")
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise InvalidTypeError(f"{name}: its library does not hand it out by DLPack: {error}") from error
