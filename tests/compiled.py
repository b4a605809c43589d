"""The operations of number_operations.py, compiled by kernels.aot and called through ctypes.

Run as a script it traces: `python compiled.py FOLDER LANES` writes LLVM IR for each kernel, and layout_LANES.json.
That is a process of its own, for Taichi starts once per process and stays out of the tests'. `load` lowers that IR
for each x86-64 level that the machine has, links it, and calls it.
"""

import ctypes
import importlib.util
import json
import os
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from number_operations import COUNT, GROUPS, OPERATIONS, forms, outputs

from kernels.aot import stubs
from kernels.numbers import Dual, seed, value_of

ROOT = Path(__file__).resolve().parent.parent
LANES = (1, 8, 16)
#: Calls in one kernel: enough that the compiler sees them together, few enough that it is done soon.
CALLS = 24


def missing() -> str:
    """Why kernels cannot be compiled and run here, or an empty string."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "compiled kernels are for Linux on x86-64"
    for module in ("taichi", "llvmlite"):
        if importlib.util.find_spec(module) is None:
            return f"compiling kernels needs {module}"
    return "" if shutil.which("c++") else "linking compiled kernels needs a C++ compiler, c++"


def levels() -> list[str]:
    """The x86-64 levels that this machine runs."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    needs = {
        "v2": ["sse4.2", "popcnt"],
        "v3": ["avx2", "fma", "bmi2", "f16c"],
        "v4": ["avx512f", "avx512vl", "avx512dq"],
    }
    return [level for level, names in needs.items() if all(features.get(name) for name in names)]


@cache
def _stubs():
    """A folder, which goes with this process, with what Taichi cannot be imported without."""
    folder = tempfile.TemporaryDirectory(prefix="stubs-")
    stubs.build(Path(folder.name), "c++", ["x11"])
    return folder


def run_python(*arguments, cwd=ROOT, check=True, **environment):
    """A Python process of its own, with the repository's modules, which may import Taichi."""
    if not missing():
        environment = {"LD_LIBRARY_PATH": stubs.environment(_stubs().name)["LD_LIBRARY_PATH"]} | environment
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    result = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, env=variables, capture_output=True, text=True, timeout=600
    )
    if check and result.returncode:
        raise RuntimeError(f"{' '.join(map(str, arguments))}:\n{result.stdout}\n{result.stderr}")
    return result


def up_to_date():
    """The newest folder of this checkout's builds with every kernel and its code, if none has changed since."""
    made = [file for file in ROOT.glob("build/*/kernels/manifest.json") if any(file.parent.glob("*.spv"))]
    newest = max(made, key=lambda file: file.stat().st_mtime, default=None)
    sources = [file for pattern in ("*.py", "*.cpp") for file in (ROOT / "kernels").rglob(pattern)]
    if newest and all(file.stat().st_mtime < newest.stat().st_mtime for file in sources):
        return newest.parent
    return None


def calls():
    """Every (group, operation, form), in the order in which they are compiled."""
    return [
        (group, operation, form)
        for group, operations in GROUPS.items()
        for operation in operations
        for form in forms(operation, group)
    ]


# --- tracing, in a process of its own


def trace_all(folder: Path, lanes: int) -> None:
    """Writes KERNEL.ll for each kernel, and layout_LANES.json: what each of their output planes holds."""
    from kernels.aot.trace import start, trace
    from kernels.pipeline.target import Target

    start("x64")
    kernels, layout = {}, {}
    everything = calls()
    for first in range(0, len(everything), CALLS):
        name = f"operations_{lanes}_{first}"
        results = layout[name] = {"lanes": lanes, "results": [], "planes": 0}
        kernels[name] = _kernel(Target("x64", lanes), everything[first : first + CALLS], results)
    for name, traced in trace("x64", kernels).items():
        (folder / f"{name}.ll").write_text(traced.ir)
        layout[name]["offsets"] = {a.name: a.offset for a in traced.arguments}
        layout[name]["size"] = traced.size
    (folder / f"layout_{lanes}.json").write_text(json.dumps(layout))


