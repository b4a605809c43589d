"""A scene of one primitive, on a GPU: what `visibility`, `value`, `rows` and `storage` do in turn, in one launch.

Each pixel of the image is a thread, which writes an output's channels and its columns of J where they are wanted.
Nothing of it passes through tile blocks: a small image takes longer to hand on than to compute. Only which triangle of
a mesh is in front has been found out before.
"""

import taichi as ti

from kernels.cameras.pinhole import pinhole_direction
from kernels.numbers import partial_of, seed
from kernels.numbers.traced import Traced, element, keep
from kernels.pipeline.rows import CAMERA_SLOTS
from kernels.pipeline.storage import place_in_tile, tile_of
from kernels.pipeline.surfaces import Tables, differentiate, lanes_seen
from kernels.pipeline.target import STEPS
from kernels.pipeline.visibility import SIDE, plane_in_front, sphere_in_front


def draw(target, output, surface, camera):
    """One output in image [height, width, channels] and out [channels, columns, height, width].

    `matrix` is S, [slots, columns], the intrinsics' slots last; `channel` is the output's first; with `keeps_ids`
    seen [height, width] gets what each pixel sees. [begin, end) are pixels.
    """
    scalars, indices = target.scalars, target.indices
    slots = len(surface.slots)
    total = slots + (CAMERA_SLOTS if camera else 0)

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        tiles_x: ti.i32,
        width: ti.i32,
        pixels: ti.i32,
        fx: ti.f32,
        fy: ti.f32,
        cx: ti.f32,
        cy: ti.f32,
        inverse_fx: ti.f32,
        inverse_fy: ti.f32,
        pivot_x: ti.f32,
        pivot_y: ti.f32,
        pivot_z: ti.f32,
        background: ti.f32,
        channels: ti.i32,
        channel: ti.i32,
        columns: ti.i32,
        keeps_ids: ti.i32,
        first_id: ti.i32,
        count: ti.i32,
        stride: ti.i32,
        vertex_stride: ti.i32,
        table: scalars,
        faces: indices,
        vertices_camera: scalars,
        matrix: scalars,
        inverse_depth: scalars,
        ids: indices,
        image: scalars,
        out: scalars,
        seen: indices,
    ):
        for i in range(begin, end):
            x = i % width
            y = i // width
            u = ti.cast(x, ti.f32)
            v = ti.cast(y, ti.f32)
            inverse = 0.0
            nearest = -1
            if ti.static(surface.name in ("sphere", "plane")):
                ray_x = (u - cx) * inverse_fx
                ray_y = (v - cy) * inverse_fy
                if ti.static(surface.name == "plane"):
                    inverse = plane_in_front(target, ray_x, ray_y, table, 0)
                elif table[SIDE] > 0.0:
                    inverse = sphere_in_front(target, ray_x, ray_y, table, 0, 1.0)
                else:
                    inverse = sphere_in_front(target, ray_x, ray_y, table, 0, -1.0)
                if inverse > 0.0:
                    nearest = first_id
            else:
                p = tile_of(x, y, tiles_x) * STEPS + place_in_tile(x, y)
                inverse = inverse_depth[p]
                nearest = ids[p]
            if keeps_ids != 0:
                seen[i] = nearest
            if nearest >= 0:
                shown = shown_at(
                    u,
                    v,
                    (fx, fy, cx, cy),
                    inverse,
                    nearest,
                    (first_id, count),
                    Tables(table, stride, faces, vertices_camera, vertex_stride, (pivot_x, pivot_y, pivot_z)),
                )
                store_values(shown, image, i * channels + channel)
                for column in range(columns):
                    place = (channel * columns + column) * pixels + i
                    mix(shown, matrix, column, columns, out, place, columns * pixels)
            else:
                for c in range(output.channels):
                    image[i * channels + channel + c] = background
                for plane in range(channel * columns, (channel + output.channels) * columns):
                    out[plane * pixels + i] = 0.0

    def shown_at(u, v, intrinsics, inverse, id_expression, group, tables):
        seen, lanes = lanes_seen(target, id_expression, *group)

        def output_at(numbers, seeded):
            direction = pinhole_direction(target.packet(u), Traced(v), *numbers)
            z, normal = differentiate(surface, target, tables, lanes, direction, inverse, seen, seeded)
            return output.function(direction, z, normal)

        numbers = [Traced(a) for a in intrinsics]
        seeds = [seed(a, slots + k) for k, a in enumerate(numbers)] if camera else numbers
        # Values as `value` has them, to the last bit: duals round in other places.
        return Shown(output_at(numbers, seeded=False), output_at(seeds, seeded=True))

    def store_values(shown, image, first):
        for c, value in enumerate(shown.values):
            element(image, keep(first + c))._assign(value.expression)

    def mix(shown, matrix, column, columns, out, place, step):
        # A factor of 0 takes out what may not be finite.
        factors = [element(matrix, keep(s * columns + column)) for s in range(total)]
        for c, channel in enumerate(shown.channels):
            terms = [Traced(factor) * partial_of(channel, s) for s, factor in enumerate(factors)]
            taken = [keep(ti.select(f != 0.0, t.expression, 0.0)) for f, t in zip(factors, terms, strict=True)]
            element(out, keep(place + c * step))._assign(sum(taken[1:], taken[0]))

    return kernel


@ti.data_oriented
class Shown:
    """The channels of an output at a pixel, as values and as duals: a kernel's local variable."""

    def __init__(self, values, channels):
        self.values, self.channels = values, channels
