"""Primitives in the camera frame, their numbers carrying partials by theta: sphere, plane, triangle.

Each knows the name of its shape.
`inverse_depth(direction)` is 1/z of the visible point on plain numbers, <= 0 where the ray misses.
`surface(z, direction)` is (z, normal) there with partials; `normal` is a function without arguments, for outputs.
`extended(direction, spread)` is (z, normal) too, also a little beyond the primitive's edge; `spread` as in
`mean_depth_sphere`. The direction may carry partials: where the point of the image moves, so does what is seen.
`silhouette(direction)` is q (`kernels.silhouettes`), and `crossing(direction, fx, fy)` the Crossing of the pixels
around rays, None where there is no silhouette. Of meshes, edges have these: `kernels.reference.edges`.
"""

from dataclasses import dataclass

import numpy as np

from kernels.geometry.plane import (
    conic_of_plane,
    differentiate_plane,
    inverse_depth_plane,
    normal_plane,
    silhouette_plane,
)
from kernels.geometry.sphere import (
    conic_of_sphere,
    differentiate_sphere,
    inverse_depth_sphere,
    mean_depth_sphere,
    normal_sphere,
    silhouette_sphere,
)
from kernels.geometry.triangle import edges_of_triangle, plane_of_triangle
from kernels.numbers import Vec3, value_of
from kernels.silhouettes.conic import SMALL_RADIUS, Conic, cross_conic
from kernels.silhouettes.ellipse import cross_ellipse
from kernels.silhouettes.gentle import cross_gentle


@dataclass(frozen=True)
class Sphere:
    """|X - center| = radius."""

    name: str
    center: Vec3
    radius: object

    @property
    def gap(self):
        """c.c - r^2: positive with the camera outside. On the surface itself the camera counts as inside."""
        center, radius = self.center.map(value_of), value_of(self.radius)
        square = center.dot(center)
        gap = (np.sqrt(square) - radius) * (np.sqrt(square) + radius)
        return gap if abs(gap) > 1e-12 * square else -1e-12 * (square or radius * radius)

    @property
    def side(self):
        return 1.0 if self.gap > 0.0 else -1.0

    def inverse_depth(self, direction):
        center, radius = self.center.map(value_of), value_of(self.radius)
        return inverse_depth_sphere(direction, center, radius, 1.0 / self.gap, self.side)

    def surface(self, z, direction):
        z = differentiate_sphere(z, direction, self.center, self.radius)
        return z, lambda: normal_sphere(z, direction, self.center, self.radius, self.side)

    def extended(self, direction, spread=1.0):
        gap = self.center.dot(self.center) - self.radius * self.radius
        z = mean_depth_sphere(direction, self.center, self.radius, gap, spread, self.side)
        return z, lambda: normal_sphere(z, direction, self.center, self.radius, self.side)

    def silhouette(self, direction):
        radius = value_of(self.radius)
        return silhouette_sphere(direction, self.center, self.radius, 1.0 / (radius * radius))

    def crossing(self, direction, fx, fy):
        center, radius = self.center.map(value_of), value_of(self.radius)
        if self.gap <= 0.0 or center.z <= -radius:  # seen from inside, or wholly behind the camera
            return None
        conic = conic_of_sphere(direction, center, radius, fx, fy)
        if center.z <= radius:
            return cross_conic(conic)
        conic = Conic(conic.value, conic.gradient, conic.hessian)
        return cross_ellipse(conic) if _smallest_radius(conic) < SMALL_RADIUS else cross_gentle(conic)


def _smallest_radius(conic):
    """A lower bound of an ellipse's radius of curvature [px]: of the unit circle of M it is 1 / sqrt(8)."""
    (gx, gy), (hxx, hxy, hyy) = (np.ravel(g)[0] for g in conic.gradient), conic.hessian
    determinant = hxx * hyy - hxy * hxy
    x, y = (hxy * gy - hyy * gx) / determinant, (hxy * gx - hxx * gy) / determinant
    peak = np.ravel(conic.value)[0] + 0.5 * (gx * x + gy * y)
    trace, determinant = -(hxx + hyy) / (2.0 * peak), determinant / (4.0 * peak * peak)
    return np.sqrt(determinant / trace) / trace


