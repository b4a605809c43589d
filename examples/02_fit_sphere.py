"""Fit a sphere to a noisy image with something in front: what a robust loss is for, and how sure the answer is.

    python examples/02_fit_sphere.py [FOLDER]

The image has noise of 0.05, and a bar stands before an eighth of the sphere.
"""

import argparse
from pathlib import Path

import numpy as np

import diffrt_aot as dr
from diffrt_aot import pictures

NOISE = 0.05  # [scene units]
TRUTH = np.array([10.0, 10.0, 10.0, 100.0])  # radius, centre
START = np.array([10.3, 10.5, 9.5, 101.0])


def scene_of(radius: float, center: np.ndarray) -> dr.Scene:
    camera = dr.PinholeCamera(width=640, height=480, fx=400, fy=400, cx=320, cy=240)
    return dr.Scene(camera, {"ball": dr.Sphere(center=center, radius=radius)})


def observe(rng: np.random.Generator) -> np.ndarray:
    """Return the distance image of the true sphere with noise, and a bar 5 units before it."""
    image = dr.Renderer(scene_of(TRUTH[0], TRUTH[1:])).render()
    image += rng.normal(0, NOISE, image.shape).astype(np.float32)
    image[270:285, 340:380] -= 5
    return image


def main(folder: Path) -> None:
    observed = observe(np.random.default_rng(0))
    start = scene_of(START[0], START[1:])
    renderer = dr.Renderer(start, free=["ball.radius", "ball.center"])

    # The bar's residuals are 100 times the noise: squared, they decide; by Huber they pull like small ones;
    # by Cauchy they hardly count. A loss begins to bend at a residual of about twice the noise
    rendered = []
    for loss in (None, dr.Huber(2 * NOISE), dr.Cauchy(2 * NOISE)):
        result = dr.fit(renderer, observed, loss=loss)
        rendered.append(renderer.render(result.theta))
        print(f"loss {loss}: {result.status.name}, {result.steps} steps, {1e3 * result.seconds:.1f} ms")
        deviations = np.sqrt(np.diag(result.covariance))
        for name, fitted, true, deviation in zip("rxyz", result.theta, TRUTH, deviations, strict=True):
            print(f"  {name} {fitted:9.4f} +- {deviation:.4f}   error {fitted - true:+.4f}")

    figure = pictures.compare_images(
        observed,
        rendered[0],
        rendered[2],
        quantity="distance",
        titles=("observed", "fitted, plain squares", "fitted, Cauchy"),
    )
    pictures.save_figure(figure, folder / "robust_fit.png")
    print(f"wrote {folder / 'robust_fit.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("out"), help="where to write (out)")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    main(arguments.folder)
