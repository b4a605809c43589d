"""The product as a contender, through its public Python interface alone.

python -m benchmarks.ours scene=issue|hundred|bottle|tiny|small [boundary=none|exact] [outputs=mask,depth] [data=DIR]
    [device=cpu] [threads=N]
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np

import diffrt_aot as dr
from benchmarks import scenes
from benchmarks.contender import Case, Contender, main


def camera(width: int = scenes.WIDTH, height: int = scenes.HEIGHT) -> dr.PinholeCamera:
    """The issue's camera; its principal point is the middle of the image whatever the size."""
    return dr.PinholeCamera(width=width, height=height, fx=scenes.FOCAL, fy=scenes.FOCAL, cx=width / 2, cy=height / 2)


def spheres_renderer(
    spheres: np.ndarray,
    width: int = scenes.WIDTH,
    height: int = scenes.HEIGHT,
    boundary: str = "none",
    device: str = "cpu",
) -> dr.Renderer:
    """Spheres (n, 4), distance, 0 where they are missed, by radius and centre of all in the order of the array."""
    shapes = {f"s{k}": dr.Sphere(center=row[1:], radius=row[0]) for k, row in enumerate(spheres)}
    free = [f"{name}.{part}" for name in shapes for part in ("radius", "center")]
    scene = dr.Scene(camera(width, height), shapes)
    return dr.Renderer(scene, free=free, output="distance", background=0.0, boundary=boundary, device=device)


# Tolerances of a fit that is to take all its steps.
TO_THE_LAST = {"gradient_tolerance": 0.0, "step_tolerance": 0.0, "cost_tolerance": 0.0}


def variations(theta: np.ndarray, step: float = 1e-4) -> list[np.ndarray]:
    """Two parameter vectors a little apart: repetitions alternate, so nothing can be reused."""
    return [theta, theta + step]


def compared(right: scenes.Reference, boundary: str) -> np.ndarray:
    """(H, W), the pixels whose values are compared; with exact boundaries none that a silhouette may cross."""
    if boundary == "none":
        return right.compare
    padded = np.pad(right.seen, 1, constant_values=-2)  # what is beyond the image is not known
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    return right.compare & (around == right.seen[..., None, None]).all(axis=(2, 3))


def build_issue(boundary: str, device: str) -> Contender:
    """Cases `render`, `jacobian` (value and dense columns), `rows` (not densified) and `normal_equations`.

    On a GPU also `on_device`: `jacobian`, whose results stay there.
    """
    renderer = spheres_renderer(scenes.ISSUE_SPHERE[None], boundary=boundary, device=device)
    thetas = variations(renderer.theta0)
    image, J = renderer.jacobian(thetas[0])
    observed = scenes.noisy(image)
    right = scenes.reference(scenes.ISSUE_SPHERE)
    pixels = compared(right, boundary)
    columns = np.moveaxis(J.dense(), -1, 0)
    deviations = {
        "render": scenes.deviation(renderer.render(thetas[0]), right.value, pixels),
        "jacobian": scenes.deviation(columns, right.partials, pixels),
    }
    if boundary == "none":
        found = renderer.normal_equations(thetas[0], observed)
        sums = scenes.sums(scenes.ISSUE_SPHERE[None], observed)
        deviations["normal_equations"] = scenes.sums_deviation(found.cost, found.g[None], found.H[None], sums)

    def jacobian(k: int) -> tuple[np.ndarray, np.ndarray]:
        image, J = renderer.jacobian(thetas[k % 2])
        return image, J.dense()

    def on_device(k: int) -> tuple[dr.DeviceArray, dr.DeviceArray]:
        image, J = renderer.jacobian(thetas[k % 2], on_device=True)
        return image, J.dense()

    cases = {
        "jacobian": Case(jacobian),
        "render": Case(lambda k: renderer.render(thetas[k % 2])),
        "rows": Case(lambda k: renderer.jacobian(thetas[k % 2])),
        "normal_equations": Case(lambda k: renderer.normal_equations(thetas[k % 2], observed)),
    }
    if device != "cpu":
        cases["on_device"] = Case(on_device)
    return Contender(cases, {"diffrt_aot": dr.__version__}, deviations)


def build_hundred(boundary: str, device: str) -> Contender:
    """Cases `render`, `jacobian` (local rows, not densified) and `normal_equations`, P = 400.

    On CUDA also `on_device`: `normal_equations` of what is observed there.
    """
    spheres = scenes.hundred_spheres()
    renderer = spheres_renderer(spheres, boundary=boundary, device=device)
    thetas = variations(renderer.theta0)
    right = scenes.reference(spheres)
    pixels = compared(right, boundary)
    image, J = renderer.jacobian(thetas[0])
    deviations = {"render": scenes.deviation(image, right.value, pixels)}
    direction = np.random.default_rng(0).normal(size=spheres.shape)
    push = np.where(right.seen >= 0, (right.partials * np.moveaxis(direction[right.seen], -1, 0)).sum(0), 0.0)
    deviations["jacobian"] = scenes.deviation((J @ direction.reshape(-1)).reshape(image.shape), push, pixels)
    observed = scenes.noisy(image)
    if boundary == "none":
        found = renderer.normal_equations(thetas[0], observed)
        blocks = found.H.reshape(len(spheres), 4, len(spheres), 4)[range(len(spheres)), :, range(len(spheres))]
        sums = scenes.sums(spheres, observed)
        found_sums = scenes.sums_deviation(found.cost, found.g.reshape(-1, 4), blocks, sums)
        deviations["normal_equations"] = found_sums
    cases = {
        "render": Case(lambda k: renderer.render(thetas[k % 2])),
        "jacobian": Case(lambda k: renderer.jacobian(thetas[k % 2])),
        "normal_equations": Case(lambda k: renderer.normal_equations(thetas[k % 2], observed)),
    }
    if device.startswith("cuda"):
        there = renderer.render(thetas[0] + 1e-3, on_device=True)
        cases["on_device"] = Case(lambda k: renderer.normal_equations(thetas[k % 2], there))
    return Contender(cases, {"diffrt_aot": dr.__version__}, deviations)


