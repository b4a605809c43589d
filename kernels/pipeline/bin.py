"""Bin primitives into tiles: count, scan (by the runtime), fill. Inside a tile they keep the order of their indices.

The range of primitives is cut into chunks, each with a row of counters, one per tile. The scan turns the counters into
the places where a chunk writes, tile by tile and chunk by chunk, so that the lists are the same for any chunks.
"""

import taichi as ti

from kernels.pipeline.target import TILE


def bin_count(target):
    """counters[chunk * tiles + tile] += 1 for each tile that the bounds of a primitive touch."""
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32, end: ti.i32, tiles_x: ti.i32, stride: ti.i32, counter: ti.i32, bounds: scalars, counters: indices
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            if bounds[i] <= bounds[2 * stride + i]:
                x0 = ti.cast(bounds[i], ti.i32) // TILE
                y0 = ti.cast(bounds[stride + i], ti.i32) // TILE
                x1 = ti.cast(bounds[2 * stride + i], ti.i32) // TILE
                y1 = ti.cast(bounds[3 * stride + i], ti.i32) // TILE
                for y in range(y0, y1 + 1):
                    for x in range(x0, x1 + 1):
                        tile = counter + y * tiles_x + x
                        counters[tile] = counters[tile] + 1  # not +=, which would be atomic

    return kernel


def bin_fill(target):
    """candidates[counters[chunk * tiles + tile]++] = primitive, in the order of the primitives."""
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        tiles_x: ti.i32,
        stride: ti.i32,
        counter: ti.i32,
        bounds: scalars,
        counters: indices,
        candidates: indices,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            if bounds[i] <= bounds[2 * stride + i]:
                x0 = ti.cast(bounds[i], ti.i32) // TILE
                y0 = ti.cast(bounds[stride + i], ti.i32) // TILE
                x1 = ti.cast(bounds[2 * stride + i], ti.i32) // TILE
                y1 = ti.cast(bounds[3 * stride + i], ti.i32) // TILE
                for y in range(y0, y1 + 1):
                    for x in range(x0, x1 + 1):
                        tile = counter + y * tiles_x + x
                        place = counters[tile]
                        candidates[place] = i
                        counters[tile] = place + 1

    return kernel
