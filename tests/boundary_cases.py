"""Scenes whose silhouettes are in view, and the two implementations that render them: for tests of exact boundaries.

Lengths are such that a pixel is about 0.13 scene units wide where the shapes are, 6 away from the camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from oracles import renderer as oracle
from oracles import supersampled
from renderer_cases import CUBE, OCTAHEDRON, looking_at, pose

import diffrt_aot as dr
from diffrt_aot.scene import free_sizes
from kernels import reference

CAMERA = dr.PinholeCamera(40, 30, 45, 47, 19.3, 14.6)
ROTATED = CAMERA.replace(T_world_camera=looking_at((0.4, -0.2, 6.0), (5.0, -2.5, 2.5)))
BALL = dr.Sphere((0.4, -0.2, 6.0), 1.3)
BOX = dr.Mesh(CUBE[0] * 0.8, CUBE[1], pose((0.5, 0.7, -0.2), (0.3, -0.2, 6.0)))
GEM = dr.Mesh(OCTAHEDRON[0] * [1.1, 1.3, 1.5], OCTAHEDRON[1], pose((0.3, -0.4, 0.2), (0.4, -0.2, 6.0)))
WALL = dr.Plane((0.0, 0.0, 9.0), (0.2, 0.1, -1.0))
FLOOR = dr.Plane((0.5, 1.5, 5.0), (0.2, -2.0, -0.3))
OUTPUTS = list(oracle.OUTPUTS)
# What rays show that miss: far from what the shapes show.
BACKGROUND = {"distance": 9.0, "depth": 0.0, "mask": 0.0, "normal": -1.0, "shade": 0.0}
CAMERA_NAMES = ["camera.pose", "camera.focal", "camera.principal"]
BALL_NAMES = ["ball.center", "ball.radius"]


@dataclass(frozen=True)
class View:
    """A scene and its free names."""

    scene: dr.Scene
    free: list[str]

    @property
    def theta0(self) -> np.ndarray:
        return oracle.theta_of(self.scene, self.free)

    def pixel_steps(self) -> np.ndarray:
        """(P,), changes of each number that move an edge by about a pixel."""
        sizes = free_sizes(self.scene)
        return np.concatenate([np.zeros(0), *(np.ones(sizes[name]) * _pixel_step(name) for name in self.free)])

    def direction(self, seed: int) -> np.ndarray:
        """A random direction; a step of 1 along it moves edges by about a pixel."""
        noise = np.random.default_rng(seed).normal(size=len(self.theta0))
        return noise * self.pixel_steps() / np.sqrt(max(1, len(noise)))

    def world(self, theta: np.ndarray | None = None) -> oracle.World:
        return oracle.world_at(self.scene, self.free, self.theta0 if theta is None else theta)


def _pixel_step(name: str) -> Any:
    owner, field = name.split(".")
    if field == "pose":
        return np.repeat([0.13, 0.02 if owner == "camera" else 0.1], 3)
    return {"focal": 4.5, "principal": 1.0, "normal": 0.05}.get(field, 0.13)


def view(shapes: dict[str, Any], free: list[str], camera: dr.PinholeCamera = CAMERA) -> View:
    return View(dr.Scene(camera, shapes), free)


# Every shape, over nothing and in front of another.
VIEWS = {
    "sphere": view({"ball": BALL}, [*BALL_NAMES, *CAMERA_NAMES]),
    "sphere, camera rotated": view({"ball": BALL}, [*BALL_NAMES, *CAMERA_NAMES], ROTATED),
    "plane": view({"floor": FLOOR}, ["floor.point", "floor.normal", *CAMERA_NAMES]),
    "rigid mesh": view({"box": BOX}, ["box.pose", *CAMERA_NAMES]),
    "free vertices": view({"gem": GEM}, ["gem.vertices", "gem.pose", "camera.pose"]),
    "sphere before a plane": view(
        {"ball": BALL, "wall": WALL}, [*BALL_NAMES, "wall.point", "wall.normal", "camera.principal"]
    ),
    "mesh before a sphere": view(
        {"ball": dr.Sphere((0.9, 0.2, 9.0), 2.4), "box": BOX}, [*BALL_NAMES, "box.pose", "camera.focal"]
    ),
    "sphere before free vertices": view(
        {"ball": dr.Sphere((0.9, 0.3, 4.5), 0.6), "gem": GEM}, [*BALL_NAMES, "gem.vertices", "camera.pose"]
    ),
}
# Of a plane up to its horizon there is no mean distance: the integral diverges.
HORIZON_OUTPUTS = ["mask", "normal", "shade"]


def outputs_of(name: str) -> list[str]:
    """The outputs that a view's pixels have means of."""
    return HORIZON_OUTPUTS if name == "plane" else OUTPUTS


