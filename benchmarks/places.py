"""Meshes in places where work may be wasted, as a contender; `render` alone is timed.

python -m benchmarks.places scene=bodies|mesh|inside|outside [boundary=none|exact]

bodies    1,000 meshes of 320 faces, side by side over the image
mesh      the same triangles as one mesh
inside    the camera within a ball of 15,600 faces, which cross its plane
outside   the same ball seen from where it fills the image
"""

from __future__ import annotations

import numpy as np

import diffrt_aot as dr
from benchmarks.contender import Case, Contender, main
from benchmarks.large import ball, meshes, poses
from benchmarks.ours import camera, variations

BODIES = 1000
FREE = ["camera.pose"]


def bodies() -> dict[str, dr.Mesh]:
    """Each a mesh."""
    return meshes(BODIES, *ball(11, 16))


def mesh() -> dict[str, dr.Mesh]:
    """All in one."""
    points, faces = ball(11, 16)
    placed = [points @ T[:3, :3].T + T[:3, 3] for T in poses(BODIES)]
    corners = [np.array(faces) + k * len(points) for k in range(BODIES)]
    return {"all": dr.Mesh(np.concatenate(placed), np.concatenate(corners))}


def around(distance: float) -> dict[str, dr.Mesh]:
    """A ball whose centre is so many radii before the camera."""
    points, faces = ball(79, 100)
    return {"ball": dr.Mesh(10.0 * points + [0.0, 0.0, 10.0 * distance], faces)}


SCENES = {"bodies": bodies, "mesh": mesh, "inside": lambda: around(0.1), "outside": lambda: around(1.2)}


def build(options: dict[str, str]) -> Contender:
    """Case `render`; the camera moves a little between repetitions."""
    scene = dr.Scene(camera(), SCENES[options.get("scene", "bodies")]())
    boundary = options.get("boundary", "none")
    renderer = dr.Renderer(scene, free=FREE, output=["mask", "depth"], background=[None, 0.0], boundary=boundary)
    thetas = variations(renderer.theta0)
    image = renderer.render(thetas[0])
    note = f"covers {np.mean(image[..., 0] > 0):.0%} of the image"
    return Contender(
        {"render": Case(lambda k: renderer.render(thetas[k % 2]), note=note)}, {"diffrt_aot": dr.__version__}
    )


if __name__ == "__main__":
    main(build)
