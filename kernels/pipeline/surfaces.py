"""The shapes as the kernels see them: how a packet of pixels, each with its own primitive, fetches its surface.

A `Surface` gathers the parameters of the primitive that each lane sees, seeds them with the shape's slots, and gives
depth and normal as duals. To add a shape, write its geometry, its visibility kernel, and its Surface here.
"""

from dataclasses import dataclass

import taichi as ti

from kernels.geometry import plane as plane_geometry
from kernels.geometry import sphere as sphere_geometry
from kernels.geometry import triangle as triangle_geometry
from kernels.numbers import Dual, Vec3, seed
from kernels.numbers.traced import Traced, keep
from kernels.pipeline.prepare import NORMAL, OFFSET
from kernels.pipeline.visibility import PLANE_COMPONENTS, SIDE, SPHERE_COMPONENTS


@dataclass(frozen=True)
class Tables:
    """The arguments of a kernel that hold the primitives of a group; which of them mean anything depends on the
    shape.
    """

    table: object
    stride: object
    faces: object
    vertices_camera: object
    vertex_stride: object
    pivot: tuple = ()


@dataclass(frozen=True)
class Surface:
    """A shape's slots and its function.

    `function(target, tables, ids, direction, z, seeded)` returns (z, normal): z with partials if seeded, and normal a
    function without arguments. `ids` are the lanes' indices into the tables.
    `sample(target, tables, ids, seeded)` returns a function (direction, spread) -> (z, normal), which needs no z, also
    for rays that pass the primitive by, a little; see pipeline/samples.py. `extends` tells whether depth may grow
    without bound there.
    """

    name: str
    slots: tuple
    function: object
    sample: object
    extends: bool = True
    by_rows: bool = True

    def table(self, target):
        """The type of a group's table: a primitive's numbers lie side by side, or those of one kind do."""
        return target.rows if self.by_rows else target.scalars


def _seeded(values, seeded):
    return [seed(v, k) for k, v in enumerate(values)] if seeded else values


def sphere(target, tables, ids, direction, z, seeded):
    values = target.gather_row(tables.table, ids, SPHERE_COMPONENTS, SIDE + 1)
    x, y, depth, radius = _seeded(values[:4], seeded)
    center, side = Vec3(x, y, depth), values[SIDE]
    z = sphere_geometry.differentiate_sphere(z, direction, center, radius)
    return z, lambda: sphere_geometry.normal_sphere(z, direction, center, radius, side)


def sample_sphere(target, tables, ids, seeded):
    values = target.gather_row(tables.table, ids, SPHERE_COMPONENTS, SIDE + 1)
    inverse_gap, side = values[4:]
    x, y, depth, radius = _seeded(values[:4], seeded)
    center = Vec3(x, y, depth)
    gap = 1.0 / inverse_gap
    if seeded:
        gap = Dual(gap, (center.dot(center) - radius * radius).partials)

    def at(direction, spread):
        z = sphere_geometry.mean_depth_sphere(direction, center, radius, gap, spread, side)
        return z, lambda: sphere_geometry.normal_sphere(z, direction, center, radius, side)

    return at


def _sample_plane(normal, offset):
    def at(direction, spread):
        return offset / normal.dot(direction), lambda: plane_geometry.normal_plane(direction, normal)

    return at


def plane(target, tables, ids, direction, z, seeded):
    x, y, depth, offset = _seeded(target.gather_row(tables.table, ids, PLANE_COMPONENTS, 4), seeded)
    normal = Vec3(x, y, depth)
    z = plane_geometry.differentiate_plane(z, direction, normal, offset)
    return z, lambda: plane_geometry.normal_plane(direction, normal)


def sample_plane(target, tables, ids, seeded):
    x, y, z, offset = _seeded(target.gather_row(tables.table, ids, PLANE_COMPONENTS, 4), seeded)
    return _sample_plane(Vec3(x, y, z), offset)


def _rigid_plane(target, tables, ids, seeded):
    table, stride = tables.table, tables.stride
    x, y, z, offset = (
        target.gather(table, [(NORMAL + c) * stride + k for k in ids]) for c in range(OFFSET - NORMAL + 1)
    )
    normal = Vec3(x, y, z)
    if seeded:
        pivot = Vec3(*(Traced(component) for component in tables.pivot))
        normal, offset = triangle_geometry.move_plane(normal, offset, pivot)
    return normal, offset


def sample_rigid_triangle(target, tables, ids, seeded):
    return _sample_plane(*_rigid_plane(target, tables, ids, seeded))


def rigid_triangle(target, tables, ids, direction, z, seeded):
    normal, offset = _rigid_plane(target, tables, ids, seeded)
    z = plane_geometry.differentiate_plane(z, direction, normal, offset)
    return z, lambda: plane_geometry.normal_plane(direction, normal)


def _free_plane(target, tables, ids, seeded):
    faces, vertices = tables.faces, tables.vertices_camera
    stride, vertex_stride = tables.stride, tables.vertex_stride
    values = []
    for corner in range(3):
        vertex_ids = target.gather_integers(faces, [corner * stride + k for k in ids])
        values += [target.gather(vertices, [axis * vertex_stride + k for k in vertex_ids]) for axis in range(3)]
    values = _seeded(values, seeded)
    a, b, c = (Vec3(*values[3 * corner : 3 * corner + 3]) for corner in range(3))
    return triangle_geometry.plane_of_triangle(a, b, c)


def sample_free_triangle(target, tables, ids, seeded):
    return _sample_plane(*_free_plane(target, tables, ids, seeded))


def free_triangle(target, tables, ids, direction, z, seeded):
    normal, offset = _free_plane(target, tables, ids, seeded)
    z = plane_geometry.differentiate_plane(z, direction, normal, offset)
    return z, lambda: plane_geometry.normal_plane(direction, normal)


SURFACES = (
    Surface("sphere", sphere_geometry.SLOTS, sphere, sample_sphere, extends=False),
    Surface("plane", plane_geometry.SLOTS, plane, sample_plane),
    Surface("triangle", triangle_geometry.RIGID_SLOTS, rigid_triangle, sample_rigid_triangle, by_rows=False),
    Surface("free_triangle", triangle_geometry.FREE_SLOTS, free_triangle, sample_free_triangle, by_rows=False),
)


def concerns(target, id_expression, first_id, count):
    """Whether one of the lanes sees a primitive with an id in [first_id, first_id + count)."""
    return lanes_in(target, id_expression, first_id, count).anywhere()


def lanes_in(target, id_expression, first_id, count):
    """Which of the lanes' ids lie in [first_id, first_id + count)."""
    lower, upper = target.splat(first_id, ti.i32), target.splat(first_id + count, ti.i32)
    ids = keep(id_expression)
    return Traced((ids >= lower) & (ids < upper), target.lanes)


def lanes_seen(target, id_expression, first_id, count):
    """Which lanes see a primitive with an id in [first_id, first_id + count), and each lane's index into that range.

    A lane that sees something else gets index 0: what it fetches is thrown away.
    """
    mine = lanes_in(target, id_expression, first_id, count)
    local = id_expression - target.splat(first_id, ti.i32)
    return mine, target.lanes_of(keep(ti.select(mine.expression, local, target.splat(0, ti.i32))))


def differentiate(surface, target, tables, ids, direction, inverse_depth, seen, seeded):
    """(z, normal) of the surface that the lanes in `seen` see."""
    z = 1.0 / Traced.where(seen, Traced(inverse_depth, target.lanes), 1.0)
    return surface.function(target, tables, ids, direction, z, seeded)
