"""What each pixel shows: an output's channels, into the tile's block.

A block holds the channels of all outputs, one plane after another; `channel` is the first of this output.
"""

import taichi as ti

from kernels.cameras.pinhole import pinhole_direction
from kernels.numbers.traced import Traced, element
from kernels.pipeline.surfaces import Tables, concerns, differentiate, lanes_seen
from kernels.pipeline.target import pixel_x, pixel_y


def value_of_depth(target, output):
    """An output that looks at depth alone: one kernel for all shapes. Pixels that see nothing get the background."""
    numbers, integers = target.numbers, target.integers

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
        background: ti.f32,
        channels: ti.i32,
        channel: ti.i32,
        inverse_depth: numbers,
        ids: integers,
        image: numbers,
    ):
        ti.loop_config(serialize=target.serial)
        for step in range(begin, end):
            tile = target.tile(step)
            start = ((tile - first_tile) * channels + channel) * target.block
            for row in range(target.first_row(step), target.end_row(step)):
                v = pixel_y(tile, tiles_x, row)
                for q in range(target.first_across(step), target.end_across(step)):
                    u = pixel_x(target, tile, tiles_x, q)
                    p = (tile - first_tile) * target.block + row * target.across + q
                    image[start + row * target.across + q] = shown(u, v, (fx, fy, cx, cy), inverse_depth[p], background)

    def shown(u, v, intrinsics, inverse, background):
        direction = pinhole_direction(target.packet(u), Traced(v), *(Traced(a) for a in intrinsics))
        inverse = target.packet(inverse)
        hit = inverse > 0.0
        z = 1.0 / Traced.where(hit, inverse, 1.0)
        (channel,) = output.function(direction, z, None)
        return Traced.where(hit, channel, Traced(background)).expression

    return kernel


def value_of_surface(target, output, surface):
    """An output that looks at the normal: one kernel per shape, which writes the pixels that see this group."""
    numbers, integers, scalars, indices = target.numbers, target.integers, target.scalars, target.indices

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
        channels: ti.i32,
        channel: ti.i32,
        first_id: ti.i32,
        count: ti.i32,
        stride: ti.i32,
        vertex_stride: ti.i32,
        table: table_type,
        faces: indices,
        vertices_camera: scalars,
        inverse_depth: numbers,
        ids: integers,
        image: numbers,
    ):
        ti.loop_config(serialize=target.serial)
        for step in range(begin, end):
            tile = target.tile(step)
            start = ((tile - first_tile) * channels + channel) * target.block
            for row in range(target.first_row(step), target.end_row(step)):
                v = pixel_y(tile, tiles_x, row)
                for q in range(target.first_across(step), target.end_across(step)):
                    u = pixel_x(target, tile, tiles_x, q)
                    p = (tile - first_tile) * target.block + row * target.across + q
                    if concerns(target, ids[p], first_id, count):
                        show(
                            u,
                            v,
                            (fx, fy, cx, cy),
                            inverse_depth[p],
                            ids[p],
                            (first_id, count),
                            Tables(table, stride, faces, vertices_camera, vertex_stride),
                            image,
                            start + row * target.across + q,
                        )

    def show(u, v, intrinsics, inverse, id_expression, group, tables, image, i):
        direction = pinhole_direction(target.packet(u), Traced(v), *(Traced(a) for a in intrinsics))
        seen, lanes = lanes_seen(target, id_expression, *group)
        z, normal = differentiate(surface, target, tables, lanes, direction, inverse, seen, seeded=False)
        for c, channel in enumerate(output.function(direction, z, normal)):
            place = element(image, i + c * target.block)
            place._assign(Traced.where(seen, channel, target.packet(place)).expression)

    return kernel
