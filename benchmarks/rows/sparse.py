"""Many parameters: a whole fit over what its evaluations take alone; a step at P = 30,000; P = 100,000; uncertainty.

benchmarks/large.py says what the evaluations of a fit are. What is large runs in a fresh process, and only where H is
sparse: a dense one of P = 30,000 takes 7 GB.
"""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.arena import ROOT, Arena, has_package
from benchmarks.contender import Request
from benchmarks.context import Context, contender_note, ratio_line, time_line, versions
from benchmarks.measure import Bar, Line, Result, number

FIT_BAR = 1.5
SCENES = ("spheres", "vertices", "bodies")
STEP_SECONDS, STEP_MB = 0.3, 300.0
LINEAR = 1.3  # four times as much may take 1.3 times four times as long
UNCERTAINTY_SECONDS = 2.0
FEW, MANY = 6250, 25000

IS_SPARSE = "import diffrt_aot as dr, sys; sys.exit(not hasattr(dr.NormalEquations, 'H_sparse'))"
IS_LAZY = "import diffrt_aot as dr, sys; sys.exit(not hasattr(dr.FitResult, 'standard_deviations'))"
# One step from where the solver has its first model: the second record's clock less the first's.
STEP = """
import json
from benchmarks import large
from benchmarks.rows.memory import peak, reset_peak, resident
problem = large.vertices(10000)
problem.renderer.cost(problem.start, problem.observed)
reset_peak()
before = resident()
history = problem.fit(max_steps=1).history
print(json.dumps([history[1].seconds - history[0].seconds, (peak() - before) / 1e6]))
"""
CONSTRUCTION = """
import json, sys, time
import diffrt_aot
from benchmarks import large
from benchmarks.rows.memory import peak, reset_peak, resident
reset_peak()
before, begin = resident(), time.perf_counter()
problem = large.spheres(int(sys.argv[1]))
made = time.perf_counter()
equations = problem.renderer.normal_equations(problem.start, problem.observed)
done = time.perf_counter()
print(json.dumps([made - begin, done - made, (peak() - before) / 1e6]))
"""
UNCERTAINTY = """
import json, time
from benchmarks import large
result = large.vertices(1000).fit(max_steps=2, uncertainty=True)
begin = time.perf_counter()
result.rank, result.null_names, result.standard_deviations
print(json.dumps([time.perf_counter() - begin]))
"""


def child(code: str, *arguments: str) -> list[float]:
    """What a fresh process prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return [float(value) for value in json.loads(done.stdout)]


def yes(code: str) -> bool:
    """Whether the installed product has it."""
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == 0


def add_fits(context: Context, result: Result) -> None:
    """`fit` over `kernels`, with the times of both."""
    with Arena() as arena:
        for scene in SCENES:
            context.start(arena, scene, "benchmarks.large", "diffrt_aot", scene=scene)
        # A fit may take seconds: once in a turn, and few turns.
        turns = {
            (scene, case): Request(case, budget=0.3, least=1, warmups=0)
            for scene in SCENES
            for case in ("fit", "kernels")
        }
        rounds = min(context.rounds, 5)
        context.say(f"{rounds} rounds of fits")
        times = arena.run(turns, rounds)
        for scene in SCENES:
            if (scene, "fit") not in times:
                continue
            fit, kernels = times[scene, "fit"], times[scene, "kernels"]
            note = contender_note(arena, scene, "fit")
            result.lines.append(ratio_line(f"{scene}: fit / its evaluations alone", fit, kernels, FIT_BAR))
            result.lines.append(time_line(f"{scene}: fit", fit, note=note))
            result.lines.append(time_line(f"{scene}: its evaluations alone", kernels))
        result.skipped |= arena.skipped
        result.versions = versions(arena)


def add_large(context: Context, result: Result) -> None:
    """A step at P = 30,000, and how construction, normal equations and memory grow to P = 100,000."""
    context.say("a step at P = 30,000")
    seconds, megabytes = zip(*(child(STEP) for _ in range(3)), strict=True)
    result.lines.append(Line("one step at P = 30,000", number(seconds), "s", Bar(STEP_SECONDS), "10,000 free vertices"))
    result.lines.append(Line("... memory it adds", number(megabytes), "MB", Bar(STEP_MB)))
    names = ("construction", "normal_equations", "memory")
    few, many = [], []
    for _ in range(3):
        context.say(f"P = {4 * FEW} and P = {4 * MANY}")
        few.append(child(CONSTRUCTION, str(FEW)))
        many.append(child(CONSTRUCTION, str(MANY)))
    for k, name in enumerate(names):
        growth = number([b[k] / a[k] * FEW / MANY for a, b in zip(few, many, strict=True)])
        unit = "MB" if name == "memory" else "s"
        result.lines.append(Line(f"P = {4 * MANY:,}: {name}", number([b[k] for b in many]), unit))
        what = f"... per parameter, over that of P = {4 * FEW:,}"
        result.lines.append(Line(what, growth, "x", Bar(LINEAR), "linear: 1x"))


def run(context: Context) -> Result:
    """The bars are for two cores."""
    result = Result("Many parameters: H sparse from the sums to the solver")
    if not has_package(sys.executable, "diffrt_aot"):
        result.skipped["diffrt_aot"] = "diffrt_aot is not installed"
        return result
    add_fits(context, result)
    if yes(IS_SPARSE):
        add_large(context, result)
    else:
        result.skipped["P = 30,000 and more"] = "NormalEquations has no H_sparse"
    if yes(IS_LAZY):
        context.say("uncertainty at P = 3,000")
        seconds = number([child(UNCERTAINTY)[0] for _ in range(3)])
        what = "rank, null_names, standard_deviations at P = 3,000"
        result.lines.append(Line(what, seconds, "s", Bar(UNCERTAINTY_SECONDS)))
    else:
        result.skipped["uncertainty at P = 3,000"] = "FitResult computes it within the fit"
    return result
