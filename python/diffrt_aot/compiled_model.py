"""A compiled model, ready to be called."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from . import _core
from .errors import InvalidTypeError, describe

if TYPE_CHECKING:
    from .module import Module


class CompiledModel:
    """A model whose code is in memory: what `load` and `compile` give."""

    def __init__(self, core: _core.Model, module: Module) -> None:
        if not isinstance(core, _core.Model):
            raise InvalidTypeError(f"CompiledModel: is made by diffrt_aot.load, not of {describe(core)}")
        self._core = core
        self._module = module

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

    def __reduce__(self) -> tuple[Callable[[Module, str], CompiledModel], tuple[Module, str]]:
        return _model_of, (self._module, self.name)


def _model_of(module: Module, name: str) -> CompiledModel:
    return module[name]
