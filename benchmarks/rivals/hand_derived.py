"""The hand-derived C++ loop as a contender: built into a temporary directory, called by ctypes, checked by
central differences.

python -m benchmarks.rivals.hand_derived            prints its medians; `CXX` names another compiler than c++.
"""

from __future__ import annotations

import numpy as np

from benchmarks.contender import Case, Contender, main
from benchmarks.rivals.hand_built import CAMERA, aligned, bind, load, version
from benchmarks.scenes import HEIGHT, ISSUE_SPHERE, WIDTH, deviation, reference

VARIANTS = {"full": "branch-free, every pixel", "bounded": "column span per row, memset elsewhere"}


def check(planes: np.ndarray) -> float:
    """The value against the reference, the columns against central differences of the reference's value."""
    right = reference(ISSUE_SPHERE)
    worst = deviation(planes[0], right.value, right.compare)
    step = 1e-4
    for k in range(4):
        shift = np.zeros(4)
        shift[k] = step
        column = (reference(ISSUE_SPHERE + shift).value - reference(ISSUE_SPHERE - shift).value) / (2 * step)
        worst = max(worst, deviation(planes[1 + k], column, right.compare))
    return worst


def build(_: dict[str, str]) -> Contender:
    """Cases `full` and `bounded`: value and 4 columns into a preallocated array."""
    out = aligned((5, HEIGHT, WIDTH))
    thetas = [(ISSUE_SPHERE + 1e-3 * k).astype(np.float32) for k in range(2)]
    cases, deviations = {}, {}
    library = load("hand_derived")
    for variant, note in VARIANTS.items():
        calls = [bind(library, f"hand_derived_{variant}", (theta, *CAMERA, out)) for theta in thetas]
        out.fill(np.nan)
        calls[0]()
        deviations[variant] = check(out)
        if deviations[variant] > 1e-3:
            raise RuntimeError(f"hand_derived_{variant} is wrong by {deviations[variant]:.1e}")
        cases[variant] = Case(lambda k, calls=calls: calls[k % 2](), note=note)
    return Contender(cases, version(), deviations)


if __name__ == "__main__":
    main(build)
