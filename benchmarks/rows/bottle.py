"""The bottle: 20,950 faces against a real 848x480 depth frame, the pose free, beside a hand-written rasteriser."""

from __future__ import annotations

from benchmarks.arena import Arena
from benchmarks.contender import Request
from benchmarks.context import Context, contender_note, ratio_line, time_line, versions
from benchmarks.measure import Result

BAR = 1.5
CASES = ("normal_equations", "render")
HAND, MITSUBA = "hand-written C++", "Mitsuba 3 forward mode"


def run(context: Context) -> Result:
    """Ours over the rasteriser's with its bar; Mitsuba's 6 columns and one render beside it if it is installed."""
    result = Result("Bottle, 20,950 faces, 848x480 depth, P = 6")
    with Arena() as arena:
        context.start_ours(arena, scene="bottle", data=context.data)
        context.start(arena, HAND, "benchmarks.rivals.hand_mesh", data=context.data)
        context.start(arena, MITSUBA, "benchmarks.rivals.mitsuba_forward", "mitsuba", data=context.data)
        turns = {(name, case): Request(case) for case in CASES for name in ("diffrt_aot", HAND)}
        turns |= {(MITSUBA, case): Request(case, least=1) for case in ("jacobian", "render", "render, same pose")}
        context.say(f"{context.rounds} rounds")
        times = arena.run(turns, context.rounds)
        for (name, case), rounds in times.items():
            result.lines.append(time_line(f"{name}: {case}", rounds, note=contender_note(arena, name, case)))
        for case in CASES:
            if ("diffrt_aot", case) in times and (HAND, case) in times:
                over, under = times["diffrt_aot", case], times[HAND, case]
                result.lines.append(ratio_line(f"{case}, diffrt_aot / {HAND}", over, under, BAR))
        result.skipped, result.versions = arena.skipped, versions(arena)
    return result
