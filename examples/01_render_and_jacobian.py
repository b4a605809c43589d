"""Render a scene and its Jacobian: one call gives the image and its derivative by every parameter.

    python examples/01_render_and_jacobian.py [FOLDER]

The distance to one sphere, 640x480 pixels; its radius and its centre may move: four columns.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

import diffrt_aot as dr
from diffrt_aot import pictures


def main(folder: Path) -> None:
    camera = dr.PinholeCamera(width=640, height=480, fx=400, fy=400, cx=320, cy=240)
    scene = dr.Scene(camera, {"ball": dr.Sphere(center=(10, 10, 100), radius=10)})
    renderer = dr.Renderer(scene, free=["ball.radius", "ball.center"], output="distance")

    image, J = renderer.jacobian()
    dense = J.dense()
    print(f"image {image.shape} {image.dtype}, Jacobian {J.shape}")
    print(f"theta0 = {renderer.theta0}")
    print(f"the ray through the centre: distance {image[280, 360]:.5f}, derivatives {dense[280, 360]}")

    # Products never make the dense array. A small step along v changes the image by J v
    v = np.array([0.01, 0.0, 0.02, -0.01])
    change = renderer.render(renderer.theta0 + v) - image
    inside = np.isfinite(change) & (np.abs(J.primitive_ids) == 0)
    print(f"median |f(theta + v) - f(theta) - J v| = {np.median(np.abs(change - J @ v)[inside]):.1e}")
    w = np.where(np.isfinite(image), 1.0, 0.0)
    print(f"<J v, w> = {np.vdot(J @ v, w):.6f}, <v, J' w> = {np.vdot(v, J.T @ w):.6f}")

    seconds = []
    for _ in range(50):
        begin = time.perf_counter()
        renderer.jacobian()
        seconds.append(time.perf_counter() - begin)
    print(f"image and Jacobian: {1e3 * statistics.median(seconds):.2f} ms")

    columns = np.where(np.isfinite(image)[..., None], dense, np.nan)
    figure = pictures.jacobian_columns(columns, ["radius", "center x", "center y", "center z"], quantity="distance")
    pictures.save_figure(figure, folder / "jacobian_columns.png")
    print(f"wrote {folder / 'jacobian_columns.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("out"), help="where to write (out)")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    main(arguments.folder)
