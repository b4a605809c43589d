"""Primitives in the camera frame, their numbers carrying partials by theta: sphere, plane, triangle.

`inverse_depth(direction)` is 1/z of the visible point on plain numbers, <= 0 where the ray misses.
`surface(z, direction)` is (z, normal) there with partials; `normal` is a function without arguments, for outputs.
"""

from dataclasses import dataclass

import numpy as np

from kernels.geometry.plane import differentiate_plane, inverse_depth_plane, normal_plane
from kernels.geometry.sphere import differentiate_sphere, inverse_depth_sphere, normal_sphere
from kernels.geometry.triangle import edges_of_triangle, plane_of_triangle
from kernels.numbers import Vec3, value_of


@dataclass(frozen=True)
class Sphere:
    """|X - center| = radius."""

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


@dataclass(frozen=True)
class Plane:
    """normal . X = offset."""

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


@dataclass(frozen=True)
class Triangle:
    """Corners a, b, c, seen from both sides."""

    a: Vec3
    b: Vec3
    c: Vec3

    def inverse_depth(self, direction):
        corners = [corner.map(value_of) for corner in (self.a, self.b, self.c)]
        normal, determinant = plane_of_triangle(*corners)
        if determinant == 0.0:  # edge-on, or without area
            return direction.x * 0.0
        inside = direction.x * 0.0 == 0.0
        for edge in edges_of_triangle(*corners):
            inside &= edge.dot(direction) * np.sign(determinant) >= 0.0
        return np.where(inside, inverse_depth_plane(direction, normal, 1.0 / determinant), 0.0)

    def surface(self, z, direction):
        normal, offset = plane_of_triangle(self.a, self.b, self.c)
        z = differentiate_plane(z, direction, normal, offset)
        return z, lambda: normal_plane(direction, normal)


def primitives_of(scene, parameters):
    """All primitives in the camera frame, in the order of their ids: spheres, planes, the faces of each mesh."""
    R_world_camera, t_world_camera = parameters.pose("camera.pose", scene.camera.T_world_camera)
    R_camera_world = R_world_camera.transpose()
    spheres, planes, triangles = [], [], []
    for name, shape in scene.shapes.items():
        if hasattr(shape, "radius"):
            (center,) = parameters.vectors(f"{name}.center")
            (radius,) = parameters.numbers(f"{name}.radius")
            spheres.append(Sphere(R_camera_world @ (center - t_world_camera), radius))
        elif hasattr(shape, "normal"):
            (point,), (normal,) = parameters.vectors(f"{name}.point"), parameters.vectors(f"{name}.normal")
            unit = normal.normalized()
            planes.append(Plane(R_camera_world @ unit, unit.dot(point - t_world_camera)))
        else:
            R_world_mesh, t_world_mesh = parameters.pose(f"{name}.pose", shape.T_world_mesh)
            vertices = [
                R_camera_world @ (R_world_mesh @ vertex + t_world_mesh - t_world_camera)
                for vertex in parameters.vectors(f"{name}.vertices")
            ]
            triangles += [Triangle(*(vertices[k] for k in face)) for face in shape.faces]
    return spheres + planes + triangles
