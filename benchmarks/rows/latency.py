"""What a call costs when there is next to nothing to do: a 16x16 image from Python, a 16x16 kernel from C++.

The C++ side is an executable named by --cpp-bench. It prints, on its last line, the times of single launches
in seconds as a JSON list.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from benchmarks.arena import Arena
from benchmarks.contender import Request
from benchmarks.context import Context, time_line, versions
from benchmarks.measure import Result

PYTHON_BAR, CPP_BAR = 20.0, 1.5


def run(context: Context) -> Result:
    """Microseconds."""
    result = Result("Latency, 16x16 image")
    with Arena() as arena:
        if context.start_ours(arena, scene="tiny"):
            context.say(f"{context.rounds} rounds")
            request = Request("normal_equations", budget=0.2, most=5000, warmups=100)
            times = arena.run({("diffrt_aot", "normal_equations"): request}, context.rounds)
            rounds = times["diffrt_aot", "normal_equations"]
            result.lines.append(time_line("normal_equations from Python", rounds, "us", PYTHON_BAR))
        result.skipped, result.versions = arena.skipped, versions(arena)
    if context.cpp_bench is None:
        result.skipped["kernel launch from C++"] = "name the executable with --cpp-bench"
        return result
    context.say("kernel launch from C++")
    try:
        rounds = [launches(context.cpp_bench) for _ in range(context.rounds)]
        result.lines.append(time_line("kernel launch from C++", rounds, "us", CPP_BAR))
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        result.skipped["kernel launch from C++"] = f"{context.cpp_bench}: {error}"
    return result


def launches(executable: Path) -> list[float]:
    """Times in seconds of one run of the executable."""
    output = subprocess.run([executable.resolve()], capture_output=True, text=True, check=True, timeout=120).stdout
    return [float(t) for t in json.loads(output.strip().splitlines()[-1])]
