"""Trace kernels with Taichi for one target, and save what it makes of them: LLVM IR, or SPIR-V for Vulkan.

    python -m kernels.aot.trace ARCH LANES FOLDER all|wide [PATTERN ...]

writes NAME.ll or NAME.spv for each kernel, and kernels.json: what is known of them. Taichi 1.7.4 compiles ahead of time
only for the architecture it was started with: one process per target. An LLVM module is saved once, to a directory; a
second save writes an empty one.
"""

import gc
import inspect
import json
import os
import re
import sys
import tempfile
import warnings
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path

os.environ.setdefault("TI_SKIP_VERSION_CHECK", "ON")
os.environ.setdefault("ENABLE_TAICHI_HEADER_PRINT", "0")

import taichi as ti
from taichi.lang.ast import ast_transformer_utils

from kernels.aot import spirv, stubs

TAICHI_VERSION = (1, 7, 4)


class Unwrapped:
    """Taichi wraps the lines of source of each node of a kernel, should there be an error to show: it takes long."""

    def __init__(self, width):
        pass

    def wrap(self, line):
        return [line]


ast_transformer_utils.TextWrapper = Unwrapped


@dataclass(frozen=True)
class Argument:
    """A kernel argument: its name, its type ("int32", "float32", "int32*", "float32*"), and its byte offset."""

    name: str
    type: str
    offset: int


@dataclass(frozen=True)
class TracedKernel:
    """A kernel's IR, as text or as SPIR-V, the layout of its argument buffer, and for Vulkan its interface."""

    name: str
    ir: object
    arguments: tuple
    size: int
    interface: object = None


def start(arch):
    """Starts Taichi for x64, cuda or vulkan; once per process. Vectors are kept whole: packets."""
    if ti.__version__ != TAICHI_VERSION:
        raise SystemExit(
            f"kernels.aot needs taichi 1.7.4, found {'.'.join(map(str, ti.__version__))}: pip install taichi==1.7.4"
        )
    # Taichi warns about each plain Python function that a kernel calls; here they are the language.
    warnings.filterwarnings("ignore", category=SyntaxWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    ti.init(
        arch=getattr(ti, arch),
        enable_fallback=False,
        offline_cache=False,
        log_level=ti.WARN,
        real_matrix_scalarize=arch != "x64",
    )
    stubs.check_loaded(arch)
    gc.disable()  # Taichi's sample arrays cannot be freed while it works with the stub of CUDA's driver


def trace(arch, kernels, progress=lambda name: None):
    """Traces {name: @ti.kernel} and returns {name: TracedKernel}. `progress` is called with each name."""
    module = ti.aot.Module(getattr(ti, arch))
    for name, kernel in kernels.items():
        progress(name)
        module.add_kernel(kernel, name=name)
    with tempfile.TemporaryDirectory() as folder:
        module.save(folder)
        folder = Path(folder)
        metadata = (folder / "metadata.json").read_text()
        if arch == "vulkan":
            return _vulkan(kernels, folder, json.loads(metadata))
        return {
            name: TracedKernel(name, (folder / f"{name}.ll").read_text(), *_layout(name, kernel, metadata))
            for name, kernel in kernels.items()
        }


def _layout(name, kernel, metadata):
    """Arguments in order, with the offsets that Taichi wrote down. (Its metadata resembles JSON but is not.)"""
    start = metadata.index(f'"kernel_key": "{name}"')
    start = metadata.index('"args_type"', start)
    end = metadata.index('"args_size"', start)
    offsets = dict(re.findall(r'"name": "arg_(\d+)",\s*"offset": (\d+)', metadata[start:end]))
    size = int(re.match(r'"args_size": (\d+)', metadata[end:])[1])
    return _arguments(name, kernel, [int(offsets[str(i)]) for i in range(len(offsets))]), size


def _arguments(name, kernel, offsets):
    parameters = inspect.signature(kernel).parameters.values()
    if len(parameters) != len(offsets):
        raise RuntimeError(f"kernel {name}: {len(parameters)} arguments, but Taichi laid out {len(offsets)}")
    return tuple(Argument(a.name, _type_name(a.annotation), at) for a, at in zip(parameters, offsets, strict=True))


def _vulkan(kernels, folder, metadata):
    result = {}
    for found in metadata["kernels"]:
        name, context = found["name"], found["ctx_attribs"]
        elements = context["args_type_"]["content"]["elements_"]
        arguments = _arguments(name, kernels[name], [element["offset"] for element in elements])
        code, interface = spirv.lower(name, found["tasks_attribs"], folder)
        spirv.check_arguments(name, code, interface, [a.offset for a in arguments])
        result[name] = TracedKernel(name, code, arguments, context["args_bytes_"], interface)
    return {name: result[name] for name in kernels}


def _type_name(annotation):
    if annotation is ti.i32:
        return "int32"
    if annotation is ti.f32:
        return "float32"
    dtype = annotation.dtype
    dtype = getattr(dtype, "dtype", dtype)  # an array of packets
    return {ti.i32: "int32*", ti.f32: "float32*"}[dtype]


def main(arch, lanes, folder, which, *patterns):
    """Traces every kernel of the library for a target, or those whose name fits a pattern; all or the wide ones."""
    start(arch)
    from kernels.pipeline import all_kernels, constants, wide_kernels
    from kernels.pipeline.target import Target

    target = Target(arch, int(lanes))
    entries = {"all": all_kernels, "wide": wide_kernels}[which](target)
    entries = {n: e for n, e in entries.items() if not patterns or any(fnmatch(n, p) for p in patterns)}

    def progress(name):
        if sys.stderr.isatty():
            print(f"\rtracing {name:40}", end="", file=sys.stderr, flush=True)

    folder, kernels = Path(folder), {}
    for name, traced in trace(arch, {name: entry.kernel for name, entry in entries.items()}, progress).items():
        entry = entries[name]
        kernels[name] = {"family": entry.family, "index": list(entry.index), "size": traced.size}
        kernels[name]["arguments"] = [asdict(a) for a in traced.arguments]
        if traced.interface is not None:
            kernels[name]["interface"] = asdict(traced.interface)
            (folder / f"{name}.spv").write_bytes(traced.ir)
        else:
            (folder / f"{name}.ll").write_text(traced.ir)
    data = {"constants": constants(target), "kernels": kernels}
    (folder / "kernels.json").write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # Taichi's own farewell to the stub of a driver would abort
