"""What given surfaces show at given image points: f_in and f_out beside silhouettes, with partials.

Each sample names the primitive that is seen, so nothing is searched, and the surface may be evaluated a little beyond
its edge. Where that would leave the neighbourhood (1/z not within a factor of 2 of `reference`, 1/z where the
primitive was seen), the sample is taken at its fallback point instead. `spread` stands for the mean over a part of a
pixel (geometry/sphere.py); it is 1 for a plain value. A `reference` of 0 asks for no check.

Values: channel c of number i at c * stride + i. Partials: plane k of channel c at (c * planes + k) * stride + i; the
slots of the primitive come first, those of the camera, if it has any, before the last three: by x, y and spread.

Number i of a side is at side * part + i, and stride is 2 * part; points [px] have x at 2 * side * part + i, y `part`
numbers on. Of the outer side spread is 1. Where another group, or nothing, is seen, what is there stays; if it is
`fresh` nothing is there yet: then the background, or 1 where something is seen, and partials of 0.
"""

import taichi as ti

from kernels.cameras.pinhole import pinhole_direction
from kernels.numbers import partial_of, seed, value_of, where
from kernels.numbers.traced import Traced, element
from kernels.pipeline.rows import CAMERA_SLOTS
from kernels.pipeline.surfaces import Tables, lanes_seen

# Partials by x, y [px] and spread.
IMAGE_SLOTS = 3


def samples(target, output, surface, camera, seeded):
    """Samples of one output on one shape, on both sides; without `seeded` no partials are written."""
    numbers, integers, scalars, indices = target.numbers, target.integers, target.scalars, target.indices

    table_type = surface.table(target)

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        fx: ti.f32,
        fy: ti.f32,
        cx: ti.f32,
        cy: ti.f32,
        pivot_x: ti.f32,
        pivot_y: ti.f32,
        pivot_z: ti.f32,
        background: ti.f32,
        fresh: ti.i32,
        channel: ti.i32,
        planes: ti.i32,
        part: ti.i32,
        first_id: ti.i32,
        count: ti.i32,
        stride: ti.i32,
        vertex_stride: ti.i32,
        table: table_type,
        faces: indices,
        vertices_camera: scalars,
        points: numbers,
        beside: numbers,
        reference: numbers,
        spread: numbers,
        ids: integers,
        values: numbers,
        partials: numbers,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            for side in range(2):
                ratio = spread[i]
                if side == 1:
                    ratio = target.splat(1.0)
                x = 2 * side * part + i
                run(
                    side * part + i,
                    (points[x], points[x + part]),
                    (beside[x], beside[x + part]),
                    reference[side * part + i],
                    ratio,
                    ids[side * part + i],
                    (fx, fy, cx, cy),
                    (first_id, count),
                    Tables(table, stride, faces, vertices_camera, vertex_stride, (pivot_x, pivot_y, pivot_z)),
                    (values, partials),
                    (channel, planes, 2 * part),
                    (fresh, background),
                )

    run = sampler(target, output, surface, camera, seeded)
    return kernel


def sampler(target, output, surface, camera, seeded):
    """The function that takes number i of a list of samples and writes values and partials.

    `start` is (fresh, background), or None where what is there stays in any case.
    """
    slots = len(surface.slots)

    def run(
        i, point, fallback, reference, spread, id_expression, intrinsics, group, tables, results, layout, start=None
    ):
        seen, ids = lanes_seen(target, id_expression, *group)
        at = surface.sample(target, tables, ids, seeded)
        camera_numbers = [Traced(a) for a in intrinsics]
        x, y = (target.packet(p) for p in point)
        reference, spread = target.packet(reference), target.packet(spread)
        near = True
        if surface.extends:
            z, _ = at(pinhole_direction(x, y, *camera_numbers), spread)
            z = value_of(z)
            near = (reference <= 0.0) | ((z * reference < 2.0) & (z * reference > 0.5))
            x, y = (where(near, p, target.packet(q)) for p, q in zip((x, y), fallback, strict=True))
        if seeded:
            x, y, spread = (seed(v, slots + CAMERA_SLOTS + k) for k, v in enumerate((x, y, spread)))
            if camera:
                camera_numbers = [seed(a, slots + k) for k, a in enumerate(camera_numbers)]
        direction = pinhole_direction(x, y, *camera_numbers)
        z, normal = at(direction, spread)
        channel, planes, stride = layout
        for c, shown in enumerate(output.function(direction, z, normal)):
            place = element(results[0], (channel + c) * stride + i)
            place._assign(where(seen, value_of(shown), otherwise(target, place, start, id_expression)).expression)
            if not seeded:
                continue
            own = [(k, partial_of(shown, k)) for k in range(slots)]
            if camera:
                own += [
                    (planes - IMAGE_SLOTS - CAMERA_SLOTS + k, partial_of(shown, slots + k)) for k in range(CAMERA_SLOTS)
                ]
            for k in range(IMAGE_SLOTS):
                e = partial_of(shown, slots + CAMERA_SLOTS + k)
                own.append((planes - IMAGE_SLOTS + k, where(near, e, 0.0)))
            for k, e in own:
                place = element(results[1], ((channel + c) * planes + k) * stride + i)
                place._assign(where(seen, e, otherwise(target, place, start)).expression)

    return run


def otherwise(target, place, start, id_expression=None):
    """What a place holds whose sample is not of this group: a value, or without ids a partial."""
    if start is None:
        return target.packet(place)
    fresh = target.packet(target.splat(ti.cast(start[0], ti.f32))) > 0.5
    first = 0.0
    if id_expression is not None:
        empty = Traced(id_expression < target.splat(0, ti.i32), target.lanes)
        first = where(empty, Traced(start[1]), 1.0)
    return where(fresh, first, target.packet(place))
