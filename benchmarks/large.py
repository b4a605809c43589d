"""Problems of many parameters, each fitted as a whole beside its evaluations alone, as a contender.

python -m benchmarks.large scene=spheres|vertices|bodies [count=N]

Case `fit` is one call of fit(), uncertainty not asked for where that can be said. Case `kernels` is what the same fit
evaluates, without the rest: `cost` for each of its trials and `normal_equations` for each accepted one, called one by
one at the thetas that it went through.
"""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

import diffrt_aot as dr
from benchmarks import scenes
from benchmarks.contender import Case, Contender, main
from benchmarks.ours import camera

Face = tuple[int, int, int]
NOT_ASKED: dict[str, Any] = {"uncertainty": False} if "uncertainty" in inspect.signature(dr.fit).parameters else {}


@dataclass(frozen=True)
class Problem:
    """A renderer, what is observed, where the fit starts, and priors."""

    renderer: dr.Renderer
    observed: np.ndarray
    start: np.ndarray
    priors: dict[str, tuple[Any, float]]

    def fit(self, **options: Any) -> dr.FitResult:
        """One fit, its warnings unheard."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dr.FitWarning)
            return dr.fit(self.renderer, self.observed, self.start, priors=self.priors, **{**NOT_ASKED, **options})


def observe(renderer: dr.Renderer, offsets: np.ndarray, noise: float, priors: dict[str, tuple[Any, float]]) -> Problem:
    """Seen where the renderer's scene is, but for noise; the fit starts `offsets` away."""
    image = renderer.render()
    observed = image + np.random.default_rng(1).normal(0, noise, image.shape).astype(np.float32)
    return Problem(renderer, observed, renderer.theta0 + offsets, priors)


def spheres(count: int) -> Problem:
    """`count` spheres, radius and centre of each: 4 parameters. A few see nothing, since others hide them."""
    numbers = scenes.hundred_spheres(count)
    if count > scenes.HUNDRED:  # as many pixels covered as by a hundred
        numbers[:, 0] *= np.sqrt(scenes.HUNDRED / count)
    shapes = {f"s{k}": dr.Sphere(center=row[1:], radius=row[0]) for k, row in enumerate(numbers)}
    free = [f"{name}.{part}" for name in shapes for part in ("radius", "center")]
    renderer = dr.Renderer(dr.Scene(camera(), shapes), free=free, output="distance", background=0.0)
    offsets = np.random.default_rng(2).normal(0, 0.02, renderer.theta0.size)
    return observe(renderer, offsets, 0.01, {})


def sheet(columns: int, rows: int) -> tuple[np.ndarray, list[Face]]:
    """A wavy sheet of columns x rows vertices that fills the image, 100 away."""
    x, y = np.meshgrid(np.linspace(-75, 75, columns), np.linspace(-55, 55, rows))
    z = 100 + 3 * np.sin(x / 9) * np.cos(y / 7)
    corners = [(j * columns + i) for j in range(rows - 1) for i in range(columns - 1)]
    faces = [f for a in corners for f in ((a, a + 1, a + columns), (a + 1, a + columns + 1, a + columns))]
    return np.stack([x, y, z], axis=-1).reshape(-1, 3), faces


