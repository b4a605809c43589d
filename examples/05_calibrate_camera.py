"""Calibrate a depth camera: its focal lengths, principal point and pose, from one image of a known scene.

    python examples/05_calibrate_camera.py [FOLDER]

A floor, two walls and three balls, whose places are known; ten numbers of the camera are not. Then the same
without the balls: three planes cannot tell all ten, and the fit says which mixture of them remains open.
"""

import argparse
from pathlib import Path

import numpy as np

import diffrt_aot as dr
from diffrt_aot import pictures

NOISE = 0.002  # [m]
FREE = ["camera.focal", "camera.principal", "camera.pose"]
NAMES = ["fx", "fy", "cx", "cy"]
CORNER = {
    "floor": dr.Plane(point=(0, 0.8, 0), normal=(0, -1, 0)),
    "right_wall": dr.Plane(point=(0.2, 0, 3), normal=(-0.6, 0, -0.8)),
    "left_wall": dr.Plane(point=(0.2, 0, 3), normal=(0.8, 0, -0.6)),
}
BALLS = {
    "left": dr.Sphere(center=(-0.5, 0.3, 1.6), radius=0.2),
    "right": dr.Sphere(center=(0.5, 0.5, 1.5), radius=0.25),
    "top": dr.Sphere(center=(0.3, -0.4, 1.8), radius=0.2),
}


def calibrate(shapes: dict[str, dr.Plane | dr.Sphere]) -> tuple[dr.Renderer, dr.FitResult, np.ndarray]:
    true_camera = dr.PinholeCamera(width=640, height=480, fx=525, fy=520, cx=322, cy=236)
    observed = dr.Renderer(dr.Scene(true_camera, shapes), output="depth", boundary="none").render()
    noise = NOISE * np.random.default_rng(0).normal(size=observed.shape)
    observed += noise.astype(np.float32)

    # The start: a guess of the lens, and a pose off by 3 cm and 2 degrees
    angle = np.radians(2)
    T = np.eye(4)
    T[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    T[:3, 3] = (0.02, -0.01, 0.02)
    guess = dr.PinholeCamera(width=640, height=480, fx=500, fy=500, cx=319.5, cy=239.5, T_world_camera=T)
    renderer = dr.Renderer(dr.Scene(guess, shapes), free=FREE, output="depth", boundary="none")
    return renderer, dr.fit(renderer, observed, loss=dr.Cauchy(2 * NOISE)), observed


def main(folder: Path) -> None:
    renderer, result, observed = calibrate(CORNER | BALLS)
    print(f"corner and balls: {result.status.name}, {result.steps} steps, {1e3 * result.seconds:.0f} ms")
    deviations = np.sqrt(np.diag(result.covariance))
    for name, start, value, deviation in zip(NAMES, renderer.theta0, result.theta, deviations, strict=False):
        print(f"  {name} {start:6.1f} -> {value:8.3f} +- {deviation:.4f} px")
    T = result.scene.camera.T_world_camera
    print(f"  camera at {np.array_str(1e3 * T[:3, 3], precision=3, suppress_small=True)} mm, truth: the origin")

    _, planes, _ = calibrate(CORNER)
    print(f"corner alone: rank {planes.rank} of {len(planes.theta)}; not determined:")
    for name in planes.null_names:
        print(f"  {name}")

    figure = pictures.compare_residuals(
        renderer.render() - observed, renderer.render(result.theta) - observed, quantity="depth [m]"
    )
    pictures.save_figure(figure, folder / "calibration.png")
    print(f"wrote {folder / 'calibration.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("out"), help="where to write (out)")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    main(arguments.folder)
