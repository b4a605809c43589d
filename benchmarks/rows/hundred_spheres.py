"""100 spheres, P = 400: what a Jacobian and the normal equations cost beside one render."""

from __future__ import annotations

from benchmarks.arena import Arena
from benchmarks.contender import Request
from benchmarks.context import Context, contender_note, ratio_line, time_line, versions
from benchmarks.measure import Result

BAR = 3.0
CASES = ("render", "jacobian", "normal_equations")
SLOW = Request("", budget=0.0, least=1, most=1, warmups=1)
RIVALS = {
    "Taichi FwdMode": ("benchmarks.rivals.taichi_fwd", "taichi", ("jacobian", "split")),
    "JAX jvp loop": ("benchmarks.rivals.jax_linearize", "jax", ("jacobian",)),
}


def run(context: Context) -> Result:
    """Ours by cases and ratios; the rivals, seconds each, get fewer rounds."""
    result = Result("100 spheres, P = 400, 640x480")
    with Arena() as arena:
        context.start_ours(arena, scene="hundred")
        context.say(f"{context.rounds} rounds")
        times = arena.run({("diffrt_aot", case): Request(case) for case in CASES}, context.rounds)
        turns = {}
        for name, (module, needs, cases) in RIVALS.items():
            context.start(arena, name, module, needs, scene="hundred")
            turns |= {(name, case): Request(case, SLOW.budget, SLOW.least, SLOW.most, SLOW.warmups) for case in cases}
        context.say("the rivals")
        slow = arena.run(turns, 3)
        for (name, case), rounds in times.items():
            result.lines.append(time_line(f"{name}: {case}", rounds, note=contender_note(arena, name, case)))
        for (name, case), rounds in slow.items():
            note = contender_note(arena, name, case)
            result.lines.append(time_line(f"{name}: {case}", rounds, "s", note=note))
        if arena.has("diffrt_aot", "render"):
            for case in CASES[1:]:
                over, under = times["diffrt_aot", case], times["diffrt_aot", "render"]
                result.lines.append(ratio_line(f"{case} / render", over, under, BAR))
        result.skipped, result.versions = arena.skipped, versions(arena)
    return result
