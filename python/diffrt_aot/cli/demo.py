"""`diffrt-aot demo`: one sphere, moved a little and found again.

640x480 pixels, focal length 400, a sphere of radius 10 at (10, 10, 100); the image is the distance along each
ray, and 0 beside the sphere.

The start is 0.1 off in the radius and in each coordinate of the centre. Plain Gauss-Newton goes from there twice: by
the derivative of the interior alone, which says nothing of the jump by 95 at the silhouette, and by the exact one.
Each is given the image that its own renderer makes of the true sphere.
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
from diffrt_aot.errors import InvalidValueError, MissingDependencyError
from diffrt_aot.pictures import fit_overview, save_figure
from diffrt_aot.scene import free_labels

from ._device import add_device, device_argument
from ._progress import Progress

NAME = "demo"

FREE = ("ball.radius", "ball.center")
OFFSET = 0.1
_RECOVERED = 1e-3  # the largest error that still counts as found
_STEPS = 8  # of Gauss-Newton, at most
_REPEATS = 20

Result = TypeVar("Result")
FloatArray = npt.NDArray[np.float64]


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        NAME,
        help="render a sphere, move it, and fit it back",
        description="Render a sphere, perturb its centre and radius, fit them back by Gauss-Newton, without and with "
        "the motion of its silhouette, and draw what happened.",
    )
    parser.add_argument(
        "--output-dir",
        type=Path,
        default=Path("."),
        metavar="DIR",
        help="where demo.png goes (default: here)",
    )
    add_device(parser)
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
    options: dict[str, Any] = {"output": "distance", "background": 0.0} | device_argument(arguments)
    expected = dr.Renderer(truth, free=FREE, **options).theta0
    observed = dr.Renderer(truth, **options).render()

    timings: list[tuple[str, float]] = []
    renderer = _timed(timings, "prepare the renderer", lambda: dr.Renderer(start, free=FREE, **options))
    before = _timed(timings, "first image", renderer.render)
    _, jacobian = _timed(timings, "first image and Jacobian", lambda: renderer.jacobian(renderer.theta0))
    timings.append(("an image, from then on", _median_seconds(renderer.render)))
    timings.append(("an image and its Jacobian", _median_seconds(lambda: renderer.jacobian(renderer.theta0))))
    progress = Progress(quiet=arguments.quiet)
    progress.stage(f"fit: {observed.size} pixels, {len(renderer.theta0)} parameters")
    result = _timed(
        timings, "fit", lambda: dr.fit(renderer, observed, method="gauss-newton", max_steps=_STEPS, callback=progress)
    )
    timings[-1] = (f"fit, {result.steps} steps", timings[-1][1])

    labels = free_labels(truth, FREE)
    errors = np.abs(result.theta - expected)
    print(f"{result.status.name}: {result.status}\n")
    print(f"{'parameter':15} {'start':>10} {'fitted':>12} {'true':>8} {'error':>9}")
    for label, first, last, true, error in zip(labels, renderer.theta0, result.theta, expected, errors, strict=True):
        print(f"{label:15} {first:10.4f} {last:12.7f} {true:8.4f} {error:9.1e}")
    print()
    for what, seconds in timings:
        print(f"{what:26} {1e3 * seconds:9.2f} ms")

    interior = dr.Renderer(start, free=FREE, boundary="none", **options)
    observed_at_centres = dr.Renderer(truth, boundary="none", **options).render()
    wrong = gauss_newton(interior, observed_at_centres, expected)
    right = gauss_newton(renderer, observed, expected)
    _print_steps(labels, renderer.theta0, expected, wrong, right)

    residuals = {
        "residual at the start": before - observed,
        "interior only, after 1 step": interior.render(wrong[0]) - observed_at_centres,
        f"exact, after {_steps(len(right))}": renderer.render(right[-1]) - observed,
    }
    _draw(arguments.output_dir / "demo.png", observed, residuals, jacobian.dense(), labels)
    if result.status.name.lower() == "interrupted":
        return 130
    if not errors.max() < _RECOVERED:
        print(f"the fit did not recover the sphere: the largest error is {errors.max():.2g}")
        return 1
    return 0


def gauss_newton(renderer: dr.Renderer, observed: npt.NDArray[Any], truth: FloatArray) -> list[FloatArray]:
    """Return theta after each full step, until it is found or is no scene any more; the first is always there."""
    theta, steps = renderer.theta0, list[FloatArray]()
    try:
        while len(steps) < _STEPS and not (steps and np.abs(theta - truth).max() < _RECOVERED):
            equations = renderer.normal_equations(theta, observed)
            theta = theta - np.linalg.solve(equations.H, equations.g)
            steps.append(theta)
    except (InvalidValueError, np.linalg.LinAlgError):  # a radius below zero, or a sphere out of sight
        pass
    return steps


def _print_steps(
    labels: list[str], theta0: FloatArray, truth: FloatArray, wrong: list[FloatArray], right: list[FloatArray]
) -> None:
    """Print what plain Gauss-Newton says is the offset, step by step, without and with silhouettes."""
    names = "".join(f"{label.split('.', 1)[1].removeprefix('center.'):>9}" for label in labels)
    width = len(names)
    print(f"\nplain Gauss-Newton, start - theta after each step; {OFFSET} is right in each column")
    print(f"{'':4} {'interior only':^{width}}    {'exact, with silhouettes':^{width}}")
    print(f"step {names}    {names}")
    for k in range(max(len(wrong), len(right))):
        cells = ["".join(f"{x:9.4f}" for x in theta0 - t[k]) if k < len(t) else "" for t in (wrong, right)]
        print(f"{k + 1:4d} {cells[0]:{width}}    {cells[1]}".rstrip())
    print(f"interior only: {_outcome(wrong, truth)}; exact: {_outcome(right, truth)}")


def _outcome(steps: list[FloatArray], truth: FloatArray) -> str:
    theta = steps[-1]
    if not theta[0] > _RECOVERED:
        return f"no sphere is left after {_steps(len(steps))}"
    return f"off by {np.abs(theta - truth).max():.1e} after {_steps(len(steps))}"


def _steps(count: int) -> str:
    return f"{count} step" + "s" * (count != 1)


def _draw(
    path: Path,
    observed: npt.NDArray[Any],
    residuals: dict[str, npt.NDArray[Any]],
    columns: npt.NDArray[Any],
    labels: list[str],
) -> None:
    """Write the picture; what shows no sphere, neither true nor rendered, is left grey."""
    image = np.where(observed == 0.0, np.nan, observed)
    residuals = {
        title: np.where(values == 0.0, np.where(observed == 0.0, np.nan, 0.0), values)
        for title, values in residuals.items()
    }
    columns = np.where((columns == 0.0).all(axis=2, keepdims=True), np.nan, columns)
    try:
        figure = fit_overview(image, residuals, columns, labels, quantity="distance [scene units]", limit=3.0 * OFFSET)
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
