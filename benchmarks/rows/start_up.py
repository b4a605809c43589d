"""Import and first Jacobian of the issue's scene, in fresh processes, over `import numpy` alone."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time

from benchmarks.arena import has_package
from benchmarks.context import Context, time_line
from benchmarks.measure import Bar, Line, Result, in_unit, number

LIMIT_MS = 100.0
NUMPY = "import numpy"
OURS = """
import numpy, diffrt_aot as dr
camera = dr.PinholeCamera(width=640, height=480, fx=400, fy=400, cx=320, cy=240)
scene = dr.Scene(camera, {"ball": dr.Sphere(center=(10, 10, 100), radius=10)})
renderer = dr.Renderer(scene, free=["ball.radius", "ball.center"], output="distance", background=0.0, boundary="none")
image, J = renderer.jacobian(renderer.theta0)
J.dense()
"""


def seconds(code: str, folder: str) -> float:
    """Wall time of a fresh interpreter that runs `code`, start to end."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder, capture_output=True)
    return time.perf_counter() - begin


def run(context: Context) -> Result:
    """The two in turns; the difference is taken pair by pair."""
    result = Result("Start-up: import + first Jacobian over `import numpy`, fresh processes")
    ours = has_package(sys.executable, "diffrt_aot")
    if not ours:
        result.skipped["diffrt_aot"] = "diffrt_aot is not installed"
    context.say(f"{context.fresh} fresh processes of each kind")
    plain: list[float] = []
    first: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for k in range(context.fresh + 1):
            pair = seconds(NUMPY, folder), seconds(OURS, folder) if ours else 0.0
            if k:  # the first pair only warms the file cache
                plain.append(pair[0])
                first.append(pair[1])
    result.lines.append(time_line("import numpy", [plain]))
    if ours:
        result.lines.append(time_line("import numpy, diffrt_aot, first Jacobian", [first]))
        over = in_unit(number([b - a for a, b in zip(plain, first, strict=True)]), 1e3)
        result.lines.append(Line("difference", over, "ms", Bar(LIMIT_MS)))
    return result