@dataclass(frozen=True)
class Plane:
    """normal . X = offset."""

    name: str
    normal: Vec3
    offset: object

    def inverse_depth(self, direction):
        normal, offset = self.normal.map(value_of), value_of(self.offset)
        if offset == 0.0:  # through the camera centre: seen edge-on
            return direction.x * 0.0
        return inverse_depth_plane(direction, normal, 1.0 / offset)

    def surface(self, z, direction):
        z = differentiate_plane(z, direction, self.normal, self.offset)
        return z, lambda: normal_plane(direction, self.normal)

    def extended(self, direction, spread=1.0):
        z = value_of(self.offset) / value_of(self.normal.dot(direction))
        return self.surface(z, direction)

    def silhouette(self, direction):
        return silhouette_plane(direction, self.normal, np.sign(value_of(self.offset)))

    def crossing(self, direction, fx, fy):
        if value_of(self.offset) == 0.0:
            return None
        side = np.sign(value_of(self.offset))
        return cross_gentle(conic_of_plane(direction, self.normal.map(value_of), side, fx, fy))


@dataclass(frozen=True)
class Triangle:
    """Corners a, b, c, seen from both sides."""

    name: str
    a: Vec3
    b: Vec3
    c: Vec3

    @property
    def corners(self):
        return self.a, self.b, self.c

    def inverse_depth(self, direction):
        corners = [corner.map(value_of) for corner in self.corners]
        normal, determinant = plane_of_triangle(*corners)
        if determinant == 0.0:  # edge-on, or without area
            return direction.x * 0.0
        inside = direction.x * 0.0 == 0.0
        for edge in edges_of_triangle(*corners):
            inside &= edge.dot(direction) * np.sign(determinant) >= 0.0
        return np.where(inside, inverse_depth_plane(direction, normal, 1.0 / determinant), 0.0)

    def surface(self, z, direction):
        normal, offset = plane_of_triangle(*self.corners)
        z = differentiate_plane(z, direction, normal, offset)
        return z, lambda: normal_plane(direction, normal)

    def extended(self, direction, spread=1.0):
        normal, offset = plane_of_triangle(*self.corners)
        return self.surface(value_of(offset) / value_of(normal.dot(direction)), direction)


def primitives_of(scene, parameters):
    """All primitives in the camera frame, in the order of their ids: spheres, planes, the faces of each mesh."""
    R_camera_world, t_world_camera = _camera(scene, parameters)
    spheres, planes, triangles = [], [], []
    for name, shape in scene.shapes.items():
        if hasattr(shape, "radius"):
            (center,) = parameters.vectors(f"{name}.center")
            (radius,) = parameters.numbers(f"{name}.radius")
            spheres.append(Sphere(name, R_camera_world @ (center - t_world_camera), radius))
        elif hasattr(shape, "normal"):
            (point,), (normal,) = parameters.vectors(f"{name}.point"), parameters.vectors(f"{name}.normal")
            unit = normal.normalized()
            planes.append(Plane(name, R_camera_world @ unit, unit.dot(point - t_world_camera)))
        else:
            vertices = vertices_of(scene, parameters, name)
            triangles += [Triangle(name, *(vertices[k] for k in face)) for face in shape.faces]
    return spheres + planes + triangles


def vertices_of(scene, parameters, name):
    """The vertices of a mesh in the camera frame."""
    R_camera_world, t_world_camera = _camera(scene, parameters)
    R_world_mesh, t_world_mesh = parameters.pose(f"{name}.pose", scene.shapes[name].T_world_mesh)
    return [
        R_camera_world @ (R_world_mesh @ vertex + t_world_mesh - t_world_camera)
        for vertex in parameters.vectors(f"{name}.vertices")
    ]


def _camera(scene, parameters):
    R_world_camera, t_world_camera = parameters.pose("camera.pose", scene.camera.T_world_camera)
    return R_world_camera.transpose(), t_world_camera


def nearest(primitives, direction):
    """Inverse depth of the nearest primitive along rays, 0 where there is none; and its id, -1 where there is none.

    Of equals, the one that comes first.
    """
    inverse_depth = np.zeros(np.shape(direction.x))
    ids = np.full(inverse_depth.shape, -1)
    for k, primitive in enumerate(primitives):
        inverse = primitive.inverse_depth(direction)
        nearer = inverse > inverse_depth
        inverse_depth, ids = np.where(nearer, inverse, inverse_depth), np.where(nearer, k, ids)
    return inverse_depth, ids
