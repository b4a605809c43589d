"""A Jacobian's column with and without the motion of the silhouette, beside differences of supersampled images.

    python examples/06_boundaries.py [FOLDER]

The distance image of one sphere by its radius; rays that miss have 0. Inside, a growing sphere comes nearer: -1 and
beyond. At its silhouette pixels jump from 0 to 99.5 as it passes over them, which the derivative of the interior does
not know. docs/boundaries.md explains it, and shows the figure.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import diffrt_aot as dr
from diffrt_aot import pictures

THETA = np.array([10.0, 10.0, 10.0, 100.0])  # radius, centre
STEP = 0.01  # of the central differences
FINEST = 128  # rays along each side of a pixel
CROP = (slice(232, 328), slice(312, 408))  # of the image of 480 x 640 pixels, around the sphere
ZOOM = (slice(266, 279), slice(318, 331))  # the sphere's rim, at the left


def renderer_of(theta: np.ndarray, boundary: str, rows: slice, columns: slice, n: int = 1) -> dr.Renderer:
    """Return the renderer of a part of the image, with n x n pixels in the place of each."""
    # A pixel's centre is an integer and its left side at -1/2: u + 1/2 is what scales
    height, width = n * (rows.stop - rows.start), n * (columns.stop - columns.start)
    cx, cy = n * (320.5 - columns.start) - 0.5, n * (240.5 - rows.start) - 0.5
    camera = dr.PinholeCamera(width, height, fx=400 * n, fy=400 * n, cx=cx, cy=cy)
    scene = dr.Scene(camera, {"ball": dr.Sphere(center=theta[1:], radius=theta[0])})
    return dr.Renderer(scene, free=["ball.radius"], output="distance", background=0.0, boundary=boundary)


def supersampled(theta: np.ndarray, n: int) -> np.ndarray:
    """Return the cropped image, each pixel the mean of n x n rays."""
    rows, columns = CROP
    strips = []
    for row in range(rows.start, rows.stop, 8):  # a few rows at a time: n = 128 makes 150 million rays
        strip = renderer_of(theta, "none", slice(row, row + 8), columns, n).render()
        strips.append(strip.reshape(8, n, -1, n).mean(axis=(1, 3), dtype=np.float64))
    return np.concatenate(strips)


def differences(n: int) -> np.ndarray:
    """Return the derivative by the radius as central differences of supersampled images."""
    step = np.array([STEP, 0.0, 0.0, 0.0])
    return (supersampled(THETA + step, n) - supersampled(THETA - step, n)) / (2.0 * STEP)


def draw(columns: dict[str, np.ndarray], path: Path) -> None:
    """Write the columns: above the whole sphere, below a few pixels of its rim, on a finer scale."""
    figure = Figure(figsize=(13.0, 6.9), layout="constrained", facecolor="white")
    above, below = figure.subplots(2, len(columns))
    rows, across = (slice(z.start - c.start, z.stop - c.start) for z, c in zip(ZOOM, CROP, strict=True))
    frame = (across.start - 0.5, rows.start - 0.5), across.stop - across.start, rows.stop - rows.start
    for (title, column), top, bottom in zip(columns.items(), above, below, strict=True):
        options = {"cmap": "RdBu_r", "interpolation": "nearest"}
        coarse = top.imshow(column, vmin=-550, vmax=550, **options)
        fine = bottom.imshow(column[rows, across], vmin=-10, vmax=10, **options)
        top.add_patch(Rectangle(*frame, fill=False, linewidth=0.8))
        top.set_title(title, fontsize=11, loc="left")
        top.set_xlabel(f"largest {np.abs(column).max():.3g}, sum {column.sum():.0f}", fontsize=9)
        bottom.set_xlabel("the square, on a finer scale", fontsize=9)
    for axes, shown, extend in ((above, coarse, "neither"), (below, fine, "both")):
        figure.colorbar(shown, ax=list(axes), label="d distance / d radius", shrink=0.85, pad=0.01, extend=extend)
    for ax in (*above, *below):
        ax.set(xticks=[], yticks=[])
    pictures.save_figure(figure, path)


def main(folder: Path) -> None:
    columns = {}
    for title, boundary in (("interior only", "none"), ("exact", "exact")):
        _, J = renderer_of(THETA, boundary, *CROP).jacobian()
        columns[title] = J.dense()[:, :, 0].astype(np.float64)
    print("the column of the radius, against central differences of n x n rays in a pixel, relative in the norm")
    for n in (16, 32, 64, FINEST):
        column = differences(n)
        errors = {title: np.linalg.norm(columns[title] - column) / np.linalg.norm(column) for title in columns}
        print(f"  n = {n:3d}: interior only {errors['interior only']:.3f}, exact {errors['exact']:.4f}")
    for title, values in (*columns.items(), ("differences", column)):
        print(f"  {title}: largest {np.abs(values).max():.1f}, sum over the image {values.sum():.0f}")
    columns[f"differences, {FINEST} x {FINEST} rays"] = column
    columns["exact - differences"] = columns["exact"] - column
    draw(columns, folder / "boundary_column.png")
    print(f"wrote {folder / 'boundary_column.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("out"), help="where to write (out)")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    main(arguments.folder)
