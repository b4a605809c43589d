"""The bottle: 20,950 faces against a real 848x480 depth frame, the pose free."""

from __future__ import annotations

from benchmarks.arena import Arena
from benchmarks.contender import Request
from benchmarks.context import Context, contender_note, time_line, versions
from benchmarks.measure import Result

BARS = {"normal_equations": 5.0, "render": 4.0}
MITSUBA = "Mitsuba 3 forward mode"


def run(context: Context) -> Result:
    """Ours with its bars; Mitsuba's 6 columns and one render beside it if it is installed."""
    result = Result("Bottle, 20,950 faces, 848x480 depth, P = 6")
    with Arena() as arena:
        context.start_ours(arena, scene="bottle", data=context.data)
        context.start(arena, MITSUBA, "benchmarks.rivals.mitsuba_forward", "mitsuba", data=context.data)
        turns = {("diffrt_aot", case): Request(case) for case in BARS}
        turns |= {(MITSUBA, case): Request(case, least=1) for case in ("jacobian", "render", "render, same pose")}
        context.say(f"{context.rounds} rounds")
        for (name, case), rounds in arena.run(turns, context.rounds).items():
            bar = BARS[case] if name == "diffrt_aot" else None
            note = contender_note(arena, name, case)
            result.lines.append(time_line(f"{name}: {case}", rounds, bar=bar, note=note))
        result.skipped, result.versions = arena.skipped, versions(arena)
    return result
