"""Where the numbers were taken: processor, cores, instruction set, load, date, versions."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

LEVELS = {
    "x86-64-v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
    "x86-64-v3": {"avx2", "bmi1", "bmi2", "fma", "f16c", "movbe"},
    "x86-64-v2": {"sse4_2", "ssse3", "popcnt"},
}


@dataclass
class Machine:
    """As it is now; `load` is the 1-minute load average before anything was measured."""

    processor: str
    cores: int
    isa: str
    load: float
    date: str
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        """Whether something else was running: the numbers are then provisional."""
        return self.load > 0.3


def cpuinfo() -> dict[str, str]:
    """The first processor's entries; empty where there is no /proc/cpuinfo."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {}
    pairs = (line.split(":", 1) for line in path.read_text().split("\n\n")[0].splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def machine() -> Machine:
    """Reads it."""
    info = cpuinfo()
    flags = set(info.get("flags", "").split())
    isa = next((level for level, needs in LEVELS.items() if needs <= flags), platform.machine())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(
        processor=info.get("model name", platform.processor() or platform.machine()),
        cores=cores,
        isa=isa,
        load=os.getloadavg()[0],
        date=date.today().isoformat(),
        versions={"python": platform.python_version()},
    )
