"""What the hand-written C++ rivals share: their compiler, memory for them, and functions bound to their arguments."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.arena import SPIN_COUNT
from benchmarks.contender import Skip
from benchmarks.scenes import CX, CY, FOCAL, HEIGHT, WIDTH

FLAGS = ["-std=c++17", "-O3", "-march=native", "-ffast-math", "-fopenmp", "-shared", "-fPIC"]
CAMERA = (WIDTH, HEIGHT, FOCAL, CX, CY)
Argument = np.ndarray | int | float | ctypes.c_void_p


def compiler() -> str:
    """The C++ compiler's path; Skip if there is none."""
    found = shutil.which(os.environ.get("CXX", "c++")) or shutil.which("g++")
    if found is None:
        raise Skip("no C++ compiler (set CXX)")
    return found


def version() -> dict[str, str]:
    """The compiler's, by its name."""
    text = subprocess.run([compiler(), "-dumpfullversion"], capture_output=True, text=True).stdout.strip()
    return {Path(compiler()).name: text}


def load(name: str) -> ctypes.CDLL:
    """Compiles NAME.cpp of this folder and loads it; Skip if it does not compile."""
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)  # read when libgomp is loaded
    source = Path(__file__).with_name(f"{name}.cpp")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / f"{name}.so"
        command = [compiler(), *FLAGS, "-isystem", "/usr/include/eigen3", str(source), "-o", str(library)]
        built = subprocess.run(command, capture_output=True, text=True)
        if built.returncode:
            raise Skip(f"{name}.cpp does not compile: {built.stderr.strip().splitlines()[-1]}")
        return ctypes.CDLL(str(library))


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros, float32, at a 64-byte boundary; every page touched."""
    size = 4 * int(np.prod(shape))
    raw = np.zeros(size + 64, np.uint8)
    raw[:] = 0
    offset = -raw.ctypes.data % 64
    return raw[offset : offset + size].view(np.float32).reshape(shape)


def bind(library: ctypes.CDLL, name: str, arguments: Sequence[Argument]) -> Callable[[], None]:
    """A call without arguments: all conversions done beforehand; it keeps the arrays alive."""
    function = getattr(library, name)
    function.restype = None
    kinds = {int: ctypes.c_int, float: ctypes.c_float, ctypes.c_void_p: lambda pointer: pointer}
    ready = [a.ctypes.data_as(ctypes.c_void_p) if isinstance(a, np.ndarray) else kinds[type(a)](a) for a in arguments]
    return lambda: function(*ready)
