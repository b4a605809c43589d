"""Models written out by hand in C++, and the calibration by Ceres' Jets (one thread).

python -m benchmarks.rivals.hand_models [threads=N]
"""

from __future__ import annotations

import numpy as np

from benchmarks import formulas
from benchmarks.contender import Case, Contender, main
from benchmarks.rivals.hand_built import aligned, bind, load, version
from benchmarks.scenes import HEIGHT, WIDTH

STRIDE = WIDTH * HEIGHT + 16
TOLERANCE = 1e-3
PLANES = {
    "cosines": ("cosines", 64),
    "lattice": ("lattice", 16),
    "chain, reverse": ("chain_reverse", 64),
    "chain, 4 seeds": ("chain_forward_4", 64),
    "chain, 8 seeds": ("chain_forward_8", 64),
    "chain, 16 seeds": ("chain_forward_16", 64),
}


def build(options: dict[str, str]) -> Contender:
    """Cases by name: values and all columns into arrays that are there before."""
    threads = int(options.get("threads", "2"))
    library = load("hand_models")
    cases, deviations = {}, {}
    out, ids = aligned((1 + 64, STRIDE)), np.zeros((HEIGHT, WIDTH), np.int32)
    for case, (function, count) in PLANES.items():
        name = case.split(",")[0]
        theta = formulas.inputs(name)[0].astype(np.float32)
        more = (ids,) if name == "lattice" else ()
        calls = [
            bind(library, function, (np.float32(1 + 1e-4 * k) * theta, WIDTH, HEIGHT, STRIDE, out, *more, threads))
            for k in range(2)
        ]
        out.fill(np.nan)
        calls[0]()
        planes = out[: 1 + count, : WIDTH * HEIGHT].astype(np.float64)

        def product(d: np.ndarray, planes: np.ndarray = planes, name: str = name) -> np.ndarray:
            if name == "lattice":
                return sum(planes[1 + 4 * b + a] * d[ids.ravel() + 16 * b + a] for b in range(4) for a in range(4))
            return d @ planes[1:]

        deviations[case] = formulas.check(name, planes[0], product)
        cases[case] = Case(lambda k, calls=calls: calls[k % 2]())
    if library.has_ceres():
        cases["calibration"], deviations["calibration"] = _calibration(library)
    wrong = {case: d for case, d in deviations.items() if not d < TOLERANCE}
    if wrong:
        raise RuntimeError(f"hand-written models are wrong: {wrong}")
    return Contender(cases, version(), deviations)


def _calibration(library: object) -> tuple[Case, float]:
    theta, data = formulas.inputs("calibration")
    view = data["view"].astype(np.int32)
    board, seen = (data[k].astype(np.float32) for k in ("board", "seen"))
    n = len(view)
    out = aligned((n, 2, 16))
    calls = []
    for k in range(2):
        at = (theta * (1 + 1e-4 * k)).astype(np.float32)
        calls.append(bind(library, "calibration", (at[:9].copy(), at[9:].copy(), board, seen, view, n, out)))
    calls[0]()

    def product(d: np.ndarray) -> np.ndarray:
        local = np.concatenate([np.broadcast_to(d[:9], (n, 9)), d[9:].reshape(-1, 6)[view]], 1)
        return (out[:, :, 1:].astype(np.float64) * local[:, None, :]).sum(-1)

    return Case(lambda k: calls[k % 2](), note="Ceres' Jet<float, 15>"), formulas.check(
        "calibration", out[:, :, 0], product
    )


if __name__ == "__main__":
    main(build)
