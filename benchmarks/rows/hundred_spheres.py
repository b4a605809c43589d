"""100 spheres, P = 400: image, Jacobian and normal equations, beside hand-written C++ and the peers."""

from __future__ import annotations

from benchmarks.arena import Arena
from benchmarks.contender import Request
from benchmarks.context import Context, contender_note, ratio_line, time_line, versions
from benchmarks.measure import Result

BAR = 1.3
HAND = "hand-written C++"
CASES = ("render", "jacobian", "normal_equations")
SLOW = Request("", budget=0.0, least=1, most=1, warmups=1)
RIVALS = {
    "Taichi FwdMode": ("benchmarks.rivals.taichi_fwd", "taichi", ("jacobian", "split")),
    "JAX jvp loop": ("benchmarks.rivals.jax_linearize", "jax", ("jacobian",)),
}


def run(context: Context) -> Result:
    """Ours and the hand-written by cases, and their ratios; the other rivals, seconds each, get fewer rounds."""
    result = Result("100 spheres, P = 400, 640x480")
    with Arena() as arena:
        context.start_ours(arena, scene="hundred")
        context.start(arena, HAND, "benchmarks.rivals.hand_sums", scene="hundred")
        context.say(f"{context.rounds} rounds")
        turns = {(name, case): Request(case) for case in CASES for name in ("diffrt_aot", HAND)}
        times = arena.run(turns, context.rounds)
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
        for case, bar in (("normal_equations", BAR), ("render", None)):
            if ("diffrt_aot", case) in times and (HAND, case) in times:
                over, under = times["diffrt_aot", case], times[HAND, case]
                result.lines.append(ratio_line(f"{case}, diffrt_aot / {HAND}", over, under, bar))
        result.skipped, result.versions = arena.skipped, versions(arena)
    return result
