"""A compiled model, ready to be called."""

from __future__ import annotations

from collections.abc import Callable

from . import _core
from .errors import InvalidTypeError, describe


class CompiledModel:
    """A model whose code is in memory: what `load` and `compile` give."""

    def __init__(self, module: _core.Module, name: str, path: str) -> None:
        if not isinstance(module, _core.Module):
            raise InvalidTypeError(f"CompiledModel: is made by diffrt_aot.load, not of {describe(module)}")
        self._core = module.model(name)
        self._module = module
        self._path = path

    @property
    def name(self) -> str:
        """As its author called it."""
        return self._core.name

    @property
    def arguments(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Of each argument its kind and its shape, for one item; () is one number."""
        return {name: (kind, shape) for name, kind, shape in self._core.arguments}

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of what it gives for one item; () is one number."""
        return self._core.output_shape

    def __repr__(self) -> str:
        takes = ", ".join(name for name in self.arguments)
        return f"<CompiledModel {self.name}({takes})>"

    def __reduce__(self) -> tuple[Callable[[bytes, str, str], CompiledModel], tuple[bytes, str, str]]:
        return _from_bytes, (self._module.bytes(), self.name, self._path)


def _from_bytes(data: bytes, name: str, path: str) -> CompiledModel:
    return CompiledModel(_core.Module.from_bytes(data, path), name, path)
