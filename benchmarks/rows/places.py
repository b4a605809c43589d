"""What must not cost more for where it is: many small meshes beside one of all their faces, a camera inside a mesh."""

from __future__ import annotations

from benchmarks.arena import Arena
from benchmarks.contender import Request
from benchmarks.context import Context, contender_note, ratio_line, time_line, versions
from benchmarks.measure import Result


def compare(context: Context, title: str, over: str, under: str, bar: float) -> Result:
    """`render` of one scene of benchmarks/places.py over that of another, with either boundary."""
    result = Result(title)
    with Arena() as arena:
        keys = [(f"{scene}, {boundary}", "render") for boundary in ("none", "exact") for scene in (over, under)]
        for name, _ in keys:
            scene, boundary = name.split(", ")
            context.start(arena, name, "benchmarks.places", "diffrt_aot", scene=scene, boundary=boundary)
        context.say(f"{context.rounds} rounds")
        times = arena.run({key: Request("render", budget=0.2) for key in keys}, context.rounds)
        for boundary in ("none", "exact"):
            pair = [(f"{scene}, {boundary}", "render") for scene in (over, under)]
            if all(key in times for key in pair):
                what = f"{boundary}: {over} / {under}"
                result.lines.append(ratio_line(what, times[pair[0]], times[pair[1]], bar))
        for name, case in times:
            result.lines.append(time_line(name, times[name, case], note=contender_note(arena, name, case)))
        result.skipped, result.versions = arena.skipped, versions(arena)
    return result


def bodies(context: Context) -> Result:
    """1,000 bodies of 320 faces."""
    return compare(context, "1,000 meshes of 320 faces over one of 320,000", "bodies", "mesh", 1.3)


def inside(context: Context) -> Result:
    """15,600 faces all around the camera."""
    return compare(context, "A camera inside a mesh of 15,600 faces over one outside it", "inside", "outside", 2.0)
