"""A model of one's own, and a hand on its derivative: three Jacobians of one sphere.

    python examples/08_own_model.py [FOLDER]

The question that this project came from: a sphere's distance image as a function of radius and centre, its Jacobian by
automatic differentiation "in one go", and a rule of one's own at the boundary, where the derivative of the formula is
wrong. models/sphere.py has the sphere as a Python function, and the same with a soft edge's derivative put in by hand;
beside them is the renderer's exact boundary. docs/own_models.md tells more. (It takes `pip install ".[all]"`.)
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import diffrt_aot as dr
from diffrt_aot import pictures

sys.path.insert(0, str(Path(__file__).resolve().parent / "models"))
from sphere import sphere, sphere_with_rule

TRUTH = np.array([10.0, 10.0, 10.0, 100.0])  # radius, centre
DATA = {"shape": (480, 640), "focal": 400.0, "principal": (320.0, 240.0)}
CROP = (slice(232, 328), slice(312, 408))  # of the image, around the sphere
ZOOM = (slice(34, 47), slice(6, 19))  # of the crop: the sphere's rim, at the left


def renderer() -> dr.Renderer:
    """Return the renderer of the same sphere, whose pixels are integrals along the silhouette."""
    camera = dr.PinholeCamera(width=640, height=480, fx=400, fy=400, cx=320, cy=240)
    scene = dr.Scene(camera, {"ball": dr.Sphere(center=TRUTH[1:], radius=TRUTH[0])})
    return dr.Renderer(scene, ["ball.radius", "ball.center"], output="distance", background=0.0, boundary="exact")


def draw(columns: dict[str, np.ndarray], path: Path) -> None:
    """Write the columns of the radius: above the whole sphere, below a few pixels of its rim."""
    figure = Figure(figsize=(13.0, 6.9), layout="constrained", facecolor="white")
    above, below = figure.subplots(2, len(columns))
    rows, across = ZOOM
    frame = (across.start - 0.5, rows.start - 0.5), across.stop - across.start, rows.stop - rows.start
    for (title, column), top, bottom in zip(columns.items(), above, below, strict=True):
        options = {"cmap": "RdBu_r", "interpolation": "nearest", "vmin": -550, "vmax": 550}
        shown = top.imshow(column, **options)
        bottom.imshow(column[rows, across], **options)
        top.add_patch(Rectangle(*frame, fill=False, linewidth=0.8))
        top.set_title(title, fontsize=11, loc="left")
        top.set_xlabel(f"largest {np.abs(column).max():.3g}, sum {column.sum():,.0f}", fontsize=9)
        bottom.set_xlabel("the square", fontsize=9)
    figure.colorbar(shown, ax=[*above, *below], label="d distance / d radius", shrink=0.6, pad=0.01)
    for ax in (*above, *below):
        ax.set(xticks=[], yticks=[])
    pictures.save_figure(figure, path)


def main(folder: Path) -> None:
    functions = {
        "the formula's derivative": sphere.compile().bind(**DATA),
        "and a soft edge's, by hand": sphere_with_rule.compile().bind(**DATA),
        "the renderer's exact boundary": renderer(),
    }
    columns = {}
    print("what four steps of Gauss-Newton make of a start 0.1 off in radius and centre:")
    for title, function in functions.items():
        image, J = function.jacobian(TRUTH)  # models and renderers have the same verbs
        columns[title] = J.dense()[(*CROP, 0)].astype(np.float64)
        theta = TRUTH + 0.1
        for _ in range(4):
            equations = function.normal_equations(theta, image)
            theta = theta - np.linalg.solve(equations.H, equations.g)
        print(f"  {title:30} off by {np.abs(theta - TRUTH).max():.2g}")
    draw(columns, folder / "own_model.png")
    print(f"wrote {folder / 'own_model.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("out"), help="where to write (out)")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    main(arguments.folder)
