"""Values: equality, hash, copies and pickles for frozen dataclasses that hold arrays.

The dataclass machinery compares fields with ==, which for arrays is not a truth value, and NumPy forgets
on pickling that an array was read-only. A class that derives from Value and is decorated with
`@dataclass(frozen=True, eq=False, repr=False)` has both right, as long as its constructor
accepts its own fields.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from .errors import InvalidValueError, unknown_name

AnyValue = TypeVar("AnyValue", bound="Value")


class ReadOnlyDict(dict[str, Any]):
    """A dict that nobody changes. Unlike a MappingProxyType it is copied, pickled, and a dict to dataclasses.asdict."""

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError("these names are read-only: make another scene, with scene.replace(name=shape)")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


class ByContent:
    """Base of dataclasses that are compared by content, arrays and NaN included."""

    __slots__ = ()

    def _fields(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, ByContent)
        theirs = other._fields()
        return all(_equal(mine, theirs[name]) for name, mine in self._fields().items())

    def __hash__(self) -> int:
        raise TypeError(f"unhashable type: '{type(self).__name__}'")


class Deferred:
    """In place of a field of a Lazy dataclass: a value that is made when the field is first read, or an error then."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


def deferred(make: Callable[[], Any]) -> Any:
    """Return a Deferred, as a value of whatever type the field is."""
    return Deferred(make)


class _Refused:
    """What a field that cannot be read becomes in a pickle."""

    def __init__(self, message: str) -> None:
        self.message = message

    def __call__(self) -> Any:
        raise InvalidValueError(self.message)


class Lazy(ByContent):
    """Base of dataclasses some of whose fields are Deferred. Comparing and pickling reads them all."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        value = object.__getattribute__(self, name)
        if type(value) is not Deferred:
            return value
        value = value.make()
        object.__setattr__(self, name, value)
        return value

    def _fields(self) -> dict[str, Any]:
        return self._read(str)

    def __getstate__(self) -> dict[str, Any]:
        return self._read(lambda message: Deferred(_Refused(message)))

    def _read(self, refused: Callable[[str], Any]) -> dict[str, Any]:
        """All fields; of those that cannot be read, what `refused` makes of the message."""
        values: dict[str, Any] = {}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            try:
                values[field.name] = getattr(self, field.name)
            except InvalidValueError as error:
                values[field.name] = refused(str(error))
        return values

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)


class Value(ByContent):
    """Base of the cameras, shapes and scenes: compared by content, never changed in place."""

    def replace(self: AnyValue, **changes: Any) -> AnyValue:
        """Return a copy with the given fields changed; the copy is checked as a new one is."""
        fields = self._fields()
        for name in changes:
            if name not in fields:
                raise unknown_name("field", name, fields, where=f"{type(self).__name__}.replace: ")
        return type(self)(**{**fields, **changes})

    def __hash__(self) -> int:
        return hash((type(self), *(_hashable(field) for field in self._fields().values())))

    def __reduce__(self) -> tuple[Any, ...]:
        values = (dict(v) if isinstance(v, Mapping) else v for v in self._fields().values())
        return type(self), tuple(values)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return a is b or (type(a) is type(b) and np.array_equal(a, b, equal_nan=True))
    return bool(a == b) or bool(a != a and b != b)


def _hashable(field: Any) -> Any:
    if isinstance(field, np.ndarray):
        return field.shape, (field + 0).tobytes()  # adding 0 makes -0.0 hash as the 0.0 that it equals
    if isinstance(field, Mapping):
        return frozenset(field.items())
    return field


def show_numbers(values: Any) -> str:
    """Format a scalar or a short vector for a repr: 10.1, (0, 0, 1)."""
    array = np.asarray(values)
    if array.ndim == 0:
        return f"{float(array):.6g}"
    return "(" + ", ".join(f"{float(v):.6g}" for v in array) + ")"
