"""Threads that must not be in the way: the bottle while a second core is busy; small images with pauses between."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.arena import Arena
from benchmarks.contender import Request
from benchmarks.context import Context, ratio_line, time_line, versions
from benchmarks.measure import Bar, Line, Result, number, percentile

BUSY_BAR, PAUSE_BAR = 2.0, 1.05
BOTTLE = ("one thread", "all threads")
SMALL = ("128x128, one thread", "128x128, two threads")


@contextmanager
def busy_core() -> Iterator[None]:
    """A process that never rests, on the last core of those that this one may use."""
    core = max(os.sched_getaffinity(0))
    spin = subprocess.Popen([sys.executable, "-c", f"import os\nos.sched_setaffinity(0, {{{core}}})\nwhile True: pass"])
    try:
        yield
    finally:
        spin.kill()
        spin.wait()


def run(context: Context) -> Result:
    """99th percentile over the median, all samples of a round together; then medians by rounds."""
    result = Result("Threads: the bottle with a second core busy; a 128x128 image every 2 ms")
    with Arena() as arena:
        for name, threads in zip(BOTTLE, ({"threads": 1}, {}), strict=True):
            context.start(arena, name, "benchmarks.ours", "diffrt_aot", scene="bottle", data=context.data, **threads)
        for name, threads in zip(SMALL, (1, 2), strict=True):
            context.start(arena, name, "benchmarks.ours", "diffrt_aot", scene="small", threads=threads)
        context.say(f"{context.rounds} rounds")
        case = "normal_equations"
        with busy_core():
            turns = {(name, case): Request(case, budget=0.5, most=1000) for name in BOTTLE}
            busy = arena.run(turns, context.rounds)
        paused = arena.run({(name, "paused"): Request("paused", budget=0.5) for name in SMALL}, context.rounds)
        for (name, _), rounds in busy.items():
            result.lines.append(time_line(f"bottle, a core busy, {name}: {case}", rounds))
        if len(busy) == 2:
            alone, together = (busy[name, case] for name in BOTTLE)
            slow = [
                percentile(sorted(times), 0.99) / percentile(sorted(one), 0.5)
                for times, one in zip(together, alone, strict=True)
            ]
            what = "bottle, a core busy: 99th percentile, all threads / median, one thread"
            result.lines.append(Line(what, number(slow), "x", Bar(BUSY_BAR)))
        for (name, _), rounds in paused.items():
            result.lines.append(time_line(f"{name}, pauses of 2 ms", rounds, "us"))
        if len(paused) == 2:
            one, two = (paused[name, "paused"] for name in SMALL)
            result.lines.append(ratio_line("128x128, pauses of 2 ms: two threads / one", two, one, PAUSE_BAR))
        result.skipped, result.versions = arena.skipped, versions(arena)
    return result
