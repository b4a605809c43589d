"""Normal equations of spheres by hand in C++: the issue's scene in one pass, 100 spheres in three.

python -m benchmarks.rivals.hand_sums scene=issue|hundred
"""

from __future__ import annotations

import numpy as np

from benchmarks import scenes
from benchmarks.contender import Case, Contender, main
from benchmarks.rivals.hand_built import CAMERA, aligned, bind, load, version

TOLERANCE = 5e-3
LOWER = np.tril_indices(4)


def symmetric(lower: np.ndarray) -> np.ndarray:
    """(n, 10), lower triangles by rows, as (n, 4, 4)."""
    H = np.zeros((len(lower), 4, 4))
    H[:, LOWER[0], LOWER[1]] = H[:, LOWER[1], LOWER[0]] = lower
    return H


def checked(out: np.ndarray, spheres: np.ndarray, observed: np.ndarray) -> float:
    """How far cost, J'r and J'J are from the reference's."""
    blocks = out[1:].reshape(-1, 14)
    right = scenes.sums(spheres, observed)
    found = scenes.sums_deviation(out[0], blocks[:, :4], symmetric(blocks[:, 4:]), right)
    if found > TOLERANCE:
        raise RuntimeError(f"the hand-written sums are wrong by {found:.1e}")
    return found


def build_issue() -> Contender:
    """Case `normal_equations`: everything in one pass over the pixels."""
    thetas = [(scenes.ISSUE_SPHERE + 1e-4 * k).astype(np.float32) for k in range(2)]
    spheres = thetas[0].astype(np.float64)[None]
    observed = aligned((scenes.HEIGHT, scenes.WIDTH))
    observed[:] = scenes.noisy(scenes.reference(spheres).value)
    out = np.zeros(15)
    library = load("hand_sphere_sums")
    calls = [bind(library, "hand_sphere_sums", (theta, *CAMERA, observed, out)) for theta in thetas]
    calls[0]()
    deviations = {"normal_equations": checked(out, spheres, observed)}
    cases = {"normal_equations": Case(lambda k: calls[k % 2](), note="one pass, column span per row")}
    return Contender(cases, version(), deviations)


def build_hundred() -> Contender:
    """Cases `render` and `normal_equations`, the blocks of the diagonal, which are all that is not zero."""
    thetas = [(scenes.hundred_spheres() + 1e-4 * k).astype(np.float32) for k in range(2)]
    spheres = thetas[0].astype(np.float64)
    right = scenes.reference(spheres)
    observed, image = aligned((scenes.HEIGHT, scenes.WIDTH)), aligned((scenes.HEIGHT, scenes.WIDTH))
    observed[:] = scenes.noisy(right.value)
    out = np.zeros(1 + 14 * len(spheres))
    library = load("hand_spheres_sums")
    sums = [bind(library, "hand_spheres_sums", (t, len(t), *CAMERA, observed, out)) for t in thetas]
    values = [bind(library, "hand_spheres_value", (t, len(t), *CAMERA, image)) for t in thetas]
    sums[0]()
    values[0]()
    deviations = {
        "normal_equations": checked(out, spheres, observed),
        "render": scenes.deviation(image, right.value, right.compare),
    }
    if deviations["render"] > 1e-3:
        raise RuntimeError(f"the hand-written image is wrong by {deviations['render']:.1e}")
    cases = {
        "normal_equations": Case(lambda k: sums[k % 2](), note="column spans; sums of 4x4 blocks, nothing assembled"),
        "render": Case(lambda k: values[k % 2]()),
    }
    return Contender(cases, version(), deviations)


def build(options: dict[str, str]) -> Contender:
    """The scene that the command line names."""
    return {"issue": build_issue, "hundred": build_hundred}[options.get("scene", "issue")]()


if __name__ == "__main__":
    main(build)
