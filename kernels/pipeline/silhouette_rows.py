"""How a crossed pixel depends on the object whose silhouette crosses it, by the silhouette's motion.

The row of a pixel is by_area d(area) + by_inside (d f_in + grad f_in . d u_in + ...) + by_outside (...), with the
rule's derivatives, and the centroids u_in = moment / area and u_out = -moment / (1 - area). All that moves with the
silhouette is the integral of jump * dq / |grad q| over the silhouette in the pixel, a sum over its nodes, where the
jump is linear in x and y. Rows: partial by slot k of channel c at (c * planes + k) * stride + i, the camera's slots, if
it has any, last. For edges the runtime gives the jump: components (1, x, y) of channel c of number i at (3 c +
component) * stride + i.
"""

from functools import reduce
from operator import or_

import taichi as ti

from kernels.cameras.pinhole import pinhole_direction
from kernels.geometry.plane import silhouette_plane
from kernels.geometry.sphere import silhouette_sphere
from kernels.geometry.triangle import move_edge, silhouette_edge
from kernels.numbers import Vec3, partial_of, rarely, seed, where
from kernels.numbers.traced import Traced, element, keep
from kernels.pipeline.crossings import (
    AREA,
    KIND_NODES,
    KINDS,
    LEAST_AREA,
    MOMENT,
    NODES,
    RARE_ARCS,
    SPREAD_SLOPE,
    pixel_centres,
)
from kernels.pipeline.edges import LINE, PIECE_NODES
from kernels.pipeline.rows import CAMERA_SLOTS
from kernels.pipeline.samples import IMAGE_SLOTS
from kernels.pipeline.visibility import PLANE_COMPONENTS, SPHERE_COMPONENTS


def camera_of(intrinsics, slots, camera):
    numbers = [Traced(a) for a in intrinsics]
    return [seed(a, slots + k) for k, a in enumerate(numbers)] if camera else numbers


def _add_node(target, q, slots, camera, weight, jump, rows, c, i, planes, stride, first):
    total = slots + (CAMERA_SLOTS if camera else 0)
    weight = weight * jump
    for k in range(total):
        plane = k if k < slots else planes - (total - k)
        place = element(rows, (c * planes + plane) * stride + i)
        term = partial_of(q, k) * weight
        place._assign((term if first else target.packet(place) + term).expression)


def _jump(target, jumps, c, i, stride, x, y):
    constant, by_x, by_y = (target.packet(element(jumps, (3 * c + k) * stride + i)) for k in range(3))
    return constant + by_x * x + by_y * y


def _node(target, crossings, stride, i, first, k):
    return [target.packet(element(crossings, (first + 3 * k + c) * stride + i)) for c in range(3)]


def load_sphere(target, table, ids):
    """q of the lanes' spheres as a function of the direction; slots seeded."""
    values = target.gather_row(table, ids, SPHERE_COMPONENTS, 4)
    x, y, z, radius = (seed(v, k) for k, v in enumerate(values))
    scale = 1.0 / (values[3] * values[3])
    return lambda direction: silhouette_sphere(direction, Vec3(x, y, z), radius, scale)


def load_plane(target, table, ids):
    """q of the lanes' planes; the offset does not move the horizon."""
    values = target.gather_row(table, ids, PLANE_COMPONENTS, 4)
    x, y, z = (seed(v, k) for k, v in enumerate(values[:3]))
    side = where(values[3] > 0.0, 1.0, -1.0)
    return lambda direction: silhouette_plane(direction, Vec3(x, y, z), side)


