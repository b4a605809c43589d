"""Checks on arguments: each returns the value as it is stored, or says what is wrong and how to mend it."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from .errors import InvalidTypeError, InvalidValueError
from .errors import describe as describe

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_LONGEST_NAME = 255  # of a file or a folder
_LONGEST_DEVICE_NAME = 60


def float_array(name: str, value: Any, shape: Sequence[int | str], *, finite: bool = True) -> FloatArray:
    """Return `value` as a read-only, C-contiguous float64 copy, which must be finite unless `finite` is False.

    `shape` has one entry per dimension: a number that must match, or a letter for any length.
    """
    array = _numeric_array(name, value)
    if array.dtype.kind == "c":
        raise InvalidTypeError(f"{name}: must be real, got {array.dtype}; pass {name}.real")
    _check_shape(name, array, shape)
    result = as_doubles(array)
    is_finite = np.isfinite(result)
    if finite and not is_finite.all():
        bad = tuple(int(i) for i in np.argwhere(~is_finite)[0])
        place = f" at index {bad if len(bad) > 1 else bad[0]}" if bad else ""
        raise InvalidValueError(
            f"{name}: must be finite, got {result[bad]}{place} "
            f"({int((~is_finite).sum())} such of {result.size}); remove or repair these entries"
        )
    result.flags.writeable = False
    return result


def index_array(name: str, value: Any, shape: Sequence[int | str]) -> IntArray:
    """Return `value`, which must have an integer type, as a read-only, C-contiguous int64 copy."""
    array = _numeric_array(name, value)
    if array.dtype.kind not in "iu" and array.size:
        fix = f"pass {name}.astype(np.int64)"
        raise InvalidTypeError(f"{name}: must have an integer type, got {array.dtype}; {fix}")
    _check_shape(name, array, shape)
    result = np.array(array, dtype=np.int64, order="C", copy=True)
    result.flags.writeable = False
    return result


def real_array(name: str, value: Any) -> FloatArray:
    """Return `value`, of any shape, finite or not, as a C-contiguous float64 array: itself where it is one."""
    array = _numeric_array(name, value)
    if array.dtype.kind == "c":
        raise InvalidTypeError(f"{name}: must be real, got {array.dtype}; pass {name}.real")
    if array.dtype == np.float64 and array.dtype.isnative and array.flags.c_contiguous:
        return array
    return as_doubles(array)


def vector(name: str, value: Any) -> FloatArray:
    """Return `value` as `real_array` does; it must have one axis."""
    try:
        array = real_array(name, value)
    except InvalidTypeError as error:  # a theta is a value like any other, of whatever type
        raise InvalidValueError(str(error)) from None
    if array.ndim != 1:
        fix = f"pass [{name}]" if array.ndim == 0 else f"pass {name}.ravel() if its order is that of the parameters"
        raise InvalidValueError(f"{name}: must have shape (P,), got {array.shape}; {fix}")
    return array


def whole_number(name: str, value: Any, low: int, high: int, *, advice: str = "") -> int:
    """Return `value` as an int in [low, high]; `advice` follows ">= low" in the message."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    integral = isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_))
    if not integral or int(value) < low:
        raise InvalidValueError(f"{name}: must be a whole number >= {low}{advice}, got {describe(value)}")
    if int(value) > high:
        raise InvalidValueError(f"{name}: must be at most {high}, got {describe(value)}")
    return int(value)


def flag(name: str, value: Any) -> bool:
    """Return `value`, which must be True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise InvalidTypeError(f"{name}: must be True or False, got {describe(value)}")
    return bool(value)


def path_argument(value: Any) -> Path:
    """Return the argument `path`, which must be a string or an os.PathLike, and can be a file's name."""
    if not isinstance(value, (str, os.PathLike)) or not isinstance(os.fspath(value), str):
        raise InvalidTypeError(f"path: must be a string or a pathlib.Path, got {describe(value)}")
    try:
        os.fsencode(value)
    except UnicodeError as error:
        raise InvalidValueError(f"path: cannot be a file's name, {error}") from None
    path = Path(value)
    if "\0" in str(path) or max(map(len, path.parts), default=0) > _LONGEST_NAME:
        raise InvalidValueError(f"path: cannot be a file's name, got {describe(str(path))}")
    return path