def _kernel(target, some_calls, results):
    import taichi as ti

    from kernels.numbers.traced import Traced, element

    numbers = target.numbers

    @ti.kernel
    def kernel(begin: ti.i32, end: ti.i32, stride: ti.i32, inputs: numbers, out: numbers):
        ti.loop_config(serialize=True)
        for i in range(begin, end):
            evaluate(i, stride, inputs, out)

    def evaluate(i, stride, inputs, out):
        place = 0
        for _, operation, form in some_calls:
            arguments = []
            for k, kind in enumerate(form):
                x = target.packet(element(inputs, i + (place + k) * stride))
                arguments.append({"d": seed(x, k), "p": x, "c": operation.constants[k]}[kind])
            place += len(form)
            record = {"operation": operation.name, "form": form, "values": [], "partials": []}
            for result in outputs(operation.function(*arguments)):
                record["values"].append(store(value_of(result), i, stride, out))
                partials = result.partials if isinstance(result, Dual) else {}
                record["partials"].append({k: store(e, i, stride, out) for k, e in partials.items()})
            results["results"].append(record)

    def store(number, i, stride, out):
        """The plane that holds a number, or the number itself where it is a constant."""
        if not isinstance(number, Traced):
            return {"constant": float(number)}
        plane = results["planes"]
        results["planes"] += 1
        element(out, i + plane * stride)._assign(number.splat(target.lanes).expression)
        return {"plane": plane}

    return kernel


# --- calling, in the process of the tests


def traced(folder: Path) -> dict:
    """Traces all kernels into a folder and gives the layout."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda lanes: run_python(Path(__file__), folder, lanes), LANES))
    layouts = [json.loads((folder / f"layout_{lanes}.json").read_text()) for lanes in LANES]
    return {name: kernel for layout in layouts for name, kernel in layout.items()}


def link(folder: Path, name: str, code: bytes) -> Path:
    """An object file as a library that ctypes can load."""
    (folder / f"{name}.o").write_bytes(code)
    library = folder / f"{name}.so"
    subprocess.run(["c++", "-shared", "-o", library, folder / f"{name}.o", "-lm"], check=True)
    return library


def load(folder: Path) -> dict:
    """{level: {(operation, form, lanes): (values, partials)}} of every call, as the code for each level computed it.

    values: one array per output. partials: one dict {argument's place: array} per output.
    """
    from kernels.aot.lower import lower

    layout = traced(folder)
    modules = {name: (folder / f"{name}.ll").read_text() for name in layout}
    names = levels()
    with ProcessPoolExecutor(len(names), mp_context=get_context("spawn")) as pool:
        codes = pool.map(lower, [modules] * len(names), names)
        return {level: _run_all(folder, layout, level, code) for level, code in zip(names, codes, strict=True)}


def _run_all(folder, layout, level, code):
    from kernels.aot.lower import symbol

    library = ctypes.CDLL(str(link(folder, f"operations_{level}", code)))
    found = {}
    for name, kernel in layout.items():
        out = _run(getattr(library, symbol(name, level)), kernel)
        for record in kernel["results"]:

            def read(place, out=out):
                return out[place["plane"]] if "plane" in place else place["constant"]

            values = [read(place) for place in record["values"]]
            partials = [{int(k): read(place) for k, place in each.items()} for each in record["partials"]]
            found[record["operation"], record["form"], kernel["lanes"]] = values, partials
    return found


def _run(function, kernel):
    """One launch over all inputs: [plane, COUNT]."""
    inputs = [x for record in kernel["results"] for x in OPERATIONS[record["operation"]].inputs()]
    source, result = _aligned(len(inputs)), _aligned(kernel["planes"])
    source[:] = inputs
    arguments = ctypes.create_string_buffer(kernel["size"] + 8)
    packets = COUNT // kernel["lanes"]
    for name, number in {"begin": 0, "end": packets, "stride": packets}.items():
        struct.pack_into("i", arguments, kernel["offsets"][name], number)
    for name, array in {"inputs": source, "out": result}.items():
        struct.pack_into("P", arguments, kernel["offsets"][name] + 8, array.ctypes.data)  # after the array's size
    context = (ctypes.c_void_p * 4)(ctypes.addressof(arguments), None, None, None)
    function.restype = None
    function(context)
    return result


def _aligned(rows):
    """float32 [rows, COUNT] on a boundary of 64 bytes, as packets need; NaN at first."""
    memory = np.full(rows * COUNT + 16, np.nan, dtype=np.float32)
    first = (-memory.ctypes.data % 64) // 4
    return memory[first : first + rows * COUNT].reshape(rows, COUNT)


if __name__ == "__main__":
    trace_all(Path(sys.argv[1]), int(sys.argv[2]))
