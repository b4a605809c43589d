"""What every benchmark is given, and the lines that most of them report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arena import Arena, pythons
from benchmarks.measure import Bar, Line, in_unit, pooled, ratio

UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6}
Rounds = Sequence[Sequence[float]]


@dataclass
class Context:
    """The command line's choices. `say` tells the user what is going on."""

    data: Path
    peers: Sequence[str] = ()
    cpp_bench: Path | None = None
    rounds: int = 9
    fresh: int = 15  # fresh processes per kind, for what is measured at start-up
    say: Callable[[str], None] = lambda text: None

    def start(self, arena: Arena, name: str, module: str, needs: str = "", **options: object) -> bool:
        """Gets a contender ready; the arena notes why not, if it cannot."""
        self.say(f"starting {name}")
        return arena.start(name, module, options, pythons(self.peers), needs)

    def start_ours(self, arena: Arena, **options: object) -> bool:
        """The product."""
        return self.start(arena, "diffrt_aot", "benchmarks.ours", "diffrt_aot", **options)


def time_line(what: str, rounds: Rounds, unit: str = "ms", bar: float | None = None, note: str = "") -> Line:
    """The median of all repetitions, in the unit; `bar` is the most that it may be."""
    return Line(what, in_unit(pooled(rounds), UNITS[unit]), unit, None if bar is None else Bar(bar), note)


def ratio_line(what: str, over: Rounds, under: Rounds, bar: float | None = None, at_least: bool = False) -> Line:
    """`over` / `under`, round by round."""
    return Line(what, ratio(over, under), "x", None if bar is None else Bar(bar, at_least))


def contender_note(arena: Arena, name: str, case: str) -> str:
    """The case's own note, and how far its answer is from the float64 reference."""
    hello = arena.players[name].hello
    parts = [hello["cases"][case]["note"]]
    deviation = hello["deviations"].get(case)
    if deviation is not None:
        parts.append(f"differs from float64 by at most {deviation:.0e}" + (" WRONG" if deviation > 1e-2 else ""))
    return "; ".join(part for part in parts if part)


def versions(arena: Arena) -> dict[str, str]:
    """Of all contenders that are here."""
    return {name: text for player in arena.players.values() for name, text in player.hello["versions"].items()}
