"""Compiling models: to the bytes of one file, for all processors asked for, kept in a cache by content."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from diffrt_aot.errors import (
    InvalidTypeError,
    InvalidValueError,
    MissingDependencyError,
    describe,
    missing_dependency,
    unknown_name,
)

from . import llvm_text, module_file, ptx, spirv, x64
from .lowering import Lowered, Machine
from .trace import Program

if TYPE_CHECKING:
    from . import Model

TARGETS = ("x64", "cuda", "vulkan")
_LLVMLITE = "0.44."
_LAST_PYTHON = (3, 13)  # of that llvmlite


def compile_models(models: Sequence[Model], targets: Sequence[str] | None = None, *, cache: bool = True) -> bytes:
    """Compile `models` into the bytes of one file.

    Args:
        models: what functions become by `@model`; their names differ.
        targets: of "x64", "cuda" and "vulkan"; None: all.
        cache: whether what was compiled before, from the same graphs by the same versions, is taken again.

    Raises:
        MissingDependencyError: without llvmlite 0.44, which all but "vulkan" takes.
    """
    return compile_programs([model.trace() for model in models], targets, cache=cache)


def compile_programs(programs: Sequence[Program], targets: Sequence[str] | None = None, *, cache: bool = True) -> bytes:
    """The same of models that are traced already."""
    targets = check_targets(targets)
    producer = f"diffrt_aot {_version()}"
    if targets != ("vulkan",):
        producer += f", llvmlite {check_llvmlite()}"
    _check_names(programs)
    models = [(program, Lowered(program)) for program in programs]
    texts = {
        name: llvm_text.module([lowered for _, lowered in models], machine) for name, machine in _machines(targets)
    }
    vulkan = spirv.compile_models([lowered for _, lowered in models]) if "vulkan" in targets else None
    key = hashlib.sha256(module_file.ABI)
    for text in (producer, *texts, *texts.values(), *(line for m in models for line in module_file.describe(*m))):
        key.update(text.encode() + b"\0")
    key.update(vulkan.data if vulkan else b"")
    kept = _cache_folder() / f"{key.hexdigest()}.dra"
    if cache and (data := _cached(kept)) is not None:
        return data
    sections = [module_file.Section(name, m.lanes, _compile(name, texts[name])) for name, m in _machines(targets)]
    if vulkan:
        sections.append(module_file.Section("vulkan", spirv.MACHINE.lanes, vulkan))
    data = module_file.write(producer, models, sections)
    if cache:
        _keep(kept, data)
    return data


def check_targets(targets: Sequence[str] | None) -> tuple[str, ...]:
    """Return which targets are meant, in the order that a file has."""
    if targets is None:
        return TARGETS
    if isinstance(targets, str):
        targets = (targets,)
    if not isinstance(targets, (tuple, list, set, frozenset)) or not all(isinstance(name, str) for name in targets):
        raise InvalidTypeError(f"targets: must be names, some of {', '.join(TARGETS)}, got {describe(targets)}")
    for name in targets:
        if name not in TARGETS:
            raise unknown_name("target", name, TARGETS)
    if not targets:
        raise InvalidValueError(f"targets: there is none; take some of {', '.join(TARGETS)}")
    return tuple(name for name in TARGETS if name in targets)


def check_llvmlite() -> str:
    """Return the version of llvmlite that is there; raise where it is none that can be used."""
    try:
        import llvmlite
    except ImportError:
        if sys.version_info[:2] > _LAST_PYTHON:
            raise MissingDependencyError(
                f"compiling a model needs llvmlite 0.44, which there is up to Python 3.{_LAST_PYTHON[1]}, and this is "
                f"Python 3.{sys.version_info[1]}: compile there, with `diffrt-aot compile`; the file loads here",
                name="llvmlite",
            ) from None
        raise missing_dependency("llvmlite", "compiling a model") from None
    version: str = llvmlite.__version__
    if not version.startswith(_LLVMLITE):
        raise MissingDependencyError(
            f"compiling a model needs llvmlite 0.44, found {version}: pip install 'diffrt_aot[compile]'",
            name="llvmlite",
        )
    return version


def _check_names(programs: Sequence[Program]) -> None:
    if not programs:
        raise InvalidValueError("models: there is none to compile")
    places: dict[str, str] = {}
    for program in programs:
        if program.name in places:
            raise InvalidValueError(
                f"two models are named {program.name!r}, at {places[program.name]} and {program.place}; rename one: "
                "in a file they are told apart by name"
            )
        places[program.name] = program.place


def _machines(targets: Sequence[str]) -> list[tuple[str, Machine]]:
    machines = []
    if "x64" in targets:
        machines += [(f"x64_{level}", machine) for level, machine in x64.LEVELS.items()]
    if "cuda" in targets:
        machines.append(("cuda", ptx.MACHINE))
    return machines


def _compile(section: str, text: str) -> x64.Image:
    return ptx.compile_text(text) if section == "cuda" else x64.compile_text(text, section.removeprefix("x64_"))


def _version() -> str:
    from diffrt_aot import __version__

    return __version__


# The cache. Whatever is wrong with it, models compile.


def _cache_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if os.path.isabs(home) else Path("~/.cache").expanduser()) / "diffrt_aot" / "models"


def _cached(path: Path) -> bytes | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data if module_file.is_intact(data) else None


def _keep(path: Path, data: bytes) -> None:
    """Write the file in one step: another process sees all of it, or nothing."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
    except OSError:
        return
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except OSError:
        os.unlink(name)