def silhouette_rows(target, load, kind, camera):
    """Rows of spheres (of a kind) or planes: numbers [begin, end) of crossings, with what is shown inside.

    `by_*` and `partials` (pipeline/samples.py) have both sides of a channel, `stride` numbers each. The partials of the
    outer side are multiplied by the rule's derivative in place.
    """
    numbers, table_rows, indices = target.numbers, target.rows, target.indices
    slots = 4

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        left: ti.i32,
        top: ti.i32,
        stride: ti.i32,
        channels: ti.i32,
        planes: ti.i32,
        fx: ti.f32,
        fy: ti.f32,
        cx: ti.f32,
        cy: ti.f32,
        table: table_rows,
        pixels: indices,
        primitives: indices,
        crossings: numbers,
        by_area: numbers,
        by_inside: numbers,
        by_outside: numbers,
        partials: numbers,
        rows: numbers,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            for c in range(channels):
                j = 2 * c * stride + i
                run(
                    i,
                    c,
                    left,
                    top,
                    stride,
                    planes,
                    (fx, fy, cx, cy),
                    table,
                    pixels,
                    primitives,
                    crossings,
                    (by_area[j], by_inside[j], by_outside[j]),
                    partials,
                    rows,
                )
                for plane in range(planes):
                    behind = (2 * (c * (planes + IMAGE_SLOTS) + plane) + 1) * stride + i
                    partials[behind] = weigh(by_outside[j], partials[behind])

    def run(i, c, left, top, stride, planes, intrinsics, table, pixels, primitives, crossings, rule, partials, rows):
        ids = [element(primitives, i * target.lanes + k) for k in range(target.lanes)]
        q_of = load(target, table, ids)
        x0, y0 = pixel_centres(target, i, left, top, pixels)
        camera_numbers = camera_of(intrinsics, slots, camera)

        def partial(plane, side):
            return target.packet(element(partials, (2 * (c * (planes + IMAGE_SLOTS) + plane) + side) * stride + i))

        def component(k):
            return target.packet(element(crossings, k * stride + i))

        rule = [target.packet(number) for number in rule]
        image = [[partial(planes + k, side) for k in range(IMAGE_SLOTS)] for side in (0, 1)]
        moment = (component(MOMENT), component(MOMENT + 1))
        constant, by_x, by_y = jump_of(component(AREA), moment, component(SPREAD_SLOPE), rule, *image)
        total = slots + (CAMERA_SLOTS if camera else 0)

        def add(sums, nodes):
            for k in nodes:
                x, y, weight = _node(target, crossings, stride, i, NODES, k)
                q = q_of(pinhole_direction(x0 + x, y0 + y, *camera_numbers))
                weight = weight * (constant + by_x * x + by_y * y)
                sums = [partial_of(q, s) * weight + term for s, term in enumerate(sums)]
            return sums

        rare = RARE_ARCS[KINDS[kind]]
        certain = rare[0] if rare else KIND_NODES[kind]
        sums = add([0.0] * total, range(certain))
        if rare:
            there = reduce(or_, (component(NODES + 3 * k + 2) > 0.0 for k in rare))
            sums = rarely(there, lambda: add(sums, range(certain, KIND_NODES[kind])), sums)
        for k, term in enumerate(sums):
            plane = k if k < slots else planes - (total - k)
            shown = Traced(weigh(rule[1].expression, partial(plane, 0).expression), target.lanes)
            element(rows, (c * planes + plane) * stride + i)._assign((term + shown).expression)

    def weigh(factor, partial):
        return keep(ti.select(factor == 0.0, target.splat(0.0), factor * partial))

    return kernel


def jump_of(area, moment, spread_slope, rule, inside, outside):
    """The jump along a silhouette: constant, and its slopes by x and y.

    Args:
        rule: the rule's derivatives by area, inside and outside.
        inside, outside: what is shown there, differentiated by x, y and spread.
    """
    by_area, by_inside, by_outside = rule
    constant, slopes = by_area + by_inside * inside[2] * spread_slope, (0.0, 0.0)
    for part, factor, shown, sign in ((area, by_inside, inside, 1.0), (1.0 - area, by_outside, outside, -1.0)):
        there = part > LEAST_AREA
        inverse = where(there, 1.0 / where(there, part, 1.0), 0.0)
        x, y = (factor * inverse * slope for slope in shown[:2])
        constant = constant - (x * moment[0] + y * moment[1]) * inverse
        slopes = (slopes[0] + sign * x, slopes[1] + sign * y)
    return constant, *slopes


