"""Compiled models from a file: dr.load("models.dra").sphere."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from . import _core
from ._arguments import describe, path_argument
from .compiled_model import CompiledModel
from .errors import InvalidTypeError, unknown_name


def load(path: str | os.PathLike[str]) -> Module:
    """Load the compiled models of a file that `diffrt-aot compile` wrote.

    The file holds native code, which runs in this process with all its rights: load what you trust, as you would a
    Python file. It is checked first, for damage and for fitting this version; that keeps accidents out, not malice.
    Nothing of it runs before a model is called.

    Raises:
        FileNotFoundError: if there is no such file.
        ModelFileError: if it cannot be used; the message says why, and what to do.
    """
    path = path_argument(path)
    if not path.exists():
        raise FileNotFoundError(f"file of models {path} does not exist (working directory: {Path.cwd()})")
    return Module(_core.Module.load(os.fsencode(path)), str(path))


class Module:
    """The models of a file, by name: module.sphere, module["sphere"]; `list(module)` names them.

    It is pickled with all that the file holds, and unpickling loads its native code as `load` does.
    """

    def __init__(self, core: _core.Module, path: str) -> None:
        if not isinstance(core, _core.Module):
            raise InvalidTypeError(f"Module: is made by diffrt_aot.load, not of {describe(core)}")
        self._core = core
        self._path = path
        self._models = {name: CompiledModel(core, name, path) for name in core.model_names}

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "bytes") -> Module:
        """Load what was read, or compiled, elsewhere: all as of `load`; `name` stands for the file in messages."""
        if not isinstance(data, bytes):
            raise InvalidTypeError(f"data: must be bytes, got {describe(data)}; pass bytes(data)")
        if not isinstance(name, str) or not name.isprintable():
            raise InvalidTypeError(f"name: must be a string that can be printed, got {describe(name)}")
        return cls(_core.Module.from_bytes(data, name), name)

    @property
    def path(self) -> str:
        """Of the file, or the name that stands for it."""
        return self._path

    @property
    def names(self) -> tuple[str, ...]:
        """Of the models, in the file's order."""
        return tuple(self._models)

    @property
    def producer(self) -> str:
        """What wrote the file, and with what."""
        return self._core.producer

    @property
    def targets(self) -> tuple[str, ...]:
        """What the file has code for: x64_v2, x64_v3, x64_v4, cuda, vulkan."""
        return tuple(self._core.targets)

    @property
    def target(self) -> str:
        """Which of them the CPU runs; "" if there is none for this one."""
        return self._core.target

    def __getitem__(self, name: str) -> CompiledModel:
        if not isinstance(name, str):
            raise InvalidTypeError(f"{self._path}: models are named by strings, got {describe(name)}")
        if name not in self._models:
            raise unknown_name("model", name, self._models, where=f"{self._path}: ")
        return self._models[name]

    def __getattr__(self, name: str) -> CompiledModel:
        # Python asks objects for much that is no model's name, of some before they are made.
        models: dict[str, CompiledModel] = self.__dict__.get("_models", {})
        if name not in models:
            raise AttributeError(str(unknown_name("model", name, models, where=f"{self.__dict__.get('_path')}: ")))
        return models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._models]

    def __repr__(self) -> str:
        return f"<Module {self._path}: {', '.join(self._models)}>"

    def __reduce__(self) -> tuple[Callable[[bytes, str], Module], tuple[bytes, str]]:
        return Module.from_bytes, (self._core.bytes(), self._path)
