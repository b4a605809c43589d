"""How exact boundaries are, beside the bars of the project's issue: python -m benchmarks.accuracy [--markdown]

Nothing here is timed: the numbers are the same on a busy machine. Scenes and oracles are those of tests/.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import boundary_cases as cases
import test_boundary_coverage as shown_by
from renderer_cases import ball_mesh, pose
from test_boundary_consistency import EXCLUDED, channels_of, remainders, without_worst

import diffrt_aot as dr
from benchmarks.scenes import ISSUE_SPHERE

BOTH = ("reference", "device")
SPHERES, MESHES = "sphere", "mesh"


@dataclass(frozen=True)
class Row:
    """A line of the table; without a bar `met` is None."""

    what: str
    bar: str
    reference: str
    device: str
    met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        met = "" if self.met is None else "yes" if self.met else "NO"
        return self.what, self.bar, self.reference, self.device, met


def pair(found: dict[str, float]) -> tuple[str, str]:
    """As cells."""
    return f"{found['reference']:.1e}", f"{found['device']:.1e}"


def gauss_newton(boundary: str, steps: int = 8) -> list[np.ndarray]:
    """What is left to the truth before and after each full step, until the scene is none any more."""
    camera = dr.PinholeCamera(width=640, height=480, fx=400, fy=400, cx=320, cy=240)

    def at(theta: np.ndarray) -> dr.Renderer:
        scene = dr.Scene(camera, {"ball": dr.Sphere(center=theta[1:], radius=theta[0])})
        free = ["ball.radius", "ball.center"]
        return dr.Renderer(scene, free=free, output="distance", background=0.0, boundary=boundary)

    observed, renderer = at(ISSUE_SPHERE).render(), at(ISSUE_SPHERE + 0.1)
    thetas = [renderer.theta0]
    try:
        for _ in range(steps):
            equations = renderer.normal_equations(thetas[-1], observed)
            thetas.append(thetas[-1] - np.linalg.solve(equations.H, equations.g))
    except (dr.InvalidValueError, np.linalg.LinAlgError):  # a radius below zero, or a sphere out of sight
        pass
    return [theta - ISSUE_SPHERE for theta in thetas]


def issue_scene() -> Iterable[Row]:
    """Plain Gauss-Newton from 0.1 off."""
    what = "issue's scene, Gauss-Newton from +0.1: largest error after each step"
    exact, none = (gauss_newton(boundary) for boundary in ("exact", "none"))
    worst = [float(np.abs(left).max()) for left in exact]
    met = len(worst) == 9 and worst[-1] <= 1e-3
    yield Row(f"{what}, exact", "1e-3 in 8 steps", "", ", ".join(f"{w:.1e}" for w in worst[1:]), met)
    yield Row(f"{what}, none", "", "", ", ".join(f"{np.abs(left).max():.2g}" for left in none[1:]) or "none")
    deltas = ", ".join(f"{d:.2f}" for d in none[0] - none[1])
    yield Row("the same, none: what the first step takes for (0.1, 0.1, 0.1, 0.1)", "", "", f"({deltas})")


def far_mask() -> Row:
    """Discs of 16, 25 and 40 px, from 15 px away in 6 directions, the radius known or free."""
    camera = dr.PinholeCamera(160, 120, 200, 200, 79.5, 59.5)
    z, arrived, errors = 200.0, [], []  # a unit is a pixel there
    for radius, angle in ((r, a) for r in (16, 25, 40) for a in np.radians(range(0, 360, 60))):
        for free in (["ball.center"], ["ball.center", "ball.radius"]):
            truth = np.array([3.3, -2.2])
            scene = dr.Scene(camera, {"ball": dr.Sphere((*truth, z), radius)})
            away = truth + 15.0 * np.array([np.cos(angle), np.sin(angle)])
            start = scene.replace(ball=dr.Sphere((*away, z), radius))
            steps: list[float] = []

            def note(record: dr.StepRecord, truth: np.ndarray = truth, steps: list[float] = steps) -> None:
                if record.level == 0 and np.abs(record.theta[:2] - truth).max() < 0.01:
                    steps.append(record.step)

            observed = dr.Renderer(scene, output="mask").render()
            bounds = {"ball.center": ([-np.inf, -np.inf, z], [np.inf, np.inf, z])}
            fit = dr.fit(dr.Renderer(start, free, "mask"), observed, levels=3, bounds=bounds, callback=note)
            arrived.append(min(steps, default=np.inf))
            errors.append(np.abs(fit.theta[:2] - truth).max())
    found = f"{min(arrived):.0f} to {max(arrived):.0f} steps, then {max(errors):.0e} px"
    what = f"mask alone, 15 px off, 3 levels: steps to 0.01 px, and the error at the end; worst of {len(errors)} starts"
    return Row(what, "12 steps", "", found, max(arrived) <= 12 and max(errors) <= 0.01)


def worst(kind: str, error: Callable[[str, cases.View], float], wanted: Sequence[str]) -> dict[str, float]:
    """By implementation, over the scenes of a kind that are wanted."""
    names = [name for name in wanted if name.startswith(kind)]
    return {by: max(error(by, shown_by.SHOWN[name]) for name in names) for by in BOTH}


def closed_forms() -> Iterable[Row]:
    """The mask and its columns against coverage that is integrated exactly, and what follows from it."""
    masks: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]] = {}

    def mask(by: str, shown: cases.View) -> tuple[np.ndarray, np.ndarray]:
        if (by, id(shown)) not in masks:
            image, J = cases.Rendered(by, shown, ["mask"]).jacobian()
            masks[by, id(shown)] = image[..., 0], J[:, :, 0]
        return masks[by, id(shown)]

    integrated = {id(shown): shown_by.differences(shown, shown_by.integrated) for shown in shown_by.SHOWN.values()}

    def value(by: str, shown: cases.View) -> float:
        return float(np.abs(mask(by, shown)[0] - shown_by.integrated(shown.world())).max())

    def column(by: str, shown: cases.View) -> float:
        expected = integrated[id(shown)]
        error = np.abs(mask(by, shown)[1] - expected).max(axis=(0, 1))
        return float((error / cases.block_sizes(shown, expected)).max())

    def area(by: str, shown: cases.View) -> float:
        expected = shown_by.differences(shown, lambda world: np.array(shown_by.area(world)))
        _, J = mask(by, shown)
        terms = cases.block_sizes(shown, np.abs(J).sum(axis=(0, 1))[None])
        return float((np.abs(J.sum(axis=(0, 1)) - expected) / np.maximum(np.abs(expected), terms)).max())

    def gauge(by: str, shown: cases.View) -> float:
        direction, (_, J) = shown_by.scaling(shown), mask(by, shown)
        norms = np.linalg.norm(J.reshape(-1, J.shape[-1]), axis=0) * np.abs(direction)
        return float(np.linalg.norm(J @ direction) / norms.max())

    every = list(shown_by.SHOWN)
    inside = [name for name in every if shown_by.wholly_seen(shown_by.SHOWN[name].world())]
    scalable = [name for name in every if shown_by.SHOWN[name].free[0].endswith((".vertices", ".center"))]
    for kind in (SPHERES, MESHES):
        count = sum(name.startswith(kind) for name in every)
        found = worst(kind, value, every)
        yield Row(f"{kind}, {count} scenes: mask, against integrated coverage", "", *pair(found))
        found = worst(kind, column, every)
        met = found["reference"] <= 1e-5 and found["device"] <= 2e-3
        yield Row(f"{kind}: columns, against its central differences, relative", "1e-5; 2e-3", *pair(found), met)
        found = worst(kind, area, inside)
        what = f"{kind}: sum of a mask's column, against d(area) in closed form, relative"
        yield Row(what, "1e-4", *pair(found), max(found.values()) <= 1e-4)
        found = worst(kind, gauge, scalable)
        what = f"{kind}: J times the scale gauge on a mask, over the column norms"
        yield Row(what, "1e-4", *pair(found), max(found.values()) <= 1e-4)


def taylor(directions: int = 3) -> Row:
    """Slopes between octaves, edges moving by 1/500 to 1/8000 px: every shape and output."""
    steps = 2e-3 * 0.5 ** np.arange(5)
    slopes, excluded, crossed = [], 0, 0
    for name, shown in cases.VIEWS.items():
        outputs = cases.outputs_of(name)
        for seed in range(directions):
            pixels = remainders(cases.Rendered("reference", shown, outputs), shown.direction(seed), steps)
            edge = int(cases.crossed_of(name).sum())
            count = int(np.ceil(EXCLUDED * edge))
            excluded, crossed = excluded + count, crossed + edge
            for channel, output in enumerate(channels_of(outputs)):
                norms = np.linalg.norm(without_worst(pixels[..., channel], count), axis=1)
                if output != "mask" or norms[0] > 1e-12:  # another object may be all around
                    slopes.append(-np.diff(np.log2(norms)))
    found = f"{np.min(slopes):.3f} to {np.max(slopes):.3f}"
    what = f"Taylor remainder of render(): slopes over 4 octaves, {len(cases.VIEWS)} scenes, {directions} directions, "
    what += f"all outputs; {excluded} of {crossed} crossed pixels left out"
    return Row(what, "2 +- 0.05", found, "", bool(np.abs(np.array(slopes) - 2.0).max() <= 0.05))


def icospheres(finest: int = 5) -> Iterable[Row]:
    """A sphere's translation columns against those of meshes with 320 to 20,480 faces."""
    outputs = ["mask", "distance"]
    expected = cases.Rendered("device", cases.view({"ball": cases.BALL}, ["ball.center"]), outputs).jacobian()[1]
    T = pose((0.3, 0.5, 0.2), cases.BALL.center)  # turned: no plane of symmetry holds the camera
    v, u = np.mgrid[0 : cases.CAMERA.height, 0 : cases.CAMERA.width] / 20.0
    weights = np.stack([u, v, u * v, u**2, v**2, np.sin(u + v)])
    sums = np.einsum("wij,ijck->cwk", weights, expected)
    errors = []
    for n in range(2, finest + 1):
        ball = dr.Mesh(*ball_mesh(n, cases.BALL.radius), T)
        J = cases.Rendered("device", cases.view({"ball": ball}, ["ball.pose"]), outputs).jacobian()[1]
        J = J[..., :3] @ T[:3, :3].T
        found = [np.linalg.norm((J - expected)[:, :, k]) / np.linalg.norm(expected[:, :, k]) for k in (0, 1)]
        summed = np.einsum("wij,ijck->cwk", weights, J)[0]
        errors.append([*found, np.linalg.norm(summed - sums[0]) / np.linalg.norm(sums[0])])
    bars = {"mask's columns": 1.0, "distance's columns": 1.0, "sums over the mask's columns": 2.0}
    orders = -np.diff(np.log2(errors), axis=0).mean(axis=0)
    for what, order, error, expected_order in zip(bars, orders, np.transpose(errors), bars.values(), strict=True):
        text = f"{order:.2f} ({', '.join(f'{e:.1e}' for e in error)})"
        what = f"icospheres of 320 to {20 * 4**finest:,} faces, {what}: order (relative errors)"
        yield Row(what, f"{expected_order:.0f}", "", text, bool(order >= expected_order - 0.3))


def rows() -> list[Row]:
    """All of them."""
    return [*issue_scene(), far_mask(), *closed_forms(), taylor(), *icospheres()]


def main() -> int:
    """Status 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", action="store_true", help="print Markdown instead of columns")
    markdown = parser.parse_args().markdown
    found = rows()
    table = [("what", "bar", "reference (float64)", "device (float32)", "met"), *(row.cells() for row in found)]
    if markdown:
        table.insert(1, ("---",) * len(table[0]))
        print("\n".join("| " + " | ".join(cells) + " |" for cells in table))
    else:
        widths = [max(len(cells[k]) for cells in table) for k in range(len(table[0]))]
        print("\n".join("  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)).rstrip() for cells in table))
    return int(any(row.met is False for row in found))


if __name__ == "__main__":
    sys.exit(main())
