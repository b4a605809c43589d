"""Models of examples/models, compiled, as a contender: values and all columns of J, normal equations, steps.

python -m benchmarks.models [threads=N] [only=cosines,hand]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import diffrt_aot as dr
from benchmarks import formulas, scenes
from benchmarks.contender import Case, Contender, main

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples" / "models"))

CAMERA = {"focal": scenes.FOCAL, "principal": (scenes.CX, scenes.CY)}
IMAGE = (scenes.HEIGHT, scenes.WIDTH)
SIZE = {"size": (scenes.WIDTH - 1.0, scenes.HEIGHT - 1.0)}
# Of each formula: the example's module and name, its shape, and what else it is bound to.
EXAMPLES: dict[str, tuple[str, str, Any, dict[str, Any]]] = {
    "cosines": ("cosines", "cosines_in_turn", IMAGE, SIZE),
    "lattice": ("lattice", "lattice", IMAGE, {**SIZE, "height": 256}),
    "chain": ("dense_chain", "dense_chain", IMAGE, SIZE),
    "photometric": ("photometric", "photometric", IMAGE, CAMERA),
    "calibration": ("calibration", "calibration", formulas.VIEWS * formulas.CORNERS, {"poses": formulas.VIEWS}),
    "hand": ("hand", "hand", formulas.POINTS, {}),
}


def author(module: str, name: str) -> Any:
    """The model, by @model."""
    return getattr(__import__(module), name)


def build(options: dict[str, str]) -> Contender:
    """Cases NAME and `NAME normal equations`; `photometric step`; `compile NAME`, by CPU time; `load`."""
    threads = int(options.get("threads", "2"))
    names = options.get("only", ",".join(["sphere", *EXAMPLES, "compile"])).split(",")
    cases: dict[str, Case] = {}
    deviations: dict[str, float] = {}
    if "sphere" in names:
        _add_sphere(threads, cases, deviations)
    for name in set(names) & set(EXAMPLES):
        _add(name, threads, cases, deviations)
    if "compile" in names:
        cases |= {f"compile {name}": _compiling(name) for name in ("sphere", "hand")}
        cases |= _loading()
    return Contender(cases, {"diffrt_aot": dr.__version__}, deviations)


def _add_sphere(threads: int, cases: dict[str, Case], deviations: dict[str, float]) -> None:
    bound = author("sphere", "sphere").compile(targets=["x64"]).bind(shape=IMAGE, threads=threads, **CAMERA)
    thetas = [scenes.ISSUE_SPHERE + 1e-3 * k for k in range(2)]
    right = scenes.reference(scenes.ISSUE_SPHERE)
    value, J = bound.jacobian(thetas[0])
    deviations["sphere"] = max(
        scenes.deviation(value, right.value, right.compare),
        scenes.deviation(np.moveaxis(J.dense(), -1, 0), right.partials, right.compare),
    )
    cases["sphere"] = Case(_dense(bound, thetas))
    observed = scenes.noisy(right.value)
    cases["sphere normal equations"] = Case(lambda k: bound.normal_equations(thetas[k % 2], observed))


def _add(name: str, threads: int, cases: dict[str, Case], deviations: dict[str, float]) -> None:
    module, model, shape, data = EXAMPLES[name]
    theta, more = formulas.inputs(name)
    bound = author(module, model).compile(targets=["x64"]).bind(shape=shape, threads=threads, **data, **more)
    value, J = bound.jacobian(theta)
    deviations[name] = formulas.check(name, value, lambda d: J @ d)
    thetas = [theta, theta * (1 + 1e-4)]
    dense = name in ("chain", "photometric", "cosines")
    cases[name] = Case(_dense(bound, thetas) if dense else lambda k: bound.jacobian(thetas[k % 2]))
    observed = value + 0.1 * np.random.default_rng(0).normal(size=value.shape)
    cases[f"{name} normal equations"] = Case(lambda k: bound.normal_equations(thetas[k % 2], observed))
    if name == "photometric":

        def step(k: int) -> np.ndarray:
            equations = bound.normal_equations(thetas[k % 2], None)
            return thetas[k % 2] - np.linalg.solve(equations.H, equations.g)

        cases["photometric step"] = Case(step)


def _dense(bound: dr.BoundModel, thetas: list[np.ndarray]) -> Callable[[int], Any]:
    def run(k: int) -> tuple[np.ndarray, np.ndarray]:
        value, J = bound.jacobian(thetas[k % 2])
        return value, J.dense()

    return run


def _compiling(name: str) -> Case:
    """x64 and PTX, from the Python function to the bytes of a file."""
    model = author(name, name)

    def run(k: int) -> float:
        from diffrt_aot.model.compile import compile_models

        begin = time.process_time()
        compile_models([model], ["x64", "cuda"], cache=False)
        return time.process_time() - begin

    return Case(run, seconds=float, note="CPU time; x64 for three levels, and PTX")


def _loading() -> dict[str, Case]:
    from diffrt_aot import _core
    from diffrt_aot.model.compile import compile_models

    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / "models.dra"
    path.write_bytes(compile_models([author("sphere", "sphere")]))

    def python(k: int, keep: Any = folder) -> Any:
        return dr.load(path).sphere

    return {
        "load": Case(python, note="dr.load(path).sphere"),
        "load, C++": Case(lambda k: _core.Module.load(str(path).encode()), note="Module::load, called from Python"),
    }


if __name__ == "__main__":
    main(build)
