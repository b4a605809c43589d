"""Models of one's own, from Python, beside loops written by hand, Ceres' Jets and JAX: on one thread, and on two."""

from __future__ import annotations

from benchmarks.arena import Arena
from benchmarks.contender import Request
from benchmarks.context import Context, contender_note, ratio_line, time_line, versions
from benchmarks.measure import Result

OURS, HAND, JAX, SPHERE, JAX_SPHERE = "diffrt_aot", "hand-written C++", "JAX", "hand-derived C++", "JAX, sphere"
# (our case, a rival, its case, what the ratio must reach, whether it is theirs over ours).
RATIOS = (
    ("sphere", SPHERE, "full", 2.0, False),
    ("sphere", JAX_SPHERE, "jacobian", 5.0, True),
    ("chain", HAND, "chain, reverse", 1.3, False),
    ("chain", HAND, "chain, 4 seeds", 4.0, True),
    ("chain", HAND, "chain, 8 seeds", 4.0, True),
    ("chain", HAND, "chain, 16 seeds", 4.0, True),
    ("cosines", HAND, "cosines", 1.5, False),
    ("lattice", HAND, "lattice", 1.5, False),
    ("photometric", JAX, "photometric", 5.0, True),
)
ONE_THREAD = (
    ("chain", HAND, "chain, reverse", 1.3, False),
    ("chain", HAND, "chain, 8 seeds", 4.0, True),
    ("calibration", HAND, "calibration", 10.0, True),
    ("hand", JAX, "hand", 5.0, True),
)
# Ours alone: [unit], at most.
TIMES = {
    "lattice normal equations": ("ms", 20.0),
    "photometric step": ("ms", 3.0),
    "compile sphere": ("s", 1.0),
    "compile hand": ("s", 10.0),
    "load": ("ms", 1.0),
    "load, C++": ("ms", 0.2),
}


def run(context: Context) -> Result:
    """With all processors; some on one thread, too: with all, memory may be what they wait for."""
    result = Result("Models of one's own, 640x480: value and all columns, from Python")
    _compare(context, result, "2", RATIOS)
    _compare(context, result, "1", ONE_THREAD)
    return result


Ratios = tuple[tuple[str, str, str, float, bool], ...]


def _compare(context: Context, result: Result, threads: str, ratios: Ratios) -> None:
    ours = sorted({case for case, *_ in ratios})
    alone = list(TIMES) if threads == "2" else []
    with Arena() as arena:
        only = ",".join([*ours, "compile"] if alone else ours)
        context.start(arena, OURS, "benchmarks.models", "diffrt_aot", threads=threads, only=only)
        if threads == "2":
            context.start(arena, SPHERE, "benchmarks.rivals.hand_derived")
            context.start(arena, JAX_SPHERE, "benchmarks.rivals.jax_linearize", "jax", scene="issue")
        context.start(arena, HAND, "benchmarks.rivals.hand_models", threads=threads)
        context.start(arena, JAX, "benchmarks.rivals.jax_models", "jax", threads=threads)
        turns = {(OURS, case): Request(case, budget=0.2) for case in ours}
        turns |= {(rival, case): Request(case, budget=0.2) for _, rival, case, *_ in ratios}
        turns |= {(OURS, case): Request(case, budget=0.2, least=1, most=20) for case in alone}
        context.say(f"{context.rounds} rounds")
        times = arena.run(turns, context.rounds)
        suffix = "" if threads == "2" else ", one thread"
        for (name, case), rounds in times.items():
            unit, bar = TIMES.get(case, ("ms", None))
            what = f"{name}: {case}{suffix}"
            result.lines.append(time_line(what, rounds, unit, bar, note=contender_note(arena, name, case)))
        for mine, rival, case, bar, theirs in ratios:
            over, under = ((rival, case), (OURS, mine)) if theirs else ((OURS, mine), (rival, case))
            if over in times and under in times:
                what = f"{mine}{suffix}: {over[0]} ({over[1]}) / {under[0]}"
                what = f"{what} ({case})" if not theirs else what
                result.lines.append(ratio_line(what, times[over], times[under], bar, at_least=theirs))
        result.skipped |= arena.skipped
        result.versions |= versions(arena)
        if HAND in arena.players and threads == "1" and not arena.has(HAND, "calibration"):
            result.skipped["Ceres' Jets"] = "ceres/jet.h is not there: apt-get install libceres-dev"
