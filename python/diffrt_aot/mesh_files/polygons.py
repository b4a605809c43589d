"""Polygons to triangles: fans where they are right, ear clipping where they are not.

A polygon's plane is that of Newell's normal, the sum of x_i x x_(i+1): twice its area vector, wherever the origin is
and whether or not its corners lie in one plane. A fan around a corner is right where each of its triangles is
turned as the polygon is; of every simple quadrilateral one of the two is. What no fan divides loses its ears one by
one (Meisters 1975: every simple polygon has two). The areas of the triangles always add up to the polygon's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from diffrt_aot._arguments import FloatArray, IntArray
from diffrt_aot.errors import SceneFileError

#: Below this part of the polygon's own area a triangle has none.
_NO_AREA = 1e-12

#: How many corners are tried as the centre of a fan.
_FANS = 8

#: Bounds the memory for what is computed of each corner.
_CORNERS_AT_ONCE = 1_000_000

#: How often no ear may be found in a polygon before none is looked for any more: it is not a simple one.
_PATIENCE = 4

#: Ears are looked for one by one, in a time that grows with the square of the corners (here about two seconds).
_MOST_CORNERS = 10_000


@np.errstate(all="ignore")  # of corners that are not finite or overflow
def triangulate(vertices: FloatArray, corners: IntArray, counts: IntArray) -> IntArray:
    """Return the triangles (F, 3) of polygons, in the polygons' order and turned as they are.

    vertices (V, 3); corners: indices into them, valid, polygon after polygon; counts: corners of each, 3 or more.
    """
    if (counts == 3).all():
        return corners.reshape(-1, 3)
    first_corner = np.cumsum(counts) - counts
    first_face = np.cumsum(counts - 2) - (counts - 2)
    faces = np.empty((int((counts - 2).sum()), 3), np.int64)
    for n in np.unique(counts):
        rows = np.flatnonzero(counts == n)
        for part in np.array_split(rows, 1 + len(rows) * int(n) // _CORNERS_AT_ONCE):
            polygons = corners[first_corner[part, None] + np.arange(n)]
            faces[first_face[part, None] + np.arange(n - 2)] = _divide(vertices, polygons)
    return faces


def _divide(vertices: FloatArray, polygons: IntArray) -> IntArray:
    """Return the triangles (m, n - 2, 3) of polygons (m, n)."""
    n = polygons.shape[1]
    fan = np.stack([np.zeros(n - 2, int), np.arange(1, n - 1), np.arange(2, n)], axis=1)
    triangles = polygons[:, fan]
    if n == 3:
        return triangles
    points = vertices[polygons] - vertices[polygons[:, :1]]
    size = np.abs(points).max(axis=(1, 2))
    points /= np.where(size > 0.0, size, 1.0)[:, None, None]
    normals = np.cross(points, np.roll(points, -1, axis=1)).sum(axis=1)
    least = _least_area(points, normals, fan)
    enough = _NO_AREA * (normals**2).sum(axis=1)
    for centre in range(1, min(n, _FANS) if n > 4 else 2):
        rows = np.flatnonzero(~(least > enough))
        other = (fan + centre) % n
        area = _least_area(points[rows], normals[rows], other)
        better = area > least[rows]
        rows = rows[better]
        triangles[rows], least[rows] = polygons[rows][:, other], area[better]
    if n > 4:  # of a quadrilateral the better fan is the answer, crossed or without area as it may be
        for row in np.flatnonzero(~(least > enough)):
            triangles[row] = polygons[row][_clip_ears(_in_plane(points[row], normals[row]))]
    return triangles


def _least_area(points: FloatArray, normals: FloatArray, fan: IntArray) -> FloatArray:
    """Return the least signed area in each fan, times four and the length of the normal."""
    a, b, c = (points[:, fan[:, k]] for k in range(3))
    areas: FloatArray = np.einsum("mtk,mk->mt", np.cross(b - a, c - a), normals)
    least: FloatArray = areas.min(axis=1)
    return least


def _in_plane(points: FloatArray, normal: FloatArray) -> FloatArray:
    """Return the points (n, 2) in their plane, where the polygon turns counterclockwise."""
    axis = np.eye(3)[np.abs(normal).argmin()]
    u = np.cross(axis, normal)
    v = np.cross(normal, u)
    basis = np.stack([u, v], axis=1)
    length = np.linalg.norm(basis, axis=0)
    flat: FloatArray = points @ (basis / np.where(length > 0.0, length, 1.0))
    return flat


def _clip_ears(points: FloatArray) -> npt.NDArray[np.int64]:
    """Return the triangles (n - 2, 3) of a polygon (n, 2) that turns counterclockwise."""
    n = len(points)
    if n > _MOST_CORNERS:
        raise SceneFileError(
            f"has a polygon of {n} corners that is not convex, where at most {_MOST_CORNERS} are divided; let the "
            "program that wrote the file triangulate it"
        )
    x, y = points[:, 0], points[:, 1]
    before, after = np.roll(np.arange(n), 1), np.roll(np.arange(n), -1)
    left = np.ones(n, bool)

    def area(a: int, b: int, c: int) -> float:
        return float((x[b] - x[a]) * (y[c] - y[a]) - (x[c] - x[a]) * (y[b] - y[a]))

    areas = np.array([area(before[i], i, after[i]) for i in range(n)])
    no_area = _NO_AREA * abs(float((x * y[after] - x[after] * y).sum()))

    def is_ear(a: int, b: int, c: int) -> bool:
        if not areas[b] > no_area:
            return False
        inside = left & ~(areas > no_area)  # only corners that are not convex can be the first within
        for start, end in ((a, b), (b, c), (c, a)):
            inside &= (x[end] - x[start]) * (y - y[start]) - (x - x[start]) * (y[end] - y[start]) >= -no_area
            inside &= (x != x[start]) | (y != y[start])  # a bridge to a hole has its corners twice
        return not inside.any()

    triangles = []
    corner, patience = 0, _PATIENCE
    for remaining in range(n, 3, -1):
        for _ in range(remaining if patience else 0):
            if is_ear(before[corner], corner, after[corner]):
                break
            corner = int(after[corner])
        else:  # it crosses itself, or all is straight: cut what changes least
            patience = max(patience - 1, 0)
            alive = np.flatnonzero(left)
            corner = int(alive[np.abs(areas[alive]).argmin()])
        a, c = int(before[corner]), int(after[corner])
        triangles.append((a, corner, c))
        left[corner] = False
        after[a], before[c] = c, a
        areas[a], areas[c] = area(before[a], a, c), area(a, c, after[c])
        corner = a
    triangles.append((int(before[corner]), corner, int(after[corner])))
    return np.array(triangles, np.int64)