def finite_float(name: str, value: Any) -> float:
    """Return `value` as a float; it must be one finite real number."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        hint = _number_hint(value)
        raise InvalidTypeError(f"{name}: must be a number, got {describe(value)}{hint}")
    number = _as_float(value)
    if not math.isfinite(number):
        raise InvalidValueError(f"{name}: must be finite, got {describe(value)}")
    return number


def positive_float(name: str, value: Any, *, advice: str) -> float:
    """Return `value` as a float; it must be finite and above zero."""
    number = finite_float(name, value)
    if number <= 0.0:
        raise InvalidValueError(f"{name}: must be above zero, got {number:g}; {advice}")
    return number


def bounded_integer(name: str, value: Any, low: int, high: int) -> int:
    """Return `value` as an int in [low, high]; floats are refused, integral or not."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        real = _as_float(value) if isinstance(value, numbers.Real) else math.nan
        hint = f"; pass {int(real)}" if real.is_integer() else ""
        raise InvalidTypeError(f"{name}: must be an integer, got {describe(value)}{hint}")
    number = int(value)
    if not low <= number <= high:
        raise InvalidValueError(f"{name}: must be between {low} and {high}, got {describe(value)}")
    return number


def compiled_model(name: str, value: object) -> _core.Model | None:
    """Return the model of a CompiledModel as the core knows it, or None for what is none."""
    core = getattr(value, "_core", None)
    if isinstance(core, _core.Model):
        return core
    if type(value).__module__.startswith("diffrt_aot.model."):
        model = getattr(value, "name", "a model")
        raise InvalidTypeError(f"{name}: {model} is not compiled; pass {model}.compile()")
    return None


def _number_hint(value: Any) -> str:
    if isinstance(value, str):
        return "; remove the quotes"
    if (value.size if isinstance(value, np.ndarray) else isinstance(value, Sequence) and len(value)) == 1:
        return "; pass its single element"
    return ""


def any_array(name: str, value: Any) -> npt.NDArray[Any]:
    """Return `value` as an array of whatever type; an array with masked entries is refused."""
    if np.ma.is_masked(value):
        raise InvalidValueError(f"{name}: has masked entries; give them values, with {name}.filled(...)")
    try:
        return np.asarray(value)
    except Exception as error:  # of any kind: an object's __array__ may be anything
        reason = str(error).partition("\n")[0]
        raise InvalidValueError(
            f"{name}: cannot be made into an array ({reason}); are all its rows equally long?"
        ) from None


def as_doubles(array: npt.NDArray[Any]) -> FloatArray:
    """Return a float64 copy; a long double beyond float64 is infinite."""
    with np.errstate(over="ignore"):
        return np.array(array, dtype=np.float64, order="C", copy=True)


def _as_float(value: Any) -> float:
    try:
        with np.errstate(over="ignore"):
            return float(value)
    except OverflowError:  # a whole number or a fraction beyond float64
        return math.inf


def _numeric_array(name: str, value: Any) -> npt.NDArray[Any]:
    array = any_array(name, value)
    if array.dtype.kind not in "fiuc":
        raise InvalidTypeError(f"{name}: must hold numbers, got {describe(value)} (array type {array.dtype})")
    return array


def _check_shape(name: str, array: npt.NDArray[Any], shape: Sequence[int | str]) -> None:
    fits = array.ndim == len(shape) and all(
        isinstance(want, str) or want == have for want, have in zip(shape, array.shape, strict=True)
    )
    if fits:
        return
    wanted = "(" + ", ".join(str(n) for n in shape) + ("," if len(shape) == 1 else "") + ")"
    hint = _shape_hint(name, array, shape)
    raise InvalidValueError(f"{name}: must have shape {wanted}, got {array.shape}{hint}")


def _shape_hint(name: str, array: npt.NDArray[Any], shape: Sequence[int | str]) -> str:
    if len(shape) == 2 and isinstance(shape[0], str) and array.ndim == 2:
        if array.shape[0] == shape[1]:
            return f"; pass {name}.T"
        if array.shape[1] == 4 and shape[1] == 3 and array.dtype.kind in "iu":
            return "; split each quadrilateral into two triangles"
    fixed = [n for n in shape if isinstance(n, int)]
    if len(fixed) == len(shape) and array.size == math.prod(fixed):
        return f"; pass {name}.reshape({', '.join(map(str, fixed))})"
    if list(shape) == [4, 4] and array.size == 12:
        return f"; pass {name}.reshape(3, 4)"
    return ""


def device_name(value: Any) -> str:
    """The argument `device`; whether there is such a device is the core's to say."""
    if not isinstance(value, str) or not value.isprintable() or len(value) > _LONGEST_DEVICE_NAME:
        raise InvalidTypeError(f'device: must be a name such as "cpu", got {describe(value)}')
    return value
