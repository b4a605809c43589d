"""Progress of a fit, a line for each step on standard error; in colour where rich is installed."""

from __future__ import annotations

import sys
from typing import Any

_HEADER = f"{'step':>5} {'cost':>12} {'residuals':>10} {'gradient':>9} {'step size':>9} {'damping':>8} {'gain':>7}"


class Progress:
    """A callback for `fit`: shows each record that it is called with, and never asks to stop."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._level = 0
        self._console = None if quiet else _rich_console()

    def stage(self, title: str) -> None:
        """Announce a run of the solver."""
        self._level = 0
        self._print(title, "bold")
        self._print(_HEADER, "dim")

    def __call__(self, record: Any, *_: object) -> None:
        """Show one step."""
        first = record.step == 0 or record.level != self._level
        if first and (record.level or self._level):
            self._print(f"  image at 1/{2**record.level} of its size", "dim")
        self._level = record.level
        mark = "" if record.accepted or first else "  rejected"
        gain = f"{'':7}" if first else f"{record.gain_ratio:7.3f}"
        self._print(
            f"{record.step:5d} {record.cost:12.6g} {record.count:10d} {record.gradient_norm:9.2g} "
            f"{record.step_norm:9.2g} {record.damping:8.1g} {gain}{mark}",
            "yellow" if mark else "",
        )

    def note(self, text: str) -> None:
        """Tell something that the user should know."""
        self._print(text, "cyan")

    def warn(self, text: str) -> None:
        """Tell what makes the answer doubtful; --quiet does not silence it."""
        quiet, self._quiet = self._quiet, False
        self._print(f"warning: {text}", "bold yellow")
        self._quiet = quiet

    def _print(self, text: str, style: str) -> None:
        if self._quiet:
            return
        if self._console is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _rich_console() -> Any:
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(stderr=True)
