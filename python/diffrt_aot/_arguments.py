"""Checks on arguments: each returns the value as it is stored, or says what is wrong and how to mend it."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InvalidTypeError, InvalidValueError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def float_array(name: str, value: Any, shape: Sequence[int | str], *, finite: bool = True) -> FloatArray:
    """Return `value` as a read-only, C-contiguous float64 copy, which must be finite unless `finite` is False.

    `shape` has one entry per dimension: a number that must match, or a letter for any length.
    """
    array = _numeric_array(name, value)
    if array.dtype.kind == "c":
        raise InvalidTypeError(f"{name}: must be real, got {array.dtype}; pass {name}.real")
    _check_shape(name, array, shape)
    result = np.array(array, dtype=np.float64, order="C", copy=True)
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


def finite_float(name: str, value: Any) -> float:
    """Return `value` as a float; it must be one finite real number."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        hint = _number_hint(value)
        raise InvalidTypeError(f"{name}: must be a number, got {describe(value)}{hint}")
    number = float(value)
    if not math.isfinite(number):
        raise InvalidValueError(f"{name}: must be finite, got {number}")
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
        hint = f"; pass {int(float(value))}" if isinstance(value, numbers.Real) and float(value).is_integer() else ""
        raise InvalidTypeError(f"{name}: must be an integer, got {describe(value)}{hint}")
    number = int(value)
    if not low <= number <= high:
        raise InvalidValueError(f"{name}: must be between {low} and {high}, got {number}")
    return number


def describe(value: Any) -> str:
    """Describe a wrong argument in a few words, without dumping arrays."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    text = repr(value)
    return text if len(text) <= 60 else f"a {type(value).__name__}"


def _number_hint(value: Any) -> str:
    if isinstance(value, str):
        return "; remove the quotes"
    if isinstance(value, (np.ndarray, Sequence)) and np.size(value) == 1:
        return "; pass its single element"
    return ""


def _numeric_array(name: str, value: Any) -> npt.NDArray[Any]:
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise InvalidValueError(
            f"{name}: cannot be made into an array ({error}); are all its rows equally long?"
        ) from None
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
