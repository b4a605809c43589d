"""The parent's side of a comparison: starts contenders, lets them run in turns, and keeps the times.

Round after round every case has a short turn while all the others wait, so a slow phase of the machine hits
all alike; a ratio is taken within each round, and its median over the rounds is reported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from benchmarks.contender import Request, encode

ROOT = Path(__file__).resolve().parents[1]
READY_TIMEOUT = 600.0
SETTLE = 0.03  # seconds between turns: worker threads that spin after their work have gone to sleep
# OpenMP threads spin for microseconds, then sleep: longer spinning on a busy machine costs a factor of 30.
SPIN_COUNT = "10000"


@dataclass
class Player:
    """A contender's process."""

    name: str
    process: subprocess.Popen[str]
    answers: TextIO
    hello: dict[str, Any]

    def ask(self, request: Request) -> list[float]:
        """One turn; RuntimeError if the process has died."""
        assert self.process.stdin
        self.process.stdin.write(encode(request))
        self.process.stdin.flush()
        answer = self.answers.readline()
        if not answer:
            raise RuntimeError(f"{self.name} died with status {self.process.wait()} while it ran {request.case}")
        return [float(t) for t in json.loads(answer)]


@dataclass
class Arena:
    """Contenders that are ready, and why others are not. A context manager: leaving ends the processes."""

    players: dict[str, Player] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Arena:
        return self

    def __exit__(self, *_: object) -> None:
        for player in self.players.values():
            player.process.kill()
            player.process.wait()

    def start(self, name: str, module: str, options: dict[str, Any], pythons: Iterable[str], needs: str = "") -> bool:
        """Starts the module with the first of `pythons` that has the package `needs`; False: skipped."""
        python = next((p for p in pythons if not needs or has_package(p, needs)), None)
        if python is None:
            self.skipped[name] = f"{needs} is not installed"
            return False
        process, answers = _launch([python, "-m", module, *(f"{k}={v}" for k, v in options.items())])
        errors = _drain(process)
        timer = threading.Timer(READY_TIMEOUT, process.kill)
        timer.start()
        try:
            line = answers.readline()
        except BaseException:
            process.kill()
            raise
        finally:
            timer.cancel()
        hello = json.loads(line) if line else {"skip": f"failed: {errors()}"}
        if "skip" in hello:
            process.kill()
            process.wait()
            self.skipped[name] = hello["skip"]
            return False
        self.players[name] = Player(name, process, answers, hello)
        return True

    def run(
        self, turns: dict[tuple[str, str], Request], rounds: int, step: Callable[[], None] = lambda: None
    ) -> dict[tuple[str, str], list[list[float]]]:
        """Times by (contender, case), a list per round; only of contenders here that have the case."""
        here = {key: r for key, r in turns.items() if self.has(*key)}
        times: dict[tuple[str, str], list[list[float]]] = {key: [] for key in here}
        for _ in range(rounds):
            for (name, case), request in here.items():
                time.sleep(SETTLE)
                times[name, case].append(self.players[name].ask(request))
                step()
        return times

    def has(self, name: str, case: str) -> bool:
        """Whether this contender is ready and knows the case."""
        return name in self.players and case in self.players[name].hello["cases"]


def has_package(python: str, package: str) -> bool:
    """Whether that interpreter finds the package, without importing it here."""
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    return subprocess.run([python, "-c", code], cwd=ROOT, capture_output=True).returncode == 0


def pythons(peers: Iterable[str]) -> list[str]:
    """This interpreter first, then those named on the command line for packages that it lacks."""
    return [sys.executable, *peers]


def _launch(command: list[str]) -> tuple[subprocess.Popen[str], TextIO]:
    """The process, and the end of the pipe on which it answers; what it prints besides is kept apart."""
    read, write = os.pipe()
    process = subprocess.Popen(
        [*command, f"serve={write}"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=[write],
        env={"GOMP_SPINCOUNT": SPIN_COUNT, **os.environ},
        start_new_session=True,  # Ctrl-C reaches the parent alone, which then ends its children
    )
    os.close(write)
    return process, os.fdopen(read)


def _drain(process: subprocess.Popen[str]) -> Callable[[], str]:
    """Reads stderr in the background, so that the child never blocks on it; its end explains a failure."""
    lines: list[str] = []

    def read() -> None:
        assert process.stderr
        for line in process.stderr:
            lines.append(line.strip())
            del lines[:-5]

    thread = threading.Thread(target=read, daemon=True)
    thread.start()

    def last() -> str:
        thread.join(2.0)
        return lines[-1] if lines else "no message"

    return last
