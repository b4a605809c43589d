"""Pixels integrated exactly, in float64: how much of each a sphere or a polygon covers, and what it shows on average.

An oracle that shares no code and no derivation with the product. For a sphere, a ray d = (x, y, 1) hits where
(d . c)^2 >= (d . d)(c . c - r^2): at fixed x a quadratic in y, so a column of the image is covered between its roots, a
chord. Chords there are from x_mid - x_half to x_mid + x_half, and like a circle's they end in a root: with
x = x_mid + x_half sin(s), and y likewise along a chord, all that is integrated is analytic between the pixel's sides,
and Gauss-Legendre nodes give it to rounding. Polygons are clipped to the pixel (Sutherland and Hodgman,
"Reentrant polygon clipping", 1974) and measured by the shoelace formula.

Pixel (column i, row j) covers [i - 1/2, i + 1/2] x [j - 1/2, j + 1/2]. Derivatives are central differences: the areas
are exact to about 1e-14, so steps that move an edge by 1e-5 px give a column to 1e-9.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from oracles.renderer import World, world_at

Array = NDArray[np.float64]

NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)


class Chords:
    """The columns of a sphere's silhouette, in x = (u - cx) / fx and y = (v - cy) / fy."""

    def __init__(self, center: Array, radius: float) -> None:
        assert center[2] > radius, "the silhouette is an ellipse only where the sphere is in front of the camera plane"
        self.center, self.gap = center, center @ center - radius * radius
        # The chord's ends are the roots of a y^2 + 2 b(x) y + c(x); its discriminant vanishes at x_mid -+ x_half.
        self.a = center[1] ** 2 - self.gap
        self.flat = center[2] ** 2 - radius**2
        self.x_mid, self.x_half = self._extent(0)
        self.y_mid, self.y_half = self._extent(1)

    def _extent(self, axis: int) -> tuple[float, float]:
        c, z, other = self.center[axis], self.center[2], self.center[1 - axis] ** 2 - self.gap
        return c * z / self.flat, float(np.sqrt((c * z) ** 2 + self.flat * (z * z + other)) / self.flat)

    def x(self, s: Array) -> Array:
        return self.x_mid + self.x_half * np.sin(s)

    def middle(self, s: Array) -> Array:
        return -self.center[1] * (self.x(s) * self.center[0] + self.center[2]) / self.a

    def half(self, s: Array) -> Array:
        """Half the chord's length."""
        return np.sqrt(self.gap * self.flat) * self.x_half * np.cos(s) / -self.a

    def s_of(self, x: Array) -> Array:
        return np.arcsin(np.clip((x - self.x_mid) / self.x_half, -1.0, 1.0))

    def kinks(self, y: float) -> list[float]:
        """Where, as s, the silhouette crosses the line at height y."""
        x, height = self.center[0], y * self.center[1] + self.center[2]
        a, b, c = x * x - self.gap, x * height, height**2 - self.gap * (y * y + 1)
        if b * b <= a * c:
            return []
        root = np.sqrt(b * b - a * c)
        return [float(self.s_of((-b + sign * root) / a)) for sign in (-1, 1)]


def sphere_coverage(world: World, which: int = 0) -> Array:
    """(H, W), how much of each pixel the sphere number `which` covers. It is wholly in front of the camera."""
    chords = Chords(*in_camera(world, which))
    (width, height), K = world.size, world.K
    sides = chords.s_of((np.arange(width + 1) - 0.5 - K[0, 2]) / K[0, 0])
    result = np.zeros((height, width))
    for row in range(height):
        bottom, top = ((row + d - K[1, 2]) / K[1, 1] for d in (-0.5, 0.5))
        inner = np.array(chords.kinks(bottom) + chords.kinks(top) + [0.0])
        breaks = np.sort(np.concatenate([sides, inner]))
        s0, s1 = breaks[:-1, None], breaks[1:, None]
        s = 0.5 * (s0 + s1) + 0.5 * (s1 - s0) * NODES
        middle, half = chords.middle(s), chords.half(s)
        length = np.clip(middle + half, bottom, top) - np.clip(middle - half, bottom, top)
        areas = np.sum(length * np.cos(s) * WEIGHTS, axis=1) * 0.5 * (s1 - s0)[:, 0] * chords.x_half
        column = np.searchsorted(sides, 0.5 * (s0 + s1)[:, 0]) - 1
        here = (column >= 0) & (column < width) & (s1 > s0)[:, 0]
        np.add.at(result[row], column[here], areas[here] * K[0, 0] * K[1, 1])
    return result