def build_bottle(data: Path, boundary: str, outputs: list[str], device: str, threads: int | None = None) -> Contender:
    """Cases `render`, `jacobian` (local rows) and `normal_equations` (Huber loss, everything included), by the pose;
    `fit_step` is one Gauss-Newton step of `fit`, which sends what is observed only once.

    On CUDA also `on_device`: `normal_equations` of an image that is there. Else depth is the camera's, and the mask is
    the one rendered at the start, a pixel further.
    """
    frame = scenes.bottle(data)
    view = dr.PinholeCamera(width=frame.width, height=frame.height, fx=frame.fx, fy=frame.fy, cx=frame.cx, cy=frame.cy)
    mesh = dr.Mesh(frame.vertices, frame.faces, T_world_mesh=dr.nearest_rigid(frame.T_camera_mesh))
    scene = dr.Scene(view, {"bottle": mesh})
    renderer = dr.Renderer(
        scene, free=["bottle.pose"], output=outputs, boundary=boundary, device=device, threads=threads
    )
    thetas = variations(renderer.theta0, 1e-5)
    mask = dr.Renderer(scene, output="mask", boundary="none").render()
    seen = {"depth": frame.depth, "mask": np.roll(mask, 1, axis=1)}
    observed = np.stack([seen[output] for output in outputs], axis=-1)
    loss = dr.Huber(0.01)
    cases = {
        "render": Case(lambda k: renderer.render(thetas[k % 2])),
        "jacobian": Case(lambda k: renderer.jacobian(thetas[k % 2])),
        "normal_equations": Case(lambda k: renderer.normal_equations(thetas[k % 2], observed, loss=loss)),
    }
    if device.startswith("cuda"):
        there = renderer.render(thetas[0] + 1e-3, on_device=True)
        cases["on_device"] = Case(lambda k: renderer.normal_equations(thetas[k % 2], there, loss=loss))

    def few_steps(k: int) -> dr.FitResult:
        start = thetas[k % 2] + [2e-3, -1e-3, 3e-3, 0.02, -0.02, 0.01]
        return dr.fit(renderer, observed, theta0=start, loss=loss, method="gauss-newton", max_steps=4, **TO_THE_LAST)

    cases["fit_step"] = Case(few_steps, seconds=seconds_of_a_step)
    return Contender(cases, {"diffrt_aot": dr.__version__})


def seconds_of_a_step(result: dr.FitResult) -> float:
    """By the clock of a fit, which starts before its first evaluation: one step of those after it."""
    if result.steps == 0:
        return math.nan  # the table shows it
    return (result.history[-1].seconds - result.history[0].seconds) / result.steps


def build_tiny(device: str) -> Contender:
    """Case `normal_equations` on a 16x16 image: what a call from Python costs."""
    renderer = spheres_renderer(
        np.array([[1.0, 0.0, 0.0, 100.0]]), 16, 16, device=device
    )  # 4 pixels in radius, in the middle
    thetas = variations(renderer.theta0)
    observed = renderer.render()
    cases = {"normal_equations": Case(lambda k: renderer.normal_equations(thetas[k % 2], observed))}
    return Contender(cases, {"diffrt_aot": dr.__version__})


def build_small(threads: int | None) -> Contender:
    """Case `paused`: `normal_equations` of the 100 spheres at 128x128, 2 ms after the last; the pause is not timed."""
    view = dr.PinholeCamera(width=128, height=128, fx=100.0, fy=100.0, cx=64.0, cy=64.0)
    spheres = scenes.hundred_spheres()
    shapes = {f"s{k}": dr.Sphere(center=row[1:], radius=row[0]) for k, row in enumerate(spheres)}
    free = [f"{name}.center" for name in shapes]
    scene = dr.Scene(view, shapes)
    renderer = dr.Renderer(scene, free, output="distance", background=0.0, boundary="none", threads=threads)
    thetas = variations(renderer.theta0)
    observed = scenes.noisy(renderer.render())

    def paused(k: int) -> float:
        time.sleep(0.002)
        begin = time.perf_counter()
        renderer.normal_equations(thetas[k % 2], observed)
        return time.perf_counter() - begin

    return Contender({"paused": Case(paused, seconds=float)}, {"diffrt_aot": dr.__version__})


def build(options: dict[str, str]) -> Contender:
    """The scene that the command line names."""
    scene, boundary = options.get("scene", "issue"), options.get("boundary", "none")
    device = options.get("device", "cpu")
    threads = int(options["threads"]) if "threads" in options else None
    if scene == "bottle":
        data = Path(options.get("data") or scenes.default_data())
        return build_bottle(data, boundary, options.get("outputs", "depth").split(","), device, threads)
    if scene == "small":
        return build_small(threads)
    if scene == "tiny":
        return build_tiny(device)
    return {"issue": build_issue, "hundred": build_hundred}[scene](boundary, device)


if __name__ == "__main__":
    main(build)