EVERY_VIEW = pytest.mark.parametrize("name", VIEWS)

# The two implementations, and how exactly each has what has a closed form: the largest error of a column, relative to
# the largest entry of its block; and of a coverage.
IMPLEMENTATIONS = ["reference", "device"]
BOTH = pytest.mark.parametrize("by", IMPLEMENTATIONS)
COLUMN = {"reference": 1e-5, "device": 2e-3}
COVERAGE = {"reference": 1e-6, "device": 2e-4}


class Rendered:
    """A view's images (H, W, C) and Jacobians (H, W, C, P) in float64, by one of the implementations."""

    def __init__(
        self,
        by: str,
        shown: View,
        outputs: Sequence[str],
        background: Sequence[float] | None = None,
        boundary: str = "exact",
        rules: dict[str, str] | None = None,
    ) -> None:
        self.theta0 = shown.theta0
        self._shown, self._outputs = shown, list(outputs)
        self._background = [BACKGROUND[name] for name in outputs] if background is None else list(background)
        self._options = {"boundary": boundary} if rules is None else {"boundary": boundary, "rules": rules}
        self._renderer = None
        if by == "device":
            self._renderer = renderer(shown, self._outputs, self._background, **self._options)

    def render(self, theta: np.ndarray | None = None) -> np.ndarray:
        if self._renderer is None:
            return self.jacobian(theta)[0]
        return self._channels(self._renderer.render(theta))

    def jacobian(self, theta: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        if self._renderer is None:
            theta = self.theta0 if theta is None else theta
            scene, free = self._shown.scene, self._shown.free
            image, J = reference.jacobian(scene, self._outputs, self._background, free, theta, **self._options)
        else:
            image, J = self._renderer.jacobian(theta)
            J = J.dense()
        image = self._channels(image)
        return image, J.astype(float).reshape(*image.shape, -1 if J.size else J.shape[-1])

    @staticmethod
    def _channels(image: np.ndarray) -> np.ndarray:
        return image.astype(float).reshape(*image.shape[:2], -1)


def renderer(
    shown: View,
    outputs: str | Sequence[str],
    background: float | Sequence[float | None] | None = None,
    boundary: str = "exact",
    **options: Any,
) -> dr.Renderer:
    """The package's renderer of a view."""
    return dr.Renderer(
        shown.scene, free=shown.free, output=outputs, background=background, boundary=boundary, **options
    )


def objects_of(scene: dr.Scene, ids: np.ndarray) -> np.ndarray:
    """Which shape each of the ray caster's ids belongs to, counted in the order of the ids; -1 is nothing."""
    sizes = [1 for s in scene.shapes.values() if not isinstance(s, dr.Mesh)]
    sizes += [len(s.faces) for s in scene.shapes.values() if isinstance(s, dr.Mesh)]
    owners = np.repeat(np.arange(len(sizes)), sizes)
    return np.where(ids < 0, -1, owners[ids])


@cache
def _objects_seen(name: str, reach: float) -> np.ndarray:
    return objects_seen(VIEWS[name], reach)


def objects_seen(shown: View, reach: float = 1.0, count: int = 9) -> np.ndarray:
    """(H, W, rays), the shapes that rays see through a grid over each pixel, sides included, `reach` times as wide."""
    steps = np.linspace(-0.5, 0.5, count) * reach
    world = shown.world()
    traced = [objects_of(shown.scene, oracle.trace(world, (x, y)).ids) for x in steps for y in steps]
    return np.stack(traced, axis=-1)


def crossed(shown: View, reach: float = 1.0) -> np.ndarray:
    """(H, W), pixels in which more than one shape, or a shape and nothing, is seen."""
    seen = objects_seen(shown, reach)
    return np.any(seen != seen[..., :1], axis=-1)


def crossed_of(name: str, reach: float = 1.0) -> np.ndarray:
    """The same for one of the VIEWS."""
    seen = _objects_seen(name, reach)
    return np.any(seen != seen[..., :1], axis=-1)


def sampled(shown: View, outputs: list[str], pixels: np.ndarray, order: int = 18) -> supersampled.Sampled:
    """What rays through the pixels (H, W) that are marked see, over the backgrounds above."""
    background = [BACKGROUND[name] for name in outputs]
    return supersampled.sample(shown.world(), outputs, background, np.argwhere(pixels), supersampled.lattice(order))


def block_sizes(shown: View, columns: np.ndarray) -> np.ndarray:
    """(P,), the largest entry of the block that a column belongs to; columns (..., P)."""
    largest = np.abs(columns).reshape(-1, columns.shape[-1]).max(axis=0)
    sizes = free_sizes(shown.scene)
    ends = np.cumsum([sizes[name] for name in shown.free])[:-1]
    return np.concatenate([np.full(len(part), part.max()) for part in np.split(largest, ends)])
