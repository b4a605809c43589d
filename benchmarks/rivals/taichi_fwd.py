"""Taichi's own forward AD: ti.ad.FwdMode, one launch per parameter, compiled just in time.

python -m benchmarks.rivals.taichi_fwd [scene=issue|hundred]
The 100 spheres are measured on 8 of the 400 parameters and extrapolated.
"""

from collections.abc import Callable

import numpy as np
import taichi as ti

from benchmarks.contender import Case, Contender, main
from benchmarks.scenes import (
    CX,
    CY,
    FOCAL,
    HEIGHT,
    ISSUE_SPHERE,
    WIDTH,
    deviation,
    hundred_spheres,
    reference,
)

MISS = 1e30
SAMPLE = [4 * k + k % 4 for k in range(0, 96, 12)]  # the parameters measured on the 100 spheres


@ti.data_oriented
class Scene:
    """Fields theta (4 n), image and seen, and the kernels; each says whether forward AD goes through it."""

    def __init__(self, spheres: np.ndarray) -> None:
        self.count = len(spheres)
        self.theta = ti.field(ti.f32, shape=spheres.size, needs_dual=True)
        self.image = ti.field(ti.f32, shape=(HEIGHT, WIDTH), needs_dual=True)
        self.seen = ti.field(ti.i32, shape=(HEIGHT, WIDTH))
        self.theta.from_numpy(spheres.reshape(-1).astype(np.float32))

    @ti.func
    def hit(self, k, i, j):  # type: ignore[no-untyped-def]
        """Distance to sphere k on pixel (i, j)'s ray, or MISS. In scalars: FwdMode fails on ti.Vector."""
        x = (i - CX) / FOCAL
        y = (j - CY) / FOCAL
        dz = 1.0 / ti.sqrt(x * x + y * y + 1.0)
        dx = x * dz
        dy = y * dz
        r, cx, cy, cz = self.theta[4 * k], self.theta[4 * k + 1], self.theta[4 * k + 2], self.theta[4 * k + 3]
        b = dx * cx + dy * cy + dz * cz
        mx = cx - b * dx
        my = cy - b * dy
        mz = cz - b * dz
        squared = r * r - (mx * mx + my * my + mz * mz)
        there = squared > 0.0
        return ti.select(there, b - ti.sqrt(ti.select(there, squared, 1.0)), MISS)

    @ti.kernel
    def render(self):  # type: ignore[no-untyped-def]
        """As one would write it, forward AD through all of it: the least distance of all spheres."""
        for j, i in self.image:
            nearest = MISS
            for k in range(self.count):
                nearest = ti.min(nearest, self.hit(k, i, j))
            self.image[j, i] = ti.select(nearest < MISS, nearest, 0.0)

    @ti.kernel
    def find(self):  # type: ignore[no-untyped-def]
        """Which sphere each pixel sees: once for all parameters, if one splits the kernel by hand."""
        for j, i in self.seen:
            nearest = MISS
            best = -1
            for k in range(self.count):
                t = self.hit(k, i, j)
                if t < nearest:
                    nearest = t
                    best = k
            self.seen[j, i] = best

    @ti.kernel
    def evaluate(self):  # type: ignore[no-untyped-def]
        """The distance to the sphere found, forward AD through this alone."""
        for j, i in self.image:
            k = self.seen[j, i]
            t = self.hit(ti.max(k, 0), i, j)
            self.image[j, i] = ti.select(k >= 0, t, 0.0)


def build(options: dict[str, str]) -> Contender:
    """Cases `jacobian` (launches alone), `with copies` (columns taken to NumPy), `split` (see `find`)."""
    ti.init(arch=ti.cpu, default_fp=ti.f32, offline_cache=False, log_level=ti.ERROR)
    hundred = options.get("scene") == "hundred"
    spheres = hundred_spheres() if hundred else ISSUE_SPHERE[None]
    sample = SAMPLE if hundred else list(range(4))
    scene = Scene(spheres)
    out = np.zeros((1 + len(sample), HEIGHT, WIDTH), np.float32)
    seeds = [[float(p == q) for p in range(spheres.size)] for q in sample]

    def columns(kernel: Callable[[], None], copy: bool = False) -> None:
        for n, seed in enumerate(seeds):
            with ti.ad.FwdMode(loss=scene.image, param=scene.theta, seed=seed):
                kernel()
            if copy:
                out[1 + n] = scene.image.dual.to_numpy()
        ti.sync()
        if copy:
            out[0] = scene.image.to_numpy()

    def split(copy: bool = False) -> None:
        scene.find()
        columns(scene.evaluate, copy)

    right = reference(spheres)
    expected = np.array([np.where(right.seen == q // 4, right.partials[q % 4], 0.0) for q in sample])
    deviations = {}
    for name, run in {"jacobian": lambda: columns(scene.render, True), "split": lambda: split(True)}.items():
        run()
        deviations[name] = max(
            deviation(out[0], right.value, right.compare), deviation(out[1:], expected, right.compare)
        )
    scale = spheres.size / len(sample)
    note = f"{len(sample)} of {spheres.size} parameters measured, extrapolated" if hundred else ""
    cases = {
        "jacobian": Case(lambda k: columns(scene.render), scale, note),
        "with copies": Case(lambda k: columns(scene.render, True), scale, note),
        "split": Case(lambda k: split(), scale, note),
    }
    return Contender(cases, {"taichi": ".".join(map(str, ti.__version__))}, deviations)


if __name__ == "__main__":
    main(build)
