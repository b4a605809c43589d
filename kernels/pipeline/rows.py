"""The local Jacobian row of each pixel: partials by the slots of the primitive that it sees, and by the camera's
intrinsics.

In a tile's block the partial by slot k of channel c is plane c * planes + k; the intrinsics' slots come last in
`planes`. `channel` is the first of this output. Only pixels that see this group are written.
"""

import taichi as ti

from kernels.cameras.pinhole import pinhole_direction
from kernels.numbers import partial_of, seed
from kernels.numbers.traced import Traced, element, keep
from kernels.pipeline.surfaces import Tables, concerns, differentiate, lanes_seen
from kernels.pipeline.target import pixel_x, pixel_y

CAMERA_SLOTS = 4


def rows(target, output, surface, camera):
    """Rows of one output for one shape, with the intrinsics (fx, fy, cx, cy) among the slots or not."""
    numbers, integers, scalars, indices = target.numbers, target.integers, target.scalars, target.indices
    slots = len(surface.slots)

    table_type = surface.table(target)

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        first_tile: ti.i32,
        tiles_x: ti.i32,
        fx: ti.f32,
        fy: ti.f32,
        cx: ti.f32,
        cy: ti.f32,
        pivot_x: ti.f32,
        pivot_y: ti.f32,
        pivot_z: ti.f32,
        channels: ti.i32,
        channel: ti.i32,
        planes: ti.i32,
        first_id: ti.i32,
        count: ti.i32,
        stride: ti.i32,
        vertex_stride: ti.i32,
        table: table_type,
        faces: indices,
        vertices_camera: scalars,
        inverse_depth: numbers,
        ids: integers,
        row_planes: numbers,
    ):
        ti.loop_config(serialize=target.serial)
        for step in range(begin, end):
            tile = target.tile(step)
            start = ((tile - first_tile) * channels + channel) * planes * target.block
            for row in range(target.first_row(step), target.end_row(step)):
                v = pixel_y(tile, tiles_x, row)
                for q in range(target.first_across(step), target.end_across(step)):
                    u = pixel_x(target, tile, tiles_x, q)
                    p = (tile - first_tile) * target.block + row * target.across + q
                    if concerns(target, ids[p], first_id, count):
                        differentiate_pixel(
                            u,
                            v,
                            (fx, fy, cx, cy),
                            inverse_depth[p],
                            ids[p],
                            (first_id, count),
                            Tables(table, stride, faces, vertices_camera, vertex_stride, (pivot_x, pivot_y, pivot_z)),
                            row_planes,
                            start + row * target.across + q,
                            planes,
                        )

    def differentiate_pixel(u, v, intrinsics, inverse, id_expression, group, tables, row_planes, i, planes):
        camera_numbers = [Traced(a) for a in intrinsics]
        if camera:
            camera_numbers = [seed(a, slots + k) for k, a in enumerate(camera_numbers)]
        direction = pinhole_direction(target.packet(u), Traced(v), *camera_numbers)
        seen, lanes = lanes_seen(target, id_expression, *group)
        z, normal = differentiate(surface, target, tables, lanes, direction, inverse, seen, seeded=True)
        channels = output.function(direction, z, normal)
        total = slots + (CAMERA_SLOTS if camera else 0)
        for k in range(total):
            plane = k if k < slots else planes - (total - k)
            for c, channel in enumerate(channels):
                place = element(row_planes, keep(i + (c * planes + plane) * target.block))
                place._assign(Traced.where(seen, partial_of(channel, k), target.packet(place)).expression)

    return kernel
