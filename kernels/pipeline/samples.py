"""What given surfaces show at given image points: f_in and f_out beside silhouettes, with partials.

Each sample names the primitive that is seen, so nothing is searched, and the surface may be evaluated a little beyond
its edge. Where that would leave the neighbourhood (1/z not within a factor of 2 of `reference`, 1/z where the
primitive was seen), the sample is taken at its fallback point instead; and if it leaves it there, too, as a face does
that is seen edge-on, its depth is that of `reference`. `spread` stands for the mean over a part of a
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
from kernels.pipeline.surfaces import Tables, concerns, lanes_seen

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
                j = side * part + i
                if fresh > 0:
                    clear(j, ids[j], background, channel, planes, 2 * part, values, partials)
                if concerns(target, ids[j], first_id, count):
                    ratio = spread[i]
                    if side == 1:
                        ratio = target.splat(1.0)
                    x = 2 * side * part + i
                    run(
                        j,
                        (points[x], points[x + part]),
                        (beside[x], beside[x + part]),
                        reference[j],
                        ratio,
                        ids[j],
                        (fx, fy, cx, cy),
                        (first_id, count),
                        Tables(table, stride, faces, vertices_camera, vertex_stride, (pivot_x, pivot_y, pivot_z)),
                        (values, partials),
                        (channel, planes, 2 * part),
                    )

    def clear(i, id_expression, background, channel, planes, stride, values, partials):
        empty = Traced(id_expression < target.splat(0, ti.i32), target.lanes)
        for c in range(output.channels):
            element(values, (channel + c) * stride + i)._assign(where(empty, Traced(background), 1.0).expression)
            for plane in written(len(surface.slots), camera, planes) if seeded else ():
                element(partials, ((channel + c) * planes + plane) * stride + i)._assign(target.splat(0.0))

    run = sampler(target, output, surface, camera, seeded)
    return kernel


def written(slots, camera, planes):
    """The planes of a channel's partials: by the primitive's slots, the camera's, and those of the image."""
    shared = IMAGE_SLOTS + (CAMERA_SLOTS if camera else 0)
    return [*range(slots), *(planes - shared + k for k in range(shared))]


def sampler(target, output, surface, camera, seeded):
    """The function that takes number i of a list of samples and writes values and partials."""
    slots = len(surface.slots)

    def in_neighbourhood(z, reference):
        return (reference <= 0.0) | ((z * reference < 2.0) & (z * reference > 0.5))

    def run(i, point, fallback, reference, spread, id_expression, intrinsics, group, tables, results, layout):
        seen, ids = lanes_seen(target, id_expression, *group)
        at = surface.sample(target, tables, ids, seeded)
        camera_numbers = [Traced(a) for a in intrinsics]
        x, y = (target.packet(p) for p in point)
        reference, spread = target.packet(reference), target.packet(spread)
        near = True
        if surface.extends:
            z, _ = at(pinhole_direction(x, y, *camera_numbers), spread)
            z = value_of(z)
            near = in_neighbourhood(z, reference)
            x, y = (where(near, p, target.packet(q)) for p, q in zip((x, y), fallback, strict=True))
        if seeded:
            x, y, spread = (seed(v, slots + CAMERA_SLOTS + k) for k, v in enumerate((x, y, spread)))
            if camera:
                camera_numbers = [seed(a, slots + k) for k, a in enumerate(camera_numbers)]
        direction = pinhole_direction(x, y, *camera_numbers)
        z, normal = at(direction, spread)
        if surface.extends:
            z = where(in_neighbourhood(value_of(z), reference), z, 1.0 / where(reference > 0.0, reference, 1.0))
        channel, planes, stride = layout

        def write(array, place, number):
            place = element(array, place * stride + i)
            place._assign(where(seen, number, target.packet(place)).expression)

        for c, shown in enumerate(output.function(direction, z, normal)):
            write(results[0], channel + c, value_of(shown))
            if not seeded:
                continue
            own = [partial_of(shown, k) for k in range(slots + (CAMERA_SLOTS if camera else 0))]
            own += [where(near, partial_of(shown, slots + CAMERA_SLOTS + k), 0.0) for k in range(IMAGE_SLOTS)]
            for plane, e in zip(written(slots, camera, planes), own, strict=True):
                write(results[1], (channel + c) * planes + plane, e)

    return run
