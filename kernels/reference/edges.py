"""Edges of meshes, the faces that meet there, and which of them are silhouettes."""

from dataclasses import dataclass

import numpy as np

from kernels.geometry.triangle import plane_of_triangle, silhouette_edge
from kernels.numbers import Vec3, value_of
from kernels.reference.primitives import vertices_of
from kernels.silhouettes.edge import cross_edge

# Of a face's longest side squared: twice the area of a face that counts as none.
DEGENERATE = 1e-10
# Edges that cross the camera plane are cut at this part of the depth that they reach.
NEAR = 1e-6


@dataclass(frozen=True)
class Edge:
    """An edge in the camera frame, with partials by theta.

    Attributes:
        name: of its mesh.
        start, end: where it begins and ends.
        vertices: the same, as indices of welded vertices.
        faces: its faces, [(id, along)]: along is 1 for those that have their side directed as the edge, else -1.
    """

    name: str
    start: Vec3
    end: Vec3
    vertices: tuple
    faces: list

    def side(self, primitives):
        """1 or -1, the side of the edge on which all of its faces lie, as seen from the camera; 0 for no silhouette.

        A face that is seen edge-on lies on that side on which it would if one saw its back: of its edges, which are
        at the same place in the image, one is a silhouette then.
        """
        sides = set()
        for k, along in self.faces:
            _, determinant = plane_of_triangle(*(p.map(value_of) for p in primitives[k].corners))
            sides.add(along if determinant > 0.0 else -along)
        return sides.pop() if len(sides) == 1 else 0.0

    def silhouette(self, direction, side):
        """q, positive on a side of the edge's line."""
        return silhouette_edge(direction, (self.start + self.end) * 0.5, self.end - self.start, side)

    def projected(self, fx, fy, cx, cy):
        """The ends in the image [px], as far as they are before the camera; None if the edge is behind it."""
        ends = self.start.map(value_of), self.end.map(value_of)
        near = NEAR * max(end.z for end in ends)
        if near <= 0.0:
            return None
        a, b = (p if p.z >= near else p + (q - p) * ((near - p.z) / (q.z - p.z)) for p, q in (ends, ends[::-1]))
        return tuple((fx * p.x / p.z + cx, fy * p.y / p.z + cy) for p in (a, b))

    def inverse_depth(self, direction):
        """1/z of the edge's line, along a ray that meets it."""
        middle, span = ((self.start + self.end) * 0.5).map(value_of), (self.end - self.start).map(value_of)
        across = span.cross(middle.cross(span))
        return across.dot(direction) / across.dot(middle)

    def pieces(self, side, camera, intrinsics):
        """Its pieces in pixels: (v, u, value of q at their centres, Piece), all arrays; None if there are none.

        And (before, after), indices of the welded vertices from and to which the pieces run.
        """
        ends = self.projected(*intrinsics)
        if ends is None:
            return None
        fx, fy, cx, cy = intrinsics
        (a, b), span = ends, (self.end - self.start).map(value_of)
        normal = ((self.start + self.end) * 0.5).map(value_of).cross(span) * side
        gradient = (normal.x / fx, normal.y / fy)
        first, last = np.floor(np.minimum(a, b) - 0.5), np.ceil(np.maximum(a, b) + 0.5)
        (u0, v0), (u1, v1) = np.maximum(first, 0), np.minimum(last, (camera.width - 1, camera.height - 1))
        v, u = (x.ravel() for x in np.meshgrid(np.arange(v0, v1 + 1), np.arange(u0, u1 + 1), indexing="ij"))
        value = normal.x * (u - cx) / fx + normal.y * (v - cy) / fy + normal.z
        near = np.abs(value) <= 0.5 * (abs(gradient[0]) + abs(gradient[1])) * (1.0 + 1e-9)
        u, v, value = u[near], v[near], value[near]
        if not len(u):
            return None
        piece = cross_edge(value, gradient, (a[0] - u, a[1] - v), (b[0] - u, b[1] - v))
        swapped = (b[0] - a[0]) * gradient[1] - (b[1] - a[1]) * gradient[0] < 0.0
        return v, u, value, piece, self.vertices[::-1] if swapped else self.vertices


def edges_of(scene, parameters):
    """All edges of all meshes. Ids are those of `primitives_of`."""
    first = sum(not hasattr(shape, "faces") for shape in scene.shapes.values())
    result = []
    for name, shape in scene.shapes.items():
        if not hasattr(shape, "faces"):
            continue
        vertices, positions = vertices_of(scene, parameters, name), np.asarray(shape.vertices, dtype=np.float64)
        welded, found = weld(positions), {}
        for f, face in enumerate(shape.faces):
            if _degenerate(*positions[face]):
                continue
            for k in range(3):
                start, end = welded[face[k]], welded[face[(k + 1) % 3]]
                along = -1.0 if (end, start) in found else 1.0
                found.setdefault((start, end) if along > 0.0 else (end, start), []).append((first + f, along))
        result += [Edge(name, vertices[a], vertices[b], (a, b), faces) for (a, b), faces in found.items()]
        first += len(shape.faces)
    return result


def weld(vertices):
    """For each vertex, the lowest index of a vertex at its position: a seam in a texture is none of the surface."""
    first = {}
    return [first.setdefault(tuple((vertex + 0.0).tolist()), k) for k, vertex in enumerate(vertices)]


def _degenerate(a, b, c):
    longest = max(side @ side for side in (b - a, c - b, a - c))
    return not np.linalg.norm(np.cross(b - a, c - a)) > DEGENERATE * longest
