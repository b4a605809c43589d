"""The child's side of a comparison: one contender in a process of its own, which sits still until it is asked
to run.

A contender is a script that hands its cases to `main`. Run by hand it prints its medians. Run with serve=FD
(arena.py does so) it says one JSON line on that descriptor when it is ready, then answers each request line
by a JSON line of times. While another contender runs, it only waits for input, so thread pools and allocators
do not disturb each other.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any


class Skip(Exception):
    """This contender cannot run here; the text says why."""


@dataclass(frozen=True)
class Case:
    """One thing to time: `run(k)` is the k-th repetition, so that inputs can differ from one to the next."""

    run: Callable[[int], Any]
    scale: float = 1.0  # times are multiplied by this, to extrapolate from some parameters to all
    note: str = ""
    seconds: Callable[[Any], float] | None = None  # of what `run` returned: its own clock, in place of the wall's


@dataclass
class Contender:
    """Cases by name, versions of what is measured, and how far each answer is from the float64 reference."""

    cases: dict[str, Case]
    versions: dict[str, str] = field(default_factory=dict)
    deviations: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """Repeat `case` for about `budget` seconds, `least` to `most` times, after uncounted `warmups`."""

    case: str
    budget: float = 0.3
    least: int = 3
    most: int = 200
    warmups: int = 2


def time_of(case: Case, k: int) -> float:
    """Seconds of the k-th repetition; by the wall clock to where its results are gone."""
    if case.seconds is not None:
        return case.seconds(case.run(k))
    begin = time.perf_counter()
    case.run(k)
    return time.perf_counter() - begin


def measure(case: Case, request: Request) -> list[float]:
    """Times in seconds, in the order in which they were taken."""
    for k in range(request.warmups):
        case.run(k)
    times: list[float] = []
    gc.collect()
    gc.disable()
    try:
        stop = time.perf_counter() + request.budget
        while len(times) < request.least or (len(times) < request.most and time.perf_counter() < stop):
            times.append(time_of(case, len(times)) * case.scale)
    finally:
        gc.enable()
    return times


def main(build: Callable[[dict[str, str]], Contender]) -> None:
    """Builds the contender with the command line's NAME=VALUE and serves it, or prints its medians."""
    options = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    serve = "serve" in options
    channel = os.fdopen(int(options["serve"]), "w", buffering=1) if serve else sys.stdout
    try:
        contender = build(options)
    except (Skip, ImportError, FileNotFoundError) as reason:
        print(json.dumps({"skip": str(reason)}) if serve else f"skipped: {reason}", file=channel)
        return
    if serve:
        _serve(contender, channel)
    else:
        for name, case in contender.cases.items():
            times = sorted(measure(case, Request(name, budget=2.0)))
            print(
                f"{name}: median {times[len(times) // 2] * 1e3:.3f} ms of {len(times)} {case.note}",
                file=channel,
            )
        print(f"deviations from the float64 reference: {contender.deviations}", file=channel)


def _serve(contender: Contender, channel: Any) -> None:
    cases = {name: {"scale": case.scale, "note": case.note} for name, case in contender.cases.items()}
    print(
        json.dumps({"cases": cases, "versions": contender.versions, "deviations": contender.deviations}),
        file=channel,
    )
    for line in sys.stdin:
        request = Request(**json.loads(line))
        print(json.dumps(measure(contender.cases[request.case], request)), file=channel)


def encode(request: Request) -> str:
    """The request as one line."""
    return json.dumps(asdict(request)) + "\n"
