"""Memory of normal_equations at 1920x1080: growth of the peak, P = 4 and 400, fresh processes (Linux)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.arena import ROOT, has_package
from benchmarks.context import Context
from benchmarks.measure import Bar, Line, Result, number

WIDTH, HEIGHT = 1920, 1080
MB = 1e6
CHILD = """
import json, sys
import numpy as np
from benchmarks import ours, scenes
from benchmarks.rows.memory import HEIGHT, WIDTH, peak, reset_peak, resident
renderer = ours.spheres_renderer(scenes.hundred_spheres(int(sys.argv[1])), WIDTH, HEIGHT)
observed = np.full((HEIGHT, WIDTH), 90.0, np.float32)
reset_peak()
before = resident()
renderer.normal_equations(renderer.theta0, observed)
print(json.dumps(peak() - before))
"""


def status(key: str) -> int:
    """A size from /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(key + ":"))


def resident() -> int:
    """Memory that this process holds now."""
    return status("VmRSS")


def peak() -> int:
    """The most it has held since reset_peak."""
    return status("VmHWM")


def reset_peak() -> None:
    """Makes the peak start anew from what is held now."""
    Path("/proc/self/clear_refs").write_text("5")


def run(context: Context) -> Result:
    """The difference between the two is what grows with P; a P x pixels buffer would be gigabytes."""
    result = Result("Memory of one normal_equations, 1920x1080 (peak growth, first call)")
    dense = 4.0 * WIDTH * HEIGHT
    if not has_package(sys.executable, "diffrt_aot"):
        result.skipped["diffrt_aot"] = "diffrt_aot is not installed"
        return result
    if not Path("/proc/self/clear_refs").exists():
        result.skipped["diffrt_aot"] = "needs Linux's /proc"
        return result
    growth = {}
    for count in (1, 100):
        context.say(f"P = {4 * count}")
        runs = []
        for _ in range(5):
            command = [sys.executable, "-c", CHILD, str(count)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            runs.append(json.loads(done.stdout) / MB)
        growth[count] = number(runs)
        note = f"dense float32 J would take {dense * 4 * count / MB:.0f} MB"
        result.lines.append(Line(f"P = {4 * count}", growth[count], "MB", note=note))
    more = growth[100].median - growth[1].median
    limit = 0.05 * dense * 396 / MB  # a twentieth of a buffer that holds one float32 per pixel and additional parameter
    result.lines.append(
        Line("P = 400 less P = 4", number([more]), "MB", Bar(round(limit)), "bar: 5% of the J that it adds")
    )
    return result
