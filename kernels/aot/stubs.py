"""Libraries that only pretend, so that Taichi compiles for GPUs on a machine that has none, nor a desktop.

They are built from stubs/*.cpp with nothing but a C++ compiler, and found first because LD_LIBRARY_PATH of the process
that traces begins with their folder. A real driver must not take part even where there is one: what is compiled would
depend on it. Without libX11, which Taichi has for its windows, it could not be imported.
"""

import os
import re
import shlex
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent / "stubs"
DRIVERS = {"cuda": "libcuda.so", "vulkan": "libvulkan.so.1"}
LIBRARIES = DRIVERS | {"x11": "libX11.so.6"}


def build(folder, compiler, names=tuple(LIBRARIES)):
    """Builds all, or those of these names; `compiler` is a command, as in $CXX."""
    command = [compiler] if Path(compiler).is_file() else shlex.split(compiler)  # a path may have spaces
    for name in names:
        library, source = LIBRARIES[name], SOURCES / f"{name}.cpp"
        options = ["-std=c++17", "-O1", "-shared", "-fPIC", "-o", str(folder / library), str(source)]
        try:
            result = subprocess.run([*command, *options], capture_output=True, text=True)
        except FileNotFoundError:
            raise SystemExit(
                f"kernels.aot needs a C++ compiler, found none as {compiler!r}: install one, or name it by --cxx"
            ) from None
        if result.returncode:
            raise SystemExit(f"kernels.aot: {compiler} cannot build {library}\n{result.stderr}")


def environment(folder):
    """The environment of a process that traces: our libraries first, and no settings of Taichi's but ours."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("TI_", "TAICHI_", "CUDA_", "VK_"))}
    others = variables.get("LD_LIBRARY_PATH", "")
    variables["LD_LIBRARY_PATH"] = f"{folder}:{others}" if others else str(folder)
    return variables | {"PYTHONHASHSEED": "0", "DIFFRT_STUBS": str(folder)}


def check_loaded(arch):
    """Raises if this process has loaded a driver other than the stub for its target."""
    if arch not in DRIVERS:
        return
    expected = Path(os.environ.get("DIFFRT_STUBS", "/nowhere")).resolve() / DRIVERS[arch]
    maps = Path("/proc/self/maps").read_text()
    loaded = set(re.findall(r"(/\S*/lib(?:cuda|vulkan)\.so\S*)", maps))
    if loaded != {str(expected)}:
        raise SystemExit(
            f"kernels.aot: {arch} kernels must be compiled against {expected}, but {sorted(loaded)} is loaded; "
            "is its folder the first in LD_LIBRARY_PATH?"
        )
