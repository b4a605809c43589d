"""A hundred spheres, 400 parameters: normal equations without ever storing the Jacobian.

    python examples/04_many_spheres.py [FOLDER]

Each sphere's radius and centre are free. A pixel depends on the one sphere that it sees, so J'J costs about as much
as an image, and most of it is zero: spheres that no pixel couples are independent.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import diffrt_aot as dr
from diffrt_aot import pictures

COUNT = 100
CAMERA = dr.PinholeCamera(width=640, height=480, fx=400, fy=400, cx=320, cy=240)


def scene_of(theta: np.ndarray) -> dr.Scene:
    rows = theta.reshape(COUNT, 4)
    return dr.Scene(CAMERA, {f"ball{i}": dr.Sphere(row[1:], row[0]) for i, row in enumerate(rows)})


def scattered(rng: np.random.Generator) -> np.ndarray:
    """Return (4 COUNT,): radius and centre of spheres on a jittered grid; some hide parts of others."""
    column, row = np.meshgrid(np.linspace(-70, 70, 10), np.linspace(-50, 50, 10))
    centre = np.stack([column.ravel(), row.ravel(), np.full(COUNT, 100.0)], axis=1)
    centre += rng.uniform(-4, 4, centre.shape)
    return np.column_stack([rng.uniform(4, 7, COUNT), centre]).ravel()


def median_ms(work: Callable[[], object], repeats: int = 21) -> float:
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(seconds)


def main(folder: Path) -> None:
    rng = np.random.default_rng(0)
    truth = scattered(rng)
    free = [f"ball{i}.{what}" for i in range(COUNT) for what in ("radius", "center")]
    observed = dr.Renderer(scene_of(truth), boundary="none").render()
    observed += rng.normal(0, 0.01, observed.shape).astype(np.float32)

    start = truth + rng.uniform(-0.1, 0.1, truth.shape)
    renderer = dr.Renderer(scene_of(start), free=free, boundary="none")
    theta0 = renderer.theta0
    print(f"{COUNT} spheres, P = {len(theta0)}; the dense Jacobian would have {4e-6 * observed.size * 400:.0f} MB")
    print(f"  render            {median_ms(renderer.render):6.2f} ms")
    print(f"  jacobian          {median_ms(renderer.jacobian):6.2f} ms, rows stored locally")
    print(f"  normal equations  {median_ms(lambda: renderer.normal_equations(theta0, observed)):6.2f} ms")
    H = renderer.normal_equations(theta0, observed).H
    print(f"H: {H.shape}, {100 * np.mean(H != 0):.1f} % of it not zero")

    # Where a sphere hides another, the pixel jumps, which derivatives of the interior do not see: robust
    result = dr.fit(renderer, observed, loss=dr.Cauchy(0.02))
    error, deviation = np.abs(result.theta - truth), np.sqrt(np.diag(result.covariance))
    print(f"{result.status.name}, {result.steps} steps, {1e3 * result.seconds:.0f} ms; rank {result.rank}")
    print(f"error: median {np.median(np.abs(start - truth)):.4f} -> {np.median(error):.5f}, largest {error.max():.4f}")
    print(f"std. dev. by the covariance: median {np.median(deviation):.5f}")

    figure = pictures.compare_residuals(
        renderer.render() - observed, renderer.render(result.theta) - observed, limit=0.3, quantity="distance"
    )
    pictures.save_figure(figure, folder / "many_spheres.png")
    print(f"wrote {folder / 'many_spheres.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("out"), help="where to write (out)")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    main(arguments.folder)
