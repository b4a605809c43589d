"""Drivers that only pretend, so that Taichi compiles for GPUs on a machine that has none.

They are built from stubs/*.cpp with nothing but a C++ compiler, and found first because LD_LIBRARY_PATH of the process
that traces begins with their folder. A real driver must not take part even where there is one: what is compiled would
depend on it.
"""

import os
import re
import shlex
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent / "stubs"
LIBRARIES = {"cuda": "libcuda.so", "vulkan": "libvulkan.so.1"}


def build(folder, compiler):
    """Builds both; `compiler` is a command, as in $CXX."""
    command = [compiler] if Path(compiler).is_file() else shlex.split(compiler)  # a path may have spaces
    for arch, library in LIBRARIES.items():
        options = ["-std=c++17", "-O1", "-shared", "-fPIC", "-o", str(folder / library), str(SOURCES / f"{arch}.cpp")]
        try:
            result = subprocess.run([*command, *options], capture_output=True, text=True)
        except FileNotFoundError:
            raise SystemExit(
                f"kernels.aot needs a C++ compiler, found none as {compiler!r}: install one, or name it by --cxx"
            ) from None
        if result.returncode:
            raise SystemExit(f"kernels.aot: {compiler} cannot build {library}\n{result.stderr}")


def environment(folder):
    """The environment of a process that traces: only our drivers, and no settings of Taichi's but ours."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("TI_", "TAICHI_", "CUDA_", "VK_"))}
    others = variables.get("LD_LIBRARY_PATH", "")
    variables["LD_LIBRARY_PATH"] = f"{folder}:{others}" if others else str(folder)
    return variables | {"PYTHONHASHSEED": "0", "DIFFRT_STUBS": str(folder)}


def check_loaded(arch):
    """Raises if this process has loaded a driver other than the stub for its target."""
    if arch not in LIBRARIES:
        return
    expected = Path(os.environ.get("DIFFRT_STUBS", "/nowhere")).resolve() / LIBRARIES[arch]
    maps = Path("/proc/self/maps").read_text()
    loaded = set(re.findall(r"(/\S*/lib(?:cuda|vulkan)\.so\S*)", maps))
    if loaded != {str(expected)}:
        raise SystemExit(
            f"kernels.aot: {arch} kernels must be compiled against {expected}, but {sorted(loaded)} is loaded; "
            "is its folder the first in LD_LIBRARY_PATH?"
        )
