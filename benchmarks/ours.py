"""The product as a contender, through its public Python interface alone.

python -m benchmarks.ours scene=issue|hundred|bottle|tiny [data=DIR]
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import diffrt_aot as dr
from benchmarks import scenes
from benchmarks.contender import Case, Contender, main


def camera(width: int = scenes.WIDTH, height: int = scenes.HEIGHT) -> dr.PinholeCamera:
    """The issue's camera; its principal point is the middle of the image whatever the size."""
    return dr.PinholeCamera(width=width, height=height, fx=scenes.FOCAL, fy=scenes.FOCAL, cx=width / 2, cy=height / 2)


def sphere_renderer(sphere: np.ndarray, width: int = scenes.WIDTH, height: int = scenes.HEIGHT) -> dr.Renderer:
    """One sphere (radius, centre), distance, 0 where it misses, by radius and centre."""
    scene = dr.Scene(camera(width, height), {"ball": dr.Sphere(center=sphere[1:], radius=sphere[0])})
    return dr.Renderer(scene, free=["ball.radius", "ball.center"], output="distance", background=0.0, boundary="none")


def spheres_renderer(spheres: np.ndarray, width: int = scenes.WIDTH, height: int = scenes.HEIGHT) -> dr.Renderer:
    """Any number of spheres (n, 4), all free, in the order of the array."""
    shapes = {f"s{k}": dr.Sphere(center=row[1:], radius=row[0]) for k, row in enumerate(spheres)}
    free = [f"{name}.{part}" for name in shapes for part in ("radius", "center")]
    return dr.Renderer(
        dr.Scene(camera(width, height), shapes), free=free, output="distance", background=0.0, boundary="none"
    )


def variations(theta: np.ndarray, step: float = 1e-4) -> list[np.ndarray]:
    """Two parameter vectors a little apart: repetitions alternate, so nothing can be reused."""
    return [theta, theta + step]


def build_issue() -> Contender:
    """Cases `jacobian` (value and dense columns) and `render`."""
    renderer = sphere_renderer(scenes.ISSUE_SPHERE)
    thetas = variations(renderer.theta0)
    _image, J = renderer.jacobian(thetas[0])
    right = scenes.reference(scenes.ISSUE_SPHERE)
    columns = np.moveaxis(J.dense(), -1, 0)
    deviations = {
        "render": scenes.deviation(renderer.render(thetas[0]), right.value, right.compare),
        "jacobian": scenes.deviation(columns, right.partials, right.compare),
    }

    def jacobian(k: int) -> tuple[np.ndarray, np.ndarray]:
        image, J = renderer.jacobian(thetas[k % 2])
        return image, J.dense()

    cases = {"jacobian": Case(jacobian), "render": Case(lambda k: renderer.render(thetas[k % 2]))}
    return Contender(cases, {"diffrt_aot": dr.__version__}, deviations)


def build_hundred() -> Contender:
    """Cases `render`, `jacobian` (local rows, not densified) and `normal_equations`, P = 400."""
    spheres = scenes.hundred_spheres()
    renderer = spheres_renderer(spheres)
    thetas = variations(renderer.theta0)
    right = scenes.reference(spheres)
    image, J = renderer.jacobian(thetas[0])
    deviations = {"render": scenes.deviation(image, right.value, right.compare)}
    direction = np.random.default_rng(0).normal(size=spheres.shape)
    push = np.where(right.seen >= 0, (right.partials * np.moveaxis(direction[right.seen], -1, 0)).sum(0), 0.0)
    deviations["jacobian"] = scenes.deviation((J @ direction.reshape(-1)).reshape(image.shape), push, right.compare)
    observed = image + np.random.default_rng(1).normal(0, 0.01, image.shape).astype(np.float32)
    cases = {
        "render": Case(lambda k: renderer.render(thetas[k % 2])),
        "jacobian": Case(lambda k: renderer.jacobian(thetas[k % 2])),
        "normal_equations": Case(lambda k: renderer.normal_equations(thetas[k % 2], observed)),
    }
    return Contender(cases, {"diffrt_aot": dr.__version__}, deviations)


def build_bottle(data: Path) -> Contender:
    """Cases `render` and `normal_equations` (Huber loss, everything included), the pose free."""
    frame = scenes.bottle(data)
    view = dr.PinholeCamera(width=frame.width, height=frame.height, fx=frame.fx, fy=frame.fy, cx=frame.cx, cy=frame.cy)
    mesh = dr.Mesh(frame.vertices, frame.faces, T_world_mesh=dr.nearest_rigid(frame.T_camera_mesh))
    renderer = dr.Renderer(dr.Scene(view, {"bottle": mesh}), free=["bottle.pose"], output="depth", boundary="none")
    thetas = variations(renderer.theta0, 1e-5)
    loss = dr.Huber(0.01)
    cases = {
        "render": Case(lambda k: renderer.render(thetas[k % 2])),
        "normal_equations": Case(lambda k: renderer.normal_equations(thetas[k % 2], frame.depth, loss=loss)),
    }
    return Contender(cases, {"diffrt_aot": dr.__version__})


def build_tiny() -> Contender:
    """Case `normal_equations` on a 16x16 image: what a call from Python costs."""
    renderer = sphere_renderer(np.array([1.0, 0.0, 0.0, 100.0]), 16, 16)  # 4 pixels in radius, in the middle
    thetas = variations(renderer.theta0)
    observed = renderer.render()
    cases = {"normal_equations": Case(lambda k: renderer.normal_equations(thetas[k % 2], observed))}
    return Contender(cases, {"diffrt_aot": dr.__version__})


def build(options: dict[str, str]) -> Contender:
    """The scene that the command line names."""
    scene = options.get("scene", "issue")
    if scene == "bottle":
        return build_bottle(Path(options.get("data") or scenes.default_data()))
    return {"issue": build_issue, "hundred": build_hundred, "tiny": build_tiny}[scene]()


if __name__ == "__main__":
    main(build)
