"""Normal equations of the primitives that a tile sees, from its rows and residuals.

Each entry (tile, primitive) of a tile list, or (tile, mesh), gets a record of sums over its pixels and channels:
the upper triangle of sum w J'J by rows, then sum w J'r. The runtime adds the records in the order of the list, in
float64, so that the result does not depend on threads.

`normal_equations` makes all sums of an entry at once, tile by tile, in registers. Where nothing else needs the rows,
`primitive_equations` makes them on the way: all pixels of an entry that is one primitive see the same parameters, which
need not be gathered. A GPU wants more threads than there are entries: one for each column of pixels of an entry, or a
few of them (`entry_columns`), so that neighbours read what lies side by side. pipeline/primitive_sums.py adds the
columns.
"""

import taichi as ti

from kernels.cameras.pinhole import pinhole_direction
from kernels.numbers import partial_of, where
from kernels.numbers.traced import Traced, element, keep
from kernels.pipeline.surfaces import Tables, concerns, differentiate, lanes_in
from kernels.pipeline.target import TILE

# Rows that a thread of a GPU loads before it adds them.
TOGETHER = 4


def record_size(slots):
    """Numbers in a record."""
    return slots * (slots + 1) // 2 + slots


@ti.data_oriented
class Accumulators:
    """Mutable numbers inside a kernel, 0 at first."""

    def __init__(self, target, count):
        self.values = [keep(target.splat(0.0)) for _ in range(count)]

    def __getitem__(self, k):
        return self.values[k]


def terms_of(target, slots, id_expression, lower, span, row_planes, j, residual, weight):
    """What a number of pixels adds to the sums of a record."""
    lower, upper = target.splat(lower, ti.i32), target.splat(lower + span, ti.i32)
    mine = target.packet((id_expression >= lower) & (id_expression < upper))
    weight = where(mine, target.packet(weight), 0.0)
    partials = [where(mine, target.packet(element(row_planes, j + k * target.block)), 0.0) for k in range(slots)]
    return weighted_terms(partials, weight, target.packet(residual))


def weighted_terms(partials, weight, residual):
    """weight times the upper triangle of partials' partials, by rows, and times partials' residual."""
    weighted = [weight * e for e in partials]
    slots = range(len(partials))
    return [weighted[a] * partials[b] for a in slots for b in slots[a:]] + [e * residual for e in weighted]


def add(target, slots, sums, *pixels):
    for k, term in enumerate(terms_of(target, slots, *pixels)):
        sums[k]._assign(sums[k] + term.expression)


def store_record(target, records, first, sums):
    """The sums of a record, from those of each lane."""
    for s, total in enumerate(target.sums_of_lanes(sums.values)):
        element(records, first + s)._assign(total)


