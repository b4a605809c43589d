"""`diffrt-aot demo`: one sphere, moved a little and found again.

640x480 pixels, focal length 400, a sphere of radius 10 at (10, 10, 100); the image is the distance along each
ray.
The fit starts 0.1 off in the radius and in each coordinate of the centre, and compares the pixels inside
the sphere: at its silhouette the image jumps, and the derivative of the interior says nothing about that.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

import diffrt_aot as dr
from diffrt_aot.errors import MissingDependencyError
from diffrt_aot.pictures import fit_overview, save_figure
from diffrt_aot.scene import free_labels

from ._progress import Progress

NAME = "demo"

FREE = ("ball.radius", "ball.center")
OFFSET = 0.1
_RECOVERED = 1e-3  # the largest error that still counts as found
_SILHOUETTE = 2  # pixels that are left out inside the silhouette
_REPEATS = 20

Result = TypeVar("Result")


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        NAME,
        help="render a sphere, move it, and fit it back",
        description="Render a sphere, perturb its centre and radius, fit them back, and draw what happened.",
    )
    parser.add_argument(
        "--output-dir",
        type=Path,
        default=Path("."),
        metavar="DIR",
        help="where demo.png goes (default: here)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.set_defaults(run=run)


def scene_with(center: npt.ArrayLike, radius: float) -> dr.Scene:
    """Return the demo's scene: its camera, and one sphere called ball."""
    camera = dr.PinholeCamera(width=640, height=480, fx=400, fy=400, cx=320, cy=240)
    return dr.Scene(camera, {"ball": dr.Sphere(center=center, radius=radius)})


def run(arguments: argparse.Namespace) -> int:
    """Run the demo."""
    truth = scene_with((10.0, 10.0, 100.0), 10.0)
    start = scene_with((10.0 + OFFSET, 10.0 + OFFSET, 100.0 + OFFSET), 10.0 + OFFSET)
    options: dict[str, Any] = {"output": "distance", "background": None, "boundary": "none"}
    observed = without_silhouette(dr.Renderer(truth, free=FREE, **options).render(), _SILHOUETTE)

    timings: list[tuple[str, float]] = []
    renderer = _timed(timings, "prepare the renderer", lambda: dr.Renderer(start, free=FREE, **options))
    before = _timed(timings, "first image", renderer.render)
    _, jacobian = _timed(timings, "first image and Jacobian", lambda: renderer.jacobian(renderer.theta0))
    timings.append(("an image, from then on", _median_seconds(renderer.render)))
    timings.append(("an image and its Jacobian", _median_seconds(lambda: renderer.jacobian(renderer.theta0))))
    progress = Progress(quiet=arguments.quiet)
    progress.stage(f"fit: {int(np.isfinite(observed).sum())} pixels, {len(renderer.theta0)} parameters")
    result = _timed(timings, "fit", lambda: dr.fit(renderer, observed, callback=progress))
    timings[-1] = (f"fit, {result.steps} steps", timings[-1][1])

    labels = free_labels(truth, FREE)
    expected = np.array([truth.shapes["ball"].radius, *truth.shapes["ball"].center])  # type: ignore[union-attr]
    errors = np.abs(result.theta - expected)
    print(f"{result.status.name}: {result.status}\n")
    print(f"{'parameter':15} {'start':>10} {'fitted':>12} {'true':>8} {'error':>9}")
    for label, first, last, true, error in zip(labels, renderer.theta0, result.theta, expected, errors, strict=True):
        print(f"{label:15} {first:10.4f} {last:12.7f} {true:8.4f} {error:9.1e}")
    print()
    for what, seconds in timings:
        print(f"{what:26} {1e3 * seconds:9.2f} ms")

    columns = jacobian.dense().reshape(*observed.shape, len(labels)).copy()
    columns[np.isnan(before)] = np.nan
    after = renderer.render(result.theta)
    _draw(arguments.output_dir / "demo.png", observed, before, after, columns, labels)
    if result.status.name.lower() == "interrupted":
        return 130
    if not errors.max() < _RECOVERED:
        print(f"the fit did not recover the sphere: the largest error is {errors.max():.2g}")
        return 1
    return 0


def without_silhouette(image: npt.NDArray[Any], pixels: int) -> npt.NDArray[Any]:
    """Return `image` with NaN also where one of the `pixels` next neighbours in a row or column is NaN."""
    inside = np.isfinite(image)
    for _ in range(pixels):
        padded = np.pad(inside, 1)
        inside = inside & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.where(inside, image, np.nan).astype(image.dtype)


def _draw(path: Path, *content: Any) -> None:
    try:
        figure = fit_overview(*content, quantity="distance [scene units]")
    except MissingDependencyError as error:
        print(f"\nno picture: {error}")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure, path)
    print(f"\nwrote {path}")


def _timed(timings: list[tuple[str, float]], what: str, work: Callable[[], Result]) -> Result:
    begin = time.perf_counter()
    result = work()
    timings.append((what, time.perf_counter() - begin))
    return result


def _median_seconds(work: Callable[[], object]) -> float:
    timings: list[tuple[str, float]] = []
    for _ in range(_REPEATS):
        _timed(timings, "", work)
    return statistics.median(seconds for _, seconds in timings)
