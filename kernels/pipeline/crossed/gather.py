"""From entries to rows: what crossed pixels depend on, primitive by primitive.

`gather_rows` sums up what the entries and pieces of a pixel say about the same primitive (all faces of a rigid mesh are
one) into that pixel's rows. `patch_rows` adds the first of them, that of the primitive which the pixel's centre sees,
to the planes where rows of all pixels are, and takes over the sum. The others are what the pixel depends on besides.
"""

import taichi as ti

from kernels.pipeline.bin import TOGETHER
from kernels.pipeline.crossed import layout as at
from kernels.pipeline.crossed.entries import block_of
from kernels.pipeline.crossed.mix import BY_INSIDE, at_mix
from kernels.pipeline.crossed.motion import EDGE_SLOTS


@ti.func
def find_row(
    row_numbers: ti.template(), row_values: ti.template(), row_capacity, first, count, primary, pixel, block, size
):
    """The row of a pixel for a block, a new one if it has none, and how many rows there are then."""
    row = first + count
    if block == primary:
        row = first
    for r in range(first + 1, first + count):
        if row_numbers[at.ROW_ID * row_capacity + r] == block:
            row = r
    if row == first + count:
        row_numbers[at.ROW_ID * row_capacity + row] = block
        row_numbers[at.ROW_PIXEL * row_capacity + row] = pixel
        for k in range(row * size, (row + 1) * size):
            row_values[k] = 0.0
    return row, ti.max(count, row - first + 1)


@ti.func
def add_sampled(values: ti.template(), first_value, factor, partials: ti.template(), first_partial, step, count):
    """values[first_value + k] += factor * partials[first_partial + k * step], k < count, if that factor is not 0."""
    if factor != 0.0:
        for turn in range((count + TOGETHER - 1) // TOGETHER):
            first = turn * TOGETHER
            some = [partials[first_partial + ti.min(first + k, count - 1) * step] for k in ti.static(range(TOGETHER))]
            sums = [values[first_value + ti.min(first + k, count - 1)] for k in ti.static(range(TOGETHER))]
            for k in ti.static(range(TOGETHER)):
                if first + k < count:
                    values[first_value + first + k] = sums[k] + factor * some[k]


def gather_rows(target):
    """Rows of crossed pixels [begin, end). One whose centre sees nothing gets the id of its first row."""
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        channels: ti.i32,
        planes: ti.i32,
        camera_slots: ti.i32,
        smooth_count: ti.i32,
        mesh_count: ti.i32,
        crossed_capacity: ti.i32,
        entry_capacity: ti.i32,
        piece_capacity: ti.i32,
        row_capacity: ti.i32,
        smooth: indices,
        meshes: indices,
        entries: indices,
        partials: scalars,
        mixes: scalars,
        entry_rows: scalars,
        piece_numbers: indices,
        piece_rows: scalars,
        crossed: indices,
        ids: indices,
        row_numbers: indices,
        row_values: scalars,
    ):
        ti.loop_config(serialize=target.serial)
        for j in range(begin, end):
            if j < crossed_capacity:
                n = entry_capacity
                pixel = crossed[at.CROSSED_PIXEL * crossed_capacity + j]
                first = crossed[at.CROSSED_FIRST_ENTRY * crossed_capacity + j]
                last = first + crossed[at.CROSSED_ENTRIES * crossed_capacity + j]
                first_row = crossed[at.CROSSED_FIRST_ROW * crossed_capacity + j]
                room = crossed[at.CROSSED_ROWS * crossed_capacity + j]
                size = channels * planes
                slots = planes + 3
                dropped = crossed[at.CROSSED_DROPPED * crossed_capacity + j]
                everything = (1 << channels) - 1
                # The first row is that of what the centre sees, or else of what is found first.
                count = 1
                primary = -1
                nothing = ids[pixel] < 0
                if not nothing:
                    primary = block_of(ids[pixel], smooth_count, smooth, mesh_count, meshes)
                if room > 0:
                    row_numbers[at.ROW_ID * row_capacity + first_row] = -1
                    for k in range(first_row * size, (first_row + 1) * size):
                        row_values[k] = 0.0
                for e in range(first, last):
                    if entries[at.ENTRY_ACTIVE * n + e] != 0:
                        for side in range(2):
                            block = entries[(at.ENTRY_BLOCK + side) * n + e]
                            of_smooth = side == 0 and entries[at.ENTRY_KIND * n + e] != at.KIND_CHAIN
                            matters = of_smooth
                            for c in range(channels):
                                matters = matters or mixes[at_mix(c, BY_INSIDE + side) * n + e] != 0.0
                            if matters and block >= 0:
                                if nothing:
                                    nothing = False
                                    ids[pixel] = block
                                    primary = block
                                    dropped = everything
                                row, count = find_row(
                                    row_numbers, row_values, row_capacity, first_row, count, primary, pixel, block, size
                                )
                                for c in range(channels):
                                    to = row * size + c * planes
                                    add_sampled(
                                        row_values,
                                        to,
                                        mixes[at_mix(c, BY_INSIDE + side) * n + e],
                                        partials,
                                        (2 * c * slots + side) * n + e,
                                        2 * n,
                                        planes,
                                    )
                                    if of_smooth:
                                        own = c * planes * n + e
                                        add_sampled(row_values, to, 1.0, entry_rows, own, n, 4)
                                        camera = planes - camera_slots
                                        add_sampled(
                                            row_values,
                                            to + camera,
                                            1.0,
                                            entry_rows,
                                            own + camera * n,
                                            n,
                                            camera_slots,
                                        )
                first_piece = crossed[at.CROSSED_FIRST_PIECE * crossed_capacity + j]
                pieces = crossed[at.CROSSED_PIECES * crossed_capacity + j]
                for i in range(first_piece, first_piece + pieces):
                    block = piece_numbers[at.PIECE_BLOCK * piece_capacity + i]
                    if block >= 0:
                        if nothing:
                            nothing = False
                            ids[pixel] = block
                            primary = block
                            dropped = everything
                        row, count = find_row(
                            row_numbers, row_values, row_capacity, first_row, count, primary, pixel, block, size
                        )
                        opposite = piece_numbers[at.PIECE_CORNER * piece_capacity + i]
                        step = piece_capacity
                        width = EDGE_SLOTS + camera_slots
                        for c in range(channels):
                            to = row * size + c * planes
                            own = c * width * step + i
                            if opposite < 0:
                                add_sampled(row_values, to, 1.0, piece_rows, own, step, EDGE_SLOTS)
                            else:
                                # Of free vertices: the ends of the half-edge, opposite its corner.
                                for end_of in range(2):
                                    corner = (opposite + 1 + end_of) % 3
                                    add_sampled(
                                        row_values,
                                        to + 3 * corner,
                                        1.0,
                                        piece_rows,
                                        own + 3 * end_of * step,
                                        step,
                                        3,
                                    )
                            add_sampled(
                                row_values,
                                to + planes - camera_slots,
                                1.0,
                                piece_rows,
                                own + EDGE_SLOTS * step,
                                step,
                                camera_slots,
                            )
                for row in range(first_row + count, first_row + room):
                    row_numbers[at.ROW_ID * row_capacity + row] = -1
                crossed[at.CROSSED_ROWS * crossed_capacity + j] = ti.min(count, room)
                crossed[at.CROSSED_BLOCK * crossed_capacity + j] = primary
                crossed[at.CROSSED_DROPPED * crossed_capacity + j] = dropped

    return kernel


