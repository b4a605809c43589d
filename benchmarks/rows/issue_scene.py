"""The issue's scene: value and 4 dense columns, and normal equations, beside hand-derived loops and the peers, all in
turns.
"""

from __future__ import annotations

from benchmarks.arena import Arena
from benchmarks.contender import Request
from benchmarks.context import Context, contender_note, ratio_line, time_line, versions
from benchmarks.measure import Result

HAND_BAR, SUMS_BAR, PEER_BAR = 1.6, 2.0, 15.0
RIVALS = {
    "hand-derived C++": ("benchmarks.rivals.hand_derived", "", ("full", "bounded")),
    "Taichi FwdMode": ("benchmarks.rivals.taichi_fwd", "taichi", ("jacobian", "with copies")),
    "JAX linearize + vmap": ("benchmarks.rivals.jax_linearize", "jax", ("jacobian", "planes")),
    "torch jacfwd": ("benchmarks.rivals.torch_jacfwd", "torch", ("jacobian",)),
}
OURS = ("diffrt_aot", "jacobian")
OUR_SUMS, HAND_SUMS = ("diffrt_aot", "normal_equations"), ("hand-derived C++, sums", "normal_equations")


def run(context: Context) -> Result:
    """Medians of each; ratios to ours where it is here."""
    result = Result("Issue's scene, 640x480, one sphere: value + dense 4 columns, and normal equations")
    with Arena() as arena:
        context.start_ours(arena, scene="issue")
        context.start(arena, HAND_SUMS[0], "benchmarks.rivals.hand_sums", scene="issue")
        turns = {OURS: Request("jacobian"), ("diffrt_aot", "render"): Request("render")}
        turns |= {key: Request("normal_equations") for key in (OUR_SUMS, HAND_SUMS)}
        for name, (module, needs, cases) in RIVALS.items():
            context.start(arena, name, module, needs, scene="issue")
            turns |= {(name, case): Request(case) for case in cases}
        context.say(f"{context.rounds} rounds")
        times = arena.run(turns, context.rounds)
        for (name, case), rounds in times.items():
            result.lines.append(time_line(f"{name}: {case}", rounds, note=contender_note(arena, name, case)))
        for (name, case), rounds in times.items():
            if OURS not in times or name in (OURS[0], HAND_SUMS[0]):
                continue
            if name == "hand-derived C++":
                bar = HAND_BAR if case == "full" else None
                result.lines.append(ratio_line(f"diffrt_aot / {name} ({case})", times[OURS], rounds, bar))
            else:
                what = f"{name} ({case}) / diffrt_aot"
                bar = None if case == "planes" else PEER_BAR  # rewritten by hand until XLA fuses it
                result.lines.append(ratio_line(what, rounds, times[OURS], bar, at_least=True))
        if OUR_SUMS in times and HAND_SUMS in times:
            what = f"normal_equations, diffrt_aot / {HAND_SUMS[0]}"
            result.lines.append(ratio_line(what, times[OUR_SUMS], times[HAND_SUMS], SUMS_BAR))
        result.skipped, result.versions = arena.skipped, versions(arena)
    return result
