"""How exact boundaries are, beside the bars of the project's issue: python -m benchmarks.accuracy [--markdown]

Nothing here is timed: the numbers are the same on a busy machine. Scenes and oracles are those of tests/.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import boundary_cases as cases
import test_boundary_coverage as shown_by
from renderer_cases import ball_mesh, pose
from test_boundary_consistency import channels_of, remainders, without_worst

import diffrt_aot as dr
from benchmarks.scenes import ISSUE_SPHERE

BOTH = ("reference", "device")


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


def largest(left: np.ndarray) -> float:
    """Of the four parameters' errors."""
    return float(np.abs(left).max())


def issue_scene() -> Iterable[Row]:
    """Plain Gauss-Newton from 0.1 off."""
    what = "issue's scene, Gauss-Newton from +0.1: largest error after each step"

    def walk(left: list[np.ndarray]) -> str:
        worst = ", ".join(f"{error:.1e}" if error < 0.1 else f"{error:.3g}" for error in map(largest, left[1:]))
        return worst + ("" if len(left) == 9 else ", then no scene any more")

    exact, none = (gauss_newton(boundary) for boundary in ("exact", "none"))
    met = len(exact) == 9 and largest(exact[-1]) <= 1e-3
    yield Row(f"{what}, exact", "1e-3 in 8 steps", "", walk(exact), met)
    yield Row(f"{what}, none", "", "", walk(none))
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


@cache
def mask(by: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) and (H, W, P)."""
    image, J = cases.Rendered(by, shown_by.SHOWN[name], ["mask"]).jacobian()
    return image[..., 0], J[:, :, 0]


@cache
def integrated_columns(name: str) -> np.ndarray:
    """(H, W, P), central differences."""
    return shown_by.differences(shown_by.SHOWN[name], shown_by.integrated)


def value_error(by: str, name: str) -> float:
    """Of the coverage of a pixel."""
    return float(np.abs(mask(by, name)[0] - shown_by.integrated(shown_by.SHOWN[name].world())).max())


def column_error(by: str, name: str) -> float:
    """Of an entry, relative to the largest of its block."""
    expected = integrated_columns(name)
    error = np.abs(mask(by, name)[1] - expected).max(axis=(0, 1))
    return float((error / cases.block_sizes(shown_by.SHOWN[name], expected)).max())


def area_error(by: str, name: str) -> float:
    """Of the sum of a column, relative to the derivative of the area or, if it is more, to the terms that cancel."""
    shown, J = shown_by.SHOWN[name], mask(by, name)[1]
    expected = shown_by.differences(shown, lambda world: np.array(shown_by.area(world)))
    terms = cases.block_sizes(shown, np.abs(J).sum(axis=(0, 1))[None])
    return float((np.abs(J.sum(axis=(0, 1)) - expected) / np.maximum(np.abs(expected), terms)).max())


def gauge_error(by: str, name: str) -> float:
    """What scaling about the camera does to a mask, over the largest of the columns that cancel."""
    direction, J = shown_by.scaling(shown_by.SHOWN[name]), mask(by, name)[1]
    norms = np.linalg.norm(J.reshape(-1, J.shape[-1]), axis=0) * np.abs(direction)
    return float(np.linalg.norm(J @ direction) / norms.max())


def closed_forms() -> Iterable[Row]:
    """The mask and its columns against coverage that is integrated exactly, and what follows from it."""
    every = shown_by.SHOWN
    inside = [name for name, shown in every.items() if shown_by.wholly_seen(shown.world())]
    scalable = [name for name, shown in every.items() if shown.free[0].endswith((".vertices", ".center"))]
    checks: list[tuple[str, Callable[[str, str], float], Iterable[str], dict[str, float]]] = [
        ("mask, against integrated coverage", value_error, every, {}),
        ("mask's columns, against central differences of it", column_error, every, {"reference": 1e-5, "device": 2e-3}),
        ("sums of the mask's columns, against d(area)", area_error, inside, dict.fromkeys(BOTH, 1e-4)),
        ("mask's J times the scale gauge, over the column norms", gauge_error, scalable, dict.fromkeys(BOTH, 1e-4)),
    ]
    for kind in ("sphere", "mesh"):
        for what, error, names, bars in checks:
            chosen = [name for name in names if name.startswith(kind)]
            found = {by: max(error(by, name) for name in chosen) for by in BOTH}
            met = all(found[by] <= bars[by] for by in BOTH) if bars else None
            bar = "; ".join(dict.fromkeys(f"{limit:.0e}".replace("e-0", "e-") for limit in bars.values()))
            cells = (f"{found[by]:.1e}" for by in BOTH)
            yield Row(f"{kind}, {len(chosen)} scenes: {what}", bar, *cells, met)


def taylor(directions: int = 3) -> Row:
    """Slopes from octave to octave, edges moving by 1/500 px and less: every shape and output.

    Where a corner passes a side of a pixel there is no second derivative: of each scene as few pixels are left out as
    bring its slopes within the bar, and they are counted.
    """
    steps = 2e-3 * 0.5 ** np.arange(5)
    found, excluded, crossed = [], 0, 0
    for name, shown in cases.VIEWS.items():
        outputs = cases.outputs_of(name)
        edge = int(cases.crossed_of(name).sum())
        for seed in range(directions):
            pixels = remainders(cases.Rendered("reference", shown, outputs), shown.direction(seed), steps)
            for count in range(edge):
                slopes = [
                    s for k, output in enumerate(channels_of(outputs)) for s in slopes_of(pixels, k, output, count)
                ]
                if np.abs(np.array(slopes) - 2.0).max() <= 0.05:
                    break
            found, excluded, crossed = found + slopes, excluded + count, crossed + edge
    what = f"Taylor remainder of render(): slopes over 4 octaves, {len(cases.VIEWS)} scenes, {directions} directions, "
    what += f"all outputs; left out: {excluded} of {crossed} crossed pixels"
    met = bool(np.abs(np.array(found) - 2.0).max() <= 0.05) and excluded < 0.01 * crossed
    return Row(what, "2 +- 0.05; < 1%", f"{min(found):.3f} to {max(found):.3f}", "", met)


def slopes_of(pixels: np.ndarray, channel: int, output: str, count: int) -> list[float]:
    """Of one channel's norms without the worst pixels; none of a mask that stays as it is."""
    norms = np.linalg.norm(without_worst(pixels[..., channel], count), axis=1)
    if output == "mask" and norms[0] < 1e-12:  # another object is all around, or the edge of nothing
        return []
    return [float(s) for s in -np.diff(np.log2(norms))]


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
    orders = -np.diff(np.log2(errors), axis=0).mean(axis=0)
    bars = {"mask's columns": 1, "distance's columns": 1, "sums over the mask's columns": 2}
    for (what, bar), order, error in zip(bars.items(), orders, np.transpose(errors), strict=True):
        text = f"{order:.2f} ({', '.join(f'{e:.1e}' for e in error)})"
        what = f"icospheres of 320 to {20 * 4**finest:,} faces against a sphere, {what}: order (relative errors)"
        yield Row(what, f"about {bar}" if bar > 1 else f">= {bar}", "", text, bool(order >= bar - 0.25))


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