def silhouette_rows_edge(target, free, camera):
    """Rows of pieces of edges: by the motion of a rigid mesh, or by the six coordinates of the edge's ends."""
    numbers, scalars, indices = target.numbers, target.scalars, target.indices
    slots = 6

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        left: ti.i32,
        top: ti.i32,
        stride: ti.i32,
        channels: ti.i32,
        planes: ti.i32,
        edge_stride: ti.i32,
        face_stride: ti.i32,
        vertex_stride: ti.i32,
        fx: ti.f32,
        fy: ti.f32,
        cx: ti.f32,
        cy: ti.f32,
        pivot_x: ti.f32,
        pivot_y: ti.f32,
        pivot_z: ti.f32,
        components: scalars,
        first_half_edges: indices,
        faces: indices,
        vertices_camera: scalars,
        pixels: indices,
        primitives: indices,
        pieces: numbers,
        jumps: numbers,
        rows: numbers,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            for c in range(channels):
                run(
                    i,
                    c,
                    (left, top, stride, planes, edge_stride, face_stride, vertex_stride),
                    (fx, fy, cx, cy),
                    (pivot_x, pivot_y, pivot_z),
                    (components, first_half_edges, faces, vertices_camera, pixels, primitives),
                    pieces,
                    jumps,
                    rows,
                )

    def run(i, c, layout, intrinsics, pivot, arrays, pieces, jumps, rows):
        left, top, stride, planes, edge_stride, face_stride, vertex_stride = layout
        components, first_half_edges, faces, vertices, pixels, primitives = arrays
        ids = [element(primitives, i * target.lanes + k) for k in range(target.lanes)]
        edges = (components, edge_stride, first_half_edges)
        q_of = load_edge(target, free, ids, edges, (faces, face_stride), (vertices, vertex_stride), pivot)
        x0, y0 = pixel_centres(target, i, left, top, pixels)
        camera_numbers = camera_of(intrinsics, slots, camera)
        for k in range(2):
            x, y, weight = _node(target, pieces, stride, i, PIECE_NODES, k)
            q = q_of(pinhole_direction(x0 + x, y0 + y, *camera_numbers))
            jump = _jump(target, jumps, c, i, stride, x, y)
            _add_node(target, q, slots, camera, weight, jump, rows, c, i, planes, stride, k == 0)

    return kernel


def load_edge(target, free, ids, edges, faces, vertices, pivot):
    """q of the lanes' edges as a function of the direction; seeded are a rigid motion, or the six coordinates."""
    components, edge_stride, first_half_edges = edges
    (corner_ids, face_stride), (positions, vertex_stride) = faces, vertices
    half_edges = target.gather_integers(first_half_edges, ids)
    ends = []
    for step in (1, 2):
        corners = [((h % 3 + step) % 3) * face_stride + h // 3 for h in half_edges]
        vertex_ids = target.gather_integers(corner_ids, corners)
        ends.append([target.gather(positions, [axis * vertex_stride + v for v in vertex_ids]) for axis in range(3)])
    start, end = (Vec3(*values) for values in ends)
    line = Vec3(*(target.gather(components, [(LINE + a) * edge_stride + k for k in ids]) for a in range(3)))
    side = where(line.dot(((start + end) * 0.5).cross(end - start)) > 0.0, 1.0, -1.0)
    if free:
        start, end = (Vec3(*(seed(v, 3 * k + axis) for axis, v in enumerate(ends[k]))) for k in range(2))
        middle, span = (start + end) * 0.5, end - start
    else:
        middle, span = move_edge(start, end, Vec3(*(Traced(a) for a in pivot)))
    return lambda direction: silhouette_edge(direction, middle, span, side)