def patch_rows(target):
    """Of crossed pixels [begin, end) that see an id in [first_id, first_id + id_count), with `slots` of their own: the
    planes of their rows. `planes` are those, `row_planes` those of the gathered rows; the camera's come last in both.
    """
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        channels: ti.i32,
        planes: ti.i32,
        row_planes: ti.i32,
        slots: ti.i32,
        camera_slots: ti.i32,
        first_id: ti.i32,
        id_count: ti.i32,
        crossed_capacity: ti.i32,
        crossed: indices,
        ids: indices,
        row_values: scalars,
        planes_of_pixels: scalars,
    ):
        ti.loop_config(serialize=target.serial)
        for j in range(begin, end):
            if j < crossed_capacity:
                pixel = crossed[at.CROSSED_PIXEL * crossed_capacity + j]
                seen = ids[pixel]
                has_rows = crossed[at.CROSSED_ROWS * crossed_capacity + j] > 0
                if has_rows and seen >= first_id and seen < first_id + id_count:
                    dropped = crossed[at.CROSSED_DROPPED * crossed_capacity + j]
                    first_row = crossed[at.CROSSED_FIRST_ROW * crossed_capacity + j]
                    tile = pixel // at.TILE_PIXELS
                    for c in range(channels):
                        kept = (dropped >> c) & 1 == 0
                        count = slots + camera_slots
                        source = (first_row * channels + c) * row_planes
                        to = (tile * channels + c) * planes * at.TILE_PIXELS + pixel % at.TILE_PIXELS
                        for turn in range((count + TOGETHER - 1) // TOGETHER):
                            own = [ti.min(turn * TOGETHER + k, count - 1) for k in ti.static(range(TOGETHER))]
                            sources = [
                                source + own[k] + ti.select(own[k] < slots, 0, row_planes - count)
                                for k in ti.static(range(TOGETHER))
                            ]
                            targets = [
                                to + (own[k] + ti.select(own[k] < slots, 0, planes - count)) * at.TILE_PIXELS
                                for k in ti.static(range(TOGETHER))
                            ]
                            sums = [row_values[sources[k]] for k in ti.static(range(TOGETHER))]
                            some = [planes_of_pixels[targets[k]] for k in ti.static(range(TOGETHER))]
                            for k in ti.static(range(TOGETHER)):
                                if turn * TOGETHER + k < count:
                                    total = sums[k]
                                    if kept:
                                        total += some[k]
                                    row_values[sources[k]] = total
                                    planes_of_pixels[targets[k]] = total

    return kernel
