"""The columns of J, on a GPU: rows times S, into planes [channel, column, height, width] that hold 0 before.

S is the map from theta to the slots of primitives (cpp/src/renderer/linearization.hpp), as blocks: that of primitive i
begins at starts[i] of `blocks`, with the number of its columns, the number of the primitive's own slots, where its
coefficients [slots, columns] begin, and then its columns, ascending. Slots are its own and, after them, the camera's.
"""

import taichi as ti

from kernels.pipeline.crossed import layout as at

BLOCK_WIDTH, BLOCK_SLOTS, BLOCK_COEFFICIENTS, BLOCK_COLUMNS = range(4)


@ti.func
def add_entry(
    block,
    first,
    step,
    channels,
    planes,
    camera_slots,
    columns,
    pixel,
    pixels,
    blocks: ti.template(),
    coefficients: ti.template(),
    rows: ti.template(),
    out: ti.template(),
):
    """Adds an entry of a pixel's row, whose partial by plane k of channel c is rows[first + (c planes + k) step]."""
    width = blocks[block + BLOCK_WIDTH]
    own = blocks[block + BLOCK_SLOTS]
    start = blocks[block + BLOCK_COEFFICIENTS]
    for k in range(width):
        column = blocks[block + BLOCK_COLUMNS + k]
        for c in range(channels):
            total = 0.0
            for slot in range(own + camera_slots):
                factor = coefficients[start + slot * width + k]
                if factor != 0.0:
                    plane = slot
                    if slot >= own:
                        plane = planes - camera_slots + slot - own
                    total += factor * rows[first + (c * planes + plane) * step]
            place = (c * columns + column) * pixels + pixel
            out[place] = out[place] + total


def dense_rows(target):
    """What pixels [begin, end) depend on through the primitive that they see."""
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        channels: ti.i32,
        planes: ti.i32,
        camera_slots: ti.i32,
        columns: ti.i32,
        pixels: ti.i32,
        starts: indices,
        blocks: indices,
        coefficients: scalars,
        ids: indices,
        row_planes: scalars,
        out: scalars,
    ):
        for i in range(begin, end):
            if ids[i] >= 0:
                add_entry(
                    starts[ids[i]],
                    i,
                    pixels,
                    channels,
                    planes,
                    camera_slots,
                    columns,
                    i,
                    pixels,
                    blocks,
                    coefficients,
                    row_planes,
                    out,
                )

    return kernel


def dense_extras(target):
    """What crossed pixels [begin, end) depend on besides, after `dense_rows`: their rows, in their order."""
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        tiles_x: ti.i32,
        width: ti.i32,
        channels: ti.i32,
        planes: ti.i32,
        camera_slots: ti.i32,
        columns: ti.i32,
        pixels: ti.i32,
        crossed_capacity: ti.i32,
        row_capacity: ti.i32,
        starts: indices,
        blocks: indices,
        coefficients: scalars,
        crossed: indices,
        row_numbers: indices,
        row_values: scalars,
        out: scalars,
    ):
        for j in range(begin, end):
            if j < crossed_capacity:
                number = crossed[at.CROSSED_PIXEL * crossed_capacity + j]
                pixel = at.row_of(number, tiles_x) * width + at.column_of(number, tiles_x)
                first = crossed[at.CROSSED_FIRST_ROW * crossed_capacity + j]
                count = at.within(first, crossed[at.CROSSED_ROWS * crossed_capacity + j], row_capacity)
                for r in range(first, first + count):
                    i = row_numbers[at.ROW_ID * row_capacity + r]
                    if i >= 0:
                        add_entry(
                            starts[i],
                            r * channels * planes,
                            1,
                            channels,
                            planes,
                            camera_slots,
                            columns,
                            pixel,
                            pixels,
                            blocks,
                            coefficients,
                            row_values,
                            out,
                        )

    return kernel
