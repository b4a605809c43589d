"""What this installation is, and what it found on this machine."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from . import _core


def info() -> dict[str, Any]:
    """Return version, instruction set in use and available, devices, threads, and the number of kernels."""
    return {
        "version": _core.version(),
        "isa_level": _core.isa_level(),
        "available_isa_levels": _core.available_isa_levels(),
        "devices": _core.devices(),
        "threads": _core.default_threads(),
        "kernels": _core.kernel_count(),
        "python": platform.python_version(),
        "cmake_dir": cmake_dir(),
    }


def cmake_dir() -> str:
    """Return the folder for CMake's find_package: cmake -Ddiffrt_aot_DIR=<this folder>."""
    return str(Path(__file__).parent / "lib" / "cmake" / "diffrt_aot")
