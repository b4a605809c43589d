"""What exact boundaries cost: boundary="exact" beside "none", scene by scene and call by call, in turns."""

from __future__ import annotations

from benchmarks.arena import Arena
from benchmarks.contender import Request
from benchmarks.context import Context, contender_note, ratio_line, time_line, versions
from benchmarks.measure import Result

CALLS = {"render": "render", "jacobian": "jacobian", "normal_equations": "normal_equations"}
# By scene: what the contender is told besides, and its cases by what they are called here.
SCENES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "issue": ({}, {**CALLS, "jacobian": "rows", "jacobian, 4 dense columns": "jacobian"}),
    "hundred": ({}, CALLS),
    "bottle": ({"outputs": "mask,depth"}, CALLS),
}


def run(context: Context) -> Result:
    """Ratios, then the times; a scene whose data is absent is skipped."""
    result = Result("Exact boundaries beside none: issue's scene, 100 spheres (P = 400), bottle (mask and depth)")
    ratios = []
    with Arena() as arena:
        turns = {}
        for scene, (options, cases) in SCENES.items():
            for boundary in ("none", "exact"):
                name = f"{scene}, {boundary}"
                told = {"scene": scene, "boundary": boundary, "data": context.data, **options}
                context.start(arena, name, "benchmarks.ours", "diffrt_aot", **told)
            turns |= {(f"{scene}, {b}", case): Request(case) for case in cases.values() for b in ("none", "exact")}
        context.say(f"{context.rounds} rounds")
        times = arena.run(turns, context.rounds)
        for scene, (_, cases) in SCENES.items():
            for call, case in cases.items():
                pair = [(f"{scene}, {boundary}", case) for boundary in ("exact", "none")]
                if not all(key in times for key in pair):
                    continue
                exact, none = (times[key] for key in pair)
                ratios.append(ratio_line(f"{scene}: {call}, exact / none", exact, none))
                for name, _ in reversed(pair):
                    note = contender_note(arena, name, case)
                    result.lines.append(time_line(f"{name}: {call}", times[name, case], note=note))
        result.lines = ratios + result.lines
        result.skipped, result.versions = arena.skipped, versions(arena)
    return result
