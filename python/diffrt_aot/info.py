"""What this installation is, and what it found on this machine."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import _core


@dataclass(frozen=True)
class DeviceDetails:
    """A device that can be used: `Renderer(..., device=details.device)`.

    Attributes:
        device: what to ask for: "cpu", "cuda:0", "vulkan:1".
        name: as its driver calls it.
        driver: the driver's version, or the CPU's instruction set.
        memory: in all [bytes].
        software: a Vulkan driver that computes on the processor; `device="auto"` passes over it.
    """

    device: str
    name: str
    driver: str
    memory: int
    software: bool


def devices() -> list[str]:
    """Return what `device=` may be on this machine: "cpu", then "cuda:0", "vulkan:0" and so on."""
    return _core.devices()


def device_details() -> list[DeviceDetails]:
    """Return the name, driver and memory of each of `devices()`, in that order."""
    return [DeviceDetails(*details) for details in _core.device_details()]


def missing_devices() -> dict[str, str]:
    """Return what cannot be used, with the reason: {"cuda": "libcuda.so.1 not found"}."""
    return dict(_core.missing_devices())


def info() -> dict[str, Any]:
    """Return version, instruction set in use and available, devices (and why not more), threads, number of kernels."""
    return {
        "version": _core.version(),
        "isa_level": _core.isa_level(),
        "available_isa_levels": _core.available_isa_levels(),
        "devices": devices(),
        "device_details": {d.device: _device_text(d) for d in device_details()},
        "missing_devices": missing_devices(),
        "threads": _core.default_threads(),
        "kernels": _core.kernel_count(),
        "python": platform.python_version(),
        "cmake_dir": cmake_dir(),
    }


def _device_text(details: DeviceDetails) -> str:
    software = ", computes on the processor" if details.software else ""
    return f"{details.name}, {details.memory / 1e9:.1f} GB, {details.driver}{software}"


def cmake_dir() -> str:
    """Return the folder for CMake's find_package: cmake -Ddiffrt_aot_DIR=<this folder>."""
    return str(Path(__file__).parent / "lib" / "cmake" / "diffrt_aot")
