"""The kernels of devices, compiled for this machine: each thread a turn of a serial loop.

Run as a script it traces: `python compiled.py FOLDER [FAMILY...]`. That is a process of its own, for Taichi starts once
per process and stays out of the tests'. `build` lowers, links and loads.
"""

import ctypes
import json
import struct
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import numpy as np

# What is not needed here of the CPU's kernels: they come with one pixel per number, not with packets.
LEFT_OUT = ("cross_", "lines_", "see_", "samples_", "rule_", "silhouette_", "detect_", "normal_equations", "residuals")


def wanted(target, families):
    """{name: kernel}: of these families, prepare_triangles or those that only devices have; or, for none, those that
    work on lists of crossed pixels, and of the others those that come before.
    """
    from kernels.pipeline import ON_GPU, Entry, all_kernels, prepare_triangles
    from kernels.pipeline.crossed import crossed_kernels
    from kernels.pipeline.visibility import visible_spheres

    if families:
        known = (prepare_triangles, *ON_GPU)
        return {f.__name__: Entry(f(target), f.__name__) for f in known if f.__name__ in families}
    kernels = {name: entry for name, entry in all_kernels(target).items() if not name.startswith(LEFT_OUT)}
    kernels["visible_spheres"] = Entry(visible_spheres(target), "visible_spheres")
    return kernels | crossed_kernels(target)


def trace_all(folder, *families):
    """Writes NAME.ll for each kernel, and layout.json: where their arguments lie."""
    from kernels.aot.trace import start, trace
    from kernels.pipeline import constants
    from kernels.pipeline.target import Target

    start("x64")
    target, layout = Target("x64", 1), {}
    for name, traced in trace("x64", {name: e.kernel for name, e in wanted(target, families).items()}).items():
        (folder / f"{name}.ll").write_text(traced.ir)
        layout[name] = {"size": traced.size, "arguments": [asdict(a) for a in traced.arguments]}
    (folder / "layout.json").write_text(json.dumps({"kernels": layout, "constants": constants(target)}))


class Kernels:
    """The compiled kernels. kernels.launch(name, begin, end, **arguments) runs one, with arrays as NumPy has them.

    `at` has the numbers that the runtime knows of the kernels, by name.
    """

    def __init__(self, library, level, data):
        self._library, self._level, self._layout = ctypes.CDLL(str(library)), level, data["kernels"]
        self.at = SimpleNamespace(**data["constants"])

    def __contains__(self, name):
        return name in self._layout

    def launch(self, name, begin, end, **arguments):
        from kernels.aot.lower import symbol

        kernel = self._layout[name]
        buffer = ctypes.create_string_buffer(kernel["size"] + 8)
        arguments |= {"begin": begin, "end": end}
        if missing := {a["name"] for a in kernel["arguments"]} ^ set(arguments):
            raise TypeError(f"{name}: {', '.join(sorted(missing))} given but not taken, or the other way round")
        for argument in kernel["arguments"]:
            value, kind, offset = arguments[argument["name"]], argument["type"], argument["offset"]
            if kind.endswith("*"):
                if value.dtype != np.dtype(kind[:-1]) or not value.flags.c_contiguous:
                    raise TypeError(f"{name}: {argument['name']} is {value.dtype}, expected {kind}")
                struct.pack_into("P", buffer, offset + 8, value.ctypes.data)  # after the array's size
            else:
                struct.pack_into({"int32": "i", "float32": "f"}[kind], buffer, offset, value)
        context = (ctypes.c_void_p * 4)(ctypes.addressof(buffer), None, None, None)
        function = getattr(self._library, symbol(name, self._level))
        function.restype = None
        function(context)


def build(folder, level, *families):
    """Everything, or kernels of these families: trace, lower, link, load."""
    if not (folder / "kernels.so").exists():
        from compiled import run_python

        run_python(__file__, folder, *families)
        layout = json.loads((folder / "layout.json").read_text())
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            (folder / "kernels.o").write_bytes(pool.submit(_lower, folder, sorted(layout["kernels"]), level).result())
        subprocess.run(["c++", "-shared", "-o", folder / "kernels.so", folder / "kernels.o", "-lm"], check=True)
    return Kernels(folder / "kernels.so", level, json.loads((folder / "layout.json").read_text()))


def _lower(folder, names, level):
    from kernels.aot.lower import lower

    return lower({name: (folder / f"{name}.ll").read_text() for name in names}, level)


if __name__ == "__main__":
    trace_all(Path(sys.argv[1]), *sys.argv[2:])