def sphere_integral(world: World, function: Callable[[Array, Array], Array], which: int = 0) -> Array:
    """(H, W), the integral of function(rays (..., 3) unit, distance (...)) over the part of each pixel that it covers.

    The function may have a root at the silhouette, as the distance has.
    """
    center, radius = in_camera(world, which)
    chords = Chords(center, radius)
    (width, height), K = world.size, world.K
    sides = chords.s_of((np.arange(width + 1) - 0.5 - K[0, 2]) / K[0, 0])
    result = np.zeros((height, width))
    for row in range(height):
        bottom, top = ((row + d - K[1, 2]) / K[1, 1] for d in (-0.5, 0.5))
        if bottom >= chords.y_mid + chords.y_half or top <= chords.y_mid - chords.y_half:
            continue
        kinks = [*chords.kinks(bottom), *chords.kinks(top)]
        for column in np.flatnonzero(sides[1:] > sides[:-1]):
            first, last = sides[column : column + 2]
            breaks = np.unique(np.clip([first, last, *kinks], first, last))
            # A chord's part that ends at a side of the pixel goes like a root near a kink: hence the sine of the sine.
            s0, s1 = breaks[:-1, None], breaks[1:, None]
            s = 0.5 * (s0 + s1) + 0.5 * (s1 - s0) * np.sin(0.5 * np.pi * NODES)
            ds = 0.25 * np.pi * (s1 - s0) * np.cos(0.5 * np.pi * NODES) * WEIGHTS
            x, middle, half = chords.x(s), chords.middle(s), chords.half(s)
            t0 = np.arcsin(np.clip((bottom - middle) / half, -1.0, 1.0))[..., None]
            t1 = np.arcsin(np.clip((top - middle) / half, -1.0, 1.0))[..., None]
            t = 0.5 * (t0 + t1) + 0.5 * (t1 - t0) * NODES
            y = middle[..., None] + half[..., None] * np.sin(t)
            rays = np.stack([np.broadcast_to(x[..., None], y.shape), y, np.ones_like(y)], axis=-1)
            lengths = np.linalg.norm(rays, axis=-1)
            rays /= lengths[..., None]
            # The root of (ray . c)^2 - gap, which is 0 at both ends of the chord, without the cancellation.
            root = np.sqrt(-chords.a) * half[..., None] * np.cos(t) / lengths
            values = function(rays, rays @ center - root) * np.cos(t) * WEIGHTS * 0.5 * (t1 - t0)
            along = np.sum(values, axis=-1) * half
            result[row, column] = np.sum(along * np.cos(s) * ds) * chords.x_half * K[0, 0] * K[1, 1]
    return result


def in_camera(world: World, which: int = 0) -> tuple[Array, float]:
    """Center and radius of a sphere in the camera frame."""
    center, radius = world.spheres[which]
    R, origin = world.T_world_camera[:3, :3], world.T_world_camera[:3, 3]
    return R.T @ (center - origin), radius


def sphere_image(world: World, output: str, background: float, which: int = 0) -> Array:
    """(H, W), the integral of an output (distance, depth, mask or shade) over each pixel: a sphere and a background."""
    center, radius = in_camera(world, which)
    functions: dict[str, Callable[[Array, Array], Array]] = {
        "distance": lambda rays, distance: distance,
        "depth": lambda rays, distance: distance * rays[..., 2],
        "mask": lambda rays, distance: np.ones(distance.shape),
        "shade": lambda rays, distance: (rays @ center - distance) / radius,
    }
    return sphere_integral(world, functions[output], which) + background * (1.0 - sphere_coverage(world, which))


def sphere_area(center: Array, radius: float, fx: float, fy: float) -> float:
    """The area [px^2] of the ellipse that a sphere in the camera frame projects to, also of complex numbers."""
    square = center[0] ** 2 + center[1] ** 2 + center[2] ** 2
    return fx * fy * np.pi * radius**2 * np.sqrt(square - radius**2) / (center[2] ** 2 - radius**2) ** 1.5


