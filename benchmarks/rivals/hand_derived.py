"""The hand-derived C++ loop as a contender: built into a temporary directory, called by ctypes, checked by
central differences.

python -m benchmarks.rivals.hand_derived            prints its medians; `CXX` names another compiler than c++.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.arena import SPIN_COUNT
from benchmarks.contender import Case, Contender, Skip, main
from benchmarks.scenes import CX, CY, FOCAL, HEIGHT, ISSUE_SPHERE, WIDTH, deviation, reference

FLAGS = ["-std=c++17", "-O3", "-march=native", "-ffast-math", "-fopenmp", "-shared", "-fPIC"]
VARIANTS = {"full": "branch-free, every pixel", "bounded": "column span per row, memset elsewhere"}


def compiler() -> str:
    """The C++ compiler's path; Skip if there is none."""
    found = shutil.which(os.environ.get("CXX", "c++")) or shutil.which("g++")
    if found is None:
        raise Skip("no C++ compiler (set CXX)")
    return found


def load(folder: Path) -> ctypes.CDLL:
    """Compiles hand_derived.cpp into `folder` and loads it."""
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)  # read when libgomp is loaded
    library = folder / "hand_derived.so"
    source = Path(__file__).with_name("hand_derived.cpp")
    built = subprocess.run([compiler(), *FLAGS, str(source), "-o", str(library)], capture_output=True, text=True)
    if built.returncode:
        raise Skip(f"hand_derived.cpp does not compile: {built.stderr.strip().splitlines()[-1]}")
    return ctypes.CDLL(str(library))


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros, float32, at a 64-byte boundary; every page touched."""
    size = 4 * int(np.prod(shape))
    raw = np.zeros(size + 64, np.uint8)
    raw[:] = 0
    offset = -raw.ctypes.data % 64
    return raw[offset : offset + size].view(np.float32).reshape(shape)


def bind(library: ctypes.CDLL, variant: str, theta: np.ndarray, out: np.ndarray) -> Callable[[], None]:
    """A call without arguments: all conversions done beforehand."""
    function = getattr(library, f"hand_derived_{variant}")
    function.restype = None
    arguments = (
        theta.ctypes.data_as(ctypes.c_void_p), ctypes.c_int(WIDTH), ctypes.c_int(HEIGHT),
        ctypes.c_float(FOCAL), ctypes.c_float(CX), ctypes.c_float(CY), out.ctypes.data_as(ctypes.c_void_p),
    )  # fmt: skip
    return lambda: function(*arguments)


def check(planes: np.ndarray) -> float:
    """The value against the reference, the columns against central differences of the reference's value."""
    right = reference(ISSUE_SPHERE)
    worst = deviation(planes[0], right.value, right.compare)
    step = 1e-4
    for k in range(4):
        shift = np.zeros(4)
        shift[k] = step
        column = (reference(ISSUE_SPHERE + shift).value - reference(ISSUE_SPHERE - shift).value) / (2 * step)
        worst = max(worst, deviation(planes[1 + k], column, right.compare))
    return worst


def build(_: dict[str, str]) -> Contender:
    """Cases `full` and `bounded`: value and 4 columns into a preallocated array."""
    out = aligned((5, HEIGHT, WIDTH))
    thetas = [(ISSUE_SPHERE + 1e-3 * k).astype(np.float32) for k in range(2)]
    cases, deviations = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        library = load(Path(folder))
    for variant, note in VARIANTS.items():
        calls = [bind(library, variant, theta, out) for theta in thetas]
        out.fill(np.nan)
        calls[0]()
        deviations[variant] = check(out)
        if deviations[variant] > 1e-3:
            raise RuntimeError(f"hand_derived_{variant} is wrong by {deviations[variant]:.1e}")
        cases[variant] = Case(lambda k, calls=calls: calls[k % 2](), note=note)
    version = subprocess.run([compiler(), "-dumpfullversion"], capture_output=True, text=True).stdout.strip()
    return Contender(cases, {Path(compiler()).name: version}, deviations)


if __name__ == "__main__":
    main(build)