def normal_equations(target, slots):
    """Sums for rows of so many slots. `span` ids from first_id + candidate on belong to one entry of the list."""
    numbers, integers, scalars, indices = target.numbers, target.integers, target.scalars, target.indices
    size = record_size(slots)

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        first_tile: ti.i32,
        tiles_x: ti.i32,
        channels: ti.i32,
        planes: ti.i32,
        first_id: ti.i32,
        span: ti.i32,
        stride: ti.i32,
        bounds: scalars,
        offsets: indices,
        candidates: indices,
        ids: integers,
        row_planes: numbers,
        residual: numbers,
        weight: numbers,
        records: scalars,
    ):
        ti.loop_config(serialize=target.serial)
        for tile in range(begin, end):
            left = (tile % tiles_x) * TILE
            top = (tile // tiles_x) * TILE
            block = tile - first_tile
            for entry in range(offsets[tile], offsets[tile + 1]):
                k = candidates[entry]
                q0 = (ti.max(ti.cast(bounds[k], ti.i32), left) - left) // target.lanes
                q1 = (ti.min(ti.cast(bounds[2 * stride + k], ti.i32), left + TILE - 1) - left) // target.lanes
                r0 = ti.max(ti.cast(bounds[stride + k], ti.i32), top) - top
                r1 = ti.min(ti.cast(bounds[3 * stride + k], ti.i32), top + TILE - 1) - top
                sums = Accumulators(target, size)
                for row in range(r0, r1 + 1):
                    for q in range(q0, q1 + 1):
                        p = row * target.across + q
                        for c in range(channels):
                            i = (block * channels + c) * target.block + p
                            j = (block * channels + c) * planes * target.block + p
                            add(
                                target,
                                slots,
                                sums,
                                ids[block * target.block + p],
                                first_id + k,
                                span,
                                row_planes,
                                j,
                                residual[i],
                                weight[i],
                            )
                store_record(target, records, entry * size, sums)

    return kernel


def primitive_equations(target, output, surface):
    """The same where there is one output, of which the rows are made here, entries are primitives of `table`, and the
    camera is not free. On the CPU.

    Lists and records are those of strips: up to `span` tiles side by side, `strips_x` of them across the image. [begin,
    end) are strips; the blocks start with the first tile of strip `begin`.
    """
    numbers, integers, scalars, indices = target.numbers, target.integers, target.scalars, target.indices
    slots = len(surface.slots)
    size = record_size(slots)
    table_type = surface.table(target)

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        strips_x: ti.i32,
        span: ti.i32,
        fx: ti.f32,
        fy: ti.f32,
        cx: ti.f32,
        cy: ti.f32,
        first_id: ti.i32,
        stride: ti.i32,
        bounds: scalars,
        offsets: indices,
        candidates: indices,
        table: table_type,
        inverse_depth: numbers,
        ids: integers,
        residual: numbers,
        weight: numbers,
        records: scalars,
    ):
        ti.loop_config(serialize=True)
        for strip in range(begin, end):
            left = (strip % strips_x) * span * TILE
            top = (strip // strips_x) * TILE
            block = (strip - begin) * span * target.block
            for entry in range(offsets[strip], offsets[strip + 1]):
                k = candidates[entry]
                q0 = (ti.max(ti.cast(bounds[k], ti.i32), left) - left) // TILE
                q1 = (ti.min(ti.cast(bounds[2 * stride + k], ti.i32), left + span * TILE - 1) - left) // TILE
                r0 = ti.max(ti.cast(bounds[stride + k], ti.i32), top) - top
                r1 = ti.min(ti.cast(bounds[3 * stride + k], ti.i32), top + TILE - 1) - top
                sums = Accumulators(target, size)
                for row in range(r0, r1 + 1):
                    v = keep(ti.cast(top + row, ti.f32))
                    for tile in range(q0, q1 + 1):
                        first = block + tile * target.block
                        for q in ti.static(range(target.across)):
                            p = row * target.across + q
                            if concerns(target, ids[first + p], first_id + k, 1):
                                pixel = left + tile * TILE + q * target.lanes
                                u = target.lane_numbers() + ti.cast(pixel, ti.f32)
                                add_pixels(
                                    u,
                                    v,
                                    (fx, fy, cx, cy),
                                    (table, k),
                                    (ids[first + p], first_id + k),
                                    inverse_depth[first + p],
                                    (residual, weight, first * output.channels + p),
                                    sums,
                                )
                store_record(target, records, entry * size, sums)

    def add_pixels(u, v, intrinsics, primitive, ids, inverse, robust, sums):
        residual, weight, i = robust
        table, k = primitive
        seen = lanes_in(target, *ids, 1)
        direction = pinhole_direction(target.packet(u), Traced(v), *(Traced(a) for a in intrinsics))
        tables = Tables(table, 0, None, None, 0)
        z, normal = differentiate(surface, target, tables, [k] * target.lanes, direction, inverse, seen, seeded=True)
        for c, channel in enumerate(output.function(direction, z, normal)):
            place = keep(i + c * target.block)
            partials = [where(seen, partial_of(channel, slot), 0.0) for slot in range(slots)]
            terms = weighted_terms(
                partials,
                where(seen, target.packet(element(weight, place)), 0.0),
                target.packet(element(residual, place)),
            )
            for s, term in enumerate(terms):
                sums[s]._assign(sums[s] + term.expression)

    return kernel


def entry_columns(target, slots):
    """columns[(entry * size + s) * n + share]: sums over every n-th column of an entry's tile, n = 2^share_bits, from
    `share` on; [begin, end) are entry * n + share. `tiles` has the tile of each entry of the lists.
    """
    scalars, indices = target.scalars, target.indices
    size = record_size(slots)

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        tiles_x: ti.i32,
        channels: ti.i32,
        planes: ti.i32,
        first_id: ti.i32,
        span: ti.i32,
        stride: ti.i32,
        share_bits: ti.i32,
        bounds: scalars,
        tiles: indices,
        candidates: indices,
        ids: indices,
        row_planes: scalars,
        residual: scalars,
        weight: scalars,
        columns: scalars,
    ):
        for i in range(begin, end):
            entry = i >> share_bits
            tile = tiles[entry]
            k = candidates[entry]
            left = (tile % tiles_x) * TILE
            top = (tile // tiles_x) * TILE
            x0 = ti.max(ti.cast(bounds[k], ti.i32), left) - left
            x1 = ti.min(ti.cast(bounds[2 * stride + k], ti.i32), left + TILE - 1) - left
            y0 = ti.max(ti.cast(bounds[stride + k], ti.i32), top) - top
            y1 = ti.min(ti.cast(bounds[3 * stride + k], ti.i32), top + TILE - 1) - top
            shares = 1 << share_bits
            x0 += (i - x0) & (shares - 1)
            sums = Accumulators(target, size)
            for turn in range((x1 - x0 + shares) >> share_bits):
                for few in range((y1 - y0 + TOGETHER) // TOGETHER):
                    for c in range(channels):
                        block = tile * channels + c
                        first = y0 + few * TOGETHER
                        add_rows(
                            first,
                            y1,
                            x0 + (turn << share_bits),
                            sums,
                            (ids, tile * target.block),
                            (first_id + k, span),
                            (row_planes, block * planes * target.block),
                            (residual, weight, block * target.block),
                        )
            for s in ti.static(range(size)):
                columns[((entry * size + s) << share_bits) + (i & (shares - 1))] = sums[s]

    def add_rows(first, last, x, sums, ids, group, rows, robust):
        """Several rows, so that their loads are under way together; those below the last count for nothing."""
        rows_terms = []
        for j in range(TOGETHER):
            inside = keep(first + j <= last)
            p = keep(ti.min(first + j, last) * TILE + x)
            residual, weight, block = robust
            rows_terms.append(
                terms_of(
                    target,
                    slots,
                    keep(element(ids[0], ids[1] + p)),
                    group[0],
                    keep(ti.select(inside, group[1], 0)),
                    rows[0],
                    keep(rows[1] + p),
                    keep(element(residual, block + p)),
                    keep(element(weight, block + p)),
                )
            )
        while len(rows_terms) > 1:
            pairs = zip(rows_terms[::2], rows_terms[1::2], strict=True)
            rows_terms = [[a + b for a, b in zip(one, other, strict=True)] for one, other in pairs]
        for k, term in enumerate(rows_terms[0]):
            sums[k]._assign(sums[k] + term.expression)

    return kernel