def projected(world: World, points: Array) -> Array:
    """(N, 2), where points (N, 3) of the world in front of the camera are in the image [px]."""
    R, origin = world.T_world_camera[:3, :3], world.T_world_camera[:3, 3]
    X = (points - origin) @ R
    assert np.all(X[:, 2] > 0), "behind the camera"
    return np.stack([world.K[k, k] * X[:, k] / X[:, 2] + world.K[k, 2] for k in (0, 1)], axis=1)


def hull_of_mesh(world: World, faces: slice = slice(None)) -> Array:
    """The silhouette of a convex mesh (faces of `world.triangles`): the convex hull of its vertices in the image."""
    return convex_hull(projected(world, world.triangles[faces].reshape(-1, 3)))


def convex_hull(points: Array) -> Array:
    """(N, 2), its corners in order (Andrew's monotone chain, 1979), the area positive."""
    ordered = np.unique(points, axis=0)
    halves = []
    for sequence in (ordered, ordered[::-1]):
        chain: list[Array] = []
        for p in sequence:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], p) <= 0:
                chain.pop()
            chain.append(p)
        halves += chain[:-1]
    return np.array(halves)


def _turn(a: Array, b: Array, c: Array) -> float:
    return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))


def clipped(polygon: Array, normal: Array, offset: float) -> Array:
    """The part of a convex polygon where normal . p <= offset."""
    if not len(polygon):
        return polygon
    heights = polygon @ normal - offset
    corners = []
    for k, (p, h) in enumerate(zip(polygon, heights, strict=True)):
        q, g = polygon[k - 1], heights[k - 1]
        if (h <= 0) != (g <= 0):
            corners.append(q + (p - q) * (g / (g - h)))
        if h <= 0:
            corners.append(p)
    return np.array(corners).reshape(-1, 2)


def intersection(polygon: Array, other: Array) -> Array:
    """What two convex polygons, both with positive area, have in common."""
    for k in range(len(other)):
        edge = other[k] - other[k - 1]
        outward = np.array([edge[1], -edge[0]])
        polygon = clipped(polygon, outward, float(outward @ other[k]))
    return polygon


def polygon_area(polygon: Array) -> float:
    """By the shoelace formula; positive if the corners turn from x to y."""
    if len(polygon) < 3:
        return 0.0
    x, y = (polygon - polygon[0]).T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def polygon_coverage(polygon: Array, size: tuple[int, int]) -> Array:
    """(H, W), how much of each pixel a convex polygon with positive area covers; size is (W, H)."""
    width, height = size
    result = np.zeros((height, width))
    if len(polygon) < 3:
        return result
    u, v = np.meshgrid(np.arange(width + 1) - 0.5, np.arange(height + 1) - 0.5)
    corners = np.stack([u, v], axis=-1)
    edges = np.roll(polygon, -1, axis=0) - polygon
    outward = np.stack([edges[:, 1], -edges[:, 0]], axis=1)
    heights = corners @ outward.T - np.sum(outward * polygon, axis=1)  # of each corner of a pixel over each edge
    around = np.stack([heights[:-1, :-1], heights[1:, :-1], heights[:-1, 1:], heights[1:, 1:]])
    result[np.all(around <= 0, axis=(0, 3))] = 1.0
    touched = ~np.all(around <= 0, axis=(0, 3)) & ~np.any(np.all(around >= 0, axis=0), axis=2)
    for j, i in np.argwhere(touched):
        piece = polygon
        for axis, side in ((0, i), (1, j)):
            unit = np.eye(2)[axis]
            piece = clipped(clipped(piece, unit, side + 0.5), -unit, -(side - 0.5))
        result[j, i] = polygon_area(piece)
    return result


def differences(scene: object, free: list[str], theta: Array, steps: Array, image: Callable[[World], Array]) -> Array:
    """(..., P), central differences by theta of an image that is a function of the world, steps[k] for parameter k."""
    columns = []
    for k, step in enumerate(steps):
        h = np.zeros(len(theta))
        h[k] = step
        ahead, behind = (image(world_at(scene, free, theta + sign * h)) for sign in (1, -1))
        columns.append((ahead - behind) / (2 * step))
    return np.stack(columns, axis=-1)
