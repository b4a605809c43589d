"""Trace kernels with Taichi and save their LLVM IR.

Taichi 1.7.4 compiles ahead of time only for the architecture it was started with: one process per target. An LLVM
module is saved once, to a directory; a second save writes an empty one.
"""

import inspect
import os
import re
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TI_SKIP_VERSION_CHECK", "ON")
os.environ.setdefault("ENABLE_TAICHI_HEADER_PRINT", "0")

import taichi as ti

TAICHI_VERSION = (1, 7, 4)


@dataclass(frozen=True)
class Argument:
    """A kernel argument: its name, its type ("int32", "float32", "int32*", "float32*"), and its byte offset."""

    name: str
    type: str
    offset: int


@dataclass(frozen=True)
class TracedKernel:
    """A kernel's IR and the layout of its argument buffer."""

    name: str
    ir: str
    arguments: tuple
    size: int


def start_x64():
    """Starts Taichi for x64 with vectors kept whole (packets); once per process."""
    if ti.__version__ != TAICHI_VERSION:
        raise SystemExit(
            f"kernels.aot needs taichi 1.7.4, found {'.'.join(map(str, ti.__version__))}: pip install taichi==1.7.4"
        )
    # Taichi warns about each plain Python function that a kernel calls; here they are the language.
    warnings.filterwarnings("ignore", category=SyntaxWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    ti.init(
        arch=ti.x64,
        enable_fallback=False,
        offline_cache=False,
        log_level=ti.WARN,
        real_matrix_scalarize=False,
    )


def trace(kernels, progress=lambda name: None):
    """Traces {name: @ti.kernel} and returns {name: TracedKernel}. `progress` is called with each name."""
    module = ti.aot.Module(ti.x64)
    for name, kernel in kernels.items():
        progress(name)
        module.add_kernel(kernel, name=name)
    with tempfile.TemporaryDirectory() as folder:
        module.save(folder)
        metadata = (Path(folder) / "metadata.json").read_text()
        return {
            name: TracedKernel(name, (Path(folder) / f"{name}.ll").read_text(), *_layout(name, kernel, metadata))
            for name, kernel in kernels.items()
        }


def _layout(name, kernel, metadata):
    """Arguments in order, with the offsets that Taichi wrote down. (Its metadata resembles JSON but is not.)"""
    start = metadata.index(f'"kernel_key": "{name}"')
    start = metadata.index('"args_type"', start)
    end = metadata.index('"args_size"', start)
    offsets = dict(re.findall(r'"name": "arg_(\d+)",\s*"offset": (\d+)', metadata[start:end]))
    size = int(re.match(r'"args_size": (\d+)', metadata[end:])[1])
    names = [a.name for a in inspect.signature(kernel).parameters.values()]
    types = [_type_name(a.annotation) for a in inspect.signature(kernel).parameters.values()]
    if len(names) != len(offsets):
        raise RuntimeError(f"kernel {name}: {len(names)} arguments, but Taichi laid out {len(offsets)}")
    return tuple(Argument(a, t, int(offsets[str(i)])) for i, (a, t) in enumerate(zip(names, types, strict=True))), size


def _type_name(annotation):
    if annotation is ti.i32:
        return "int32"
    if annotation is ti.f32:
        return "float32"
    dtype = annotation.dtype
    dtype = getattr(dtype, "dtype", dtype)  # an array of packets
    return {ti.i32: "int32*", ti.f32: "float32*"}[dtype]