def vertices(count: int) -> Problem:
    """A sheet of `count` free vertices (3 parameters each) by its depth, and a little prior: 1 at a distance of 100."""
    columns = round(np.sqrt(count * 4 / 3))
    while count % columns:
        columns -= 1
    points, faces = sheet(columns, count // columns)
    scene = dr.Scene(camera(), {"sheet": dr.Mesh(points, faces)})
    renderer = dr.Renderer(scene, free=["sheet.vertices"], output="depth", background=0.0)
    offsets = np.random.default_rng(2).normal(0, 0.05, renderer.theta0.size)
    return observe(renderer, offsets, 0.01, {"sheet.vertices": (renderer.theta0, 1.0)})


def ball(rings: int, sectors: int) -> tuple[np.ndarray, list[Face]]:
    """A closed unit ball of 2 (rings - 1) sectors triangles, somewhat egg-shaped so that its pose is determined."""
    down, round_ = np.meshgrid(
        np.pi * np.arange(1, rings) / rings, 2 * np.pi * np.arange(sectors) / sectors, indexing="ij"
    )
    points = np.stack([np.sin(down) * np.cos(round_), 0.8 * np.sin(down) * np.sin(round_), 0.6 * np.cos(down)], axis=-1)
    points = np.concatenate([[[0, 0, 0.6]], points.reshape(-1, 3), [[0, 0, -0.6]]])
    last, faces = len(points) - 1, []
    for k in range(sectors):
        n = (k + 1) % sectors
        faces += [(0, 1 + k, 1 + n), (last, last - sectors + n, last - sectors + k)]
        for ring in range(rings - 2):
            a, b = 1 + ring * sectors, 1 + (ring + 1) * sectors
            faces += [(a + k, b + k, b + n), (a + k, b + n, a + n)]
    return points, faces


def poses(count: int, size: float = 1.0) -> list[np.ndarray]:
    """`count` bodies over the image, side by side on a grid, each turned at random; a cell's width times `size`."""
    columns = int(np.ceil(np.sqrt(count * 4 / 3)))
    rows = -(-count // columns)
    rng = np.random.default_rng(3)
    radius = 0.45 * size * 150 / columns
    found = []
    for k in range(count):
        axis = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        T = np.eye(4)
        T[:3, :3] = axis * np.sign(np.linalg.det(axis)) * radius
        i, j = k % columns, k // columns
        T[:3, 3] = 150 * ((i + 0.5) / columns - 0.5), 110 * ((j + 0.5) / rows - 0.5), 100
        found.append(T)
    return found


def meshes(count: int, points: np.ndarray, faces: list[Face]) -> dict[str, dr.Mesh]:
    """One body as often as `poses` says, each a mesh."""
    found = {}
    for k, T in enumerate(poses(count)):
        radius = np.cbrt(np.linalg.det(T[:3, :3]))
        T[:3, :3] /= radius
        found[f"b{k}"] = dr.Mesh(points * radius, faces, T_world_mesh=dr.nearest_rigid(T))
    return found


def bodies(count: int) -> Problem:
    """`count` egg-shaped bodies of 80 faces by mask and depth, the pose of each free: 6 parameters."""
    shapes = meshes(count, *ball(6, 8))
    renderer = dr.Renderer(
        dr.Scene(camera(), shapes),
        free=[f"{name}.pose" for name in shapes],
        output=["mask", "depth"],
        background=[None, 0.0],
    )
    offsets = np.random.default_rng(2).normal(0, 1.0, (count, 6)) * [0.05, 0.05, 0.05, 0.02, 0.02, 0.02]
    return observe(renderer, offsets.reshape(-1), 0.01, {})


SCENES = {"spheres": (spheres, 100), "vertices": (vertices, 1000), "bodies": (bodies, 300)}


def build(options: dict[str, str]) -> Contender:
    """Cases `fit` and `kernels` of the scene that the command line names."""
    make, count = SCENES[options.get("scene", "spheres")]
    problem = make(int(options.get("count", count)))
    went: list[tuple[np.ndarray, bool]] = []

    def note(record: dr.StepRecord) -> None:
        assert record.theta is not None
        went.append((record.theta.copy(), record.accepted))

    result = problem.fit(callback=note)
    renderer, observed = problem.renderer, problem.observed

    def kernels(_: int) -> None:
        for k, (theta, accepted) in enumerate(went):
            if k:
                renderer.cost(theta, observed)
            if accepted:
                renderer.normal_equations(theta, observed)

    accepted = sum(a for _, a in went)
    text = f"P = {renderer.theta0.size}, {result.steps} trials, {accepted} normal equations, {result.status.value}"
    cases = {"fit": Case(lambda k: problem.fit(), note=text), "kernels": Case(kernels)}
    return Contender(cases, {"diffrt_aot": dr.__version__})


if __name__ == "__main__":
    main(build)
