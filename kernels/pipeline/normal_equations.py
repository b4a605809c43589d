"""Normal equations of the primitives that a tile sees, from its rows and residuals.

Each entry (tile, primitive) of a tile list, or (tile, mesh), gets a record of sums over its pixels and channels:
the upper triangle of sum w J'J by rows, then sum w J'r. The runtime adds the records in the order of the list, in
float64, so that the result does not depend on threads.

`normal_equations` makes all sums of an entry at once, tile by tile, in registers. A GPU wants more threads than there
are entries: one for each row of pixels of an entry (`entry_rows`), and then one for each number of a record, which adds
the rows (`add_entry_rows`). `entry_sums` does both in one go, without memory in between, and takes longer.
"""

import taichi as ti

from kernels.numbers import where
from kernels.numbers.traced import element, keep
from kernels.pipeline.target import TILE, TILE_BITS


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


def add(target, slots, sums, id_expression, lower, span, row_planes, j, residual, weight):
    lower, upper = target.splat(lower, ti.i32), target.splat(lower + span, ti.i32)
    mine = target.packet((id_expression >= lower) & (id_expression < upper))
    weight = where(mine, target.packet(weight), 0.0)
    partials = [where(mine, target.packet(element(row_planes, j + k * target.block)), 0.0) for k in range(slots)]
    weighted = [weight * e for e in partials]
    terms = [weighted[a] * partials[b] for a in range(slots) for b in range(a, slots)]
    terms += [e * target.packet(residual) for e in weighted]
    for k, term in enumerate(terms):
        sums[k]._assign(sums[k] + term.expression)


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
                for s in ti.static(range(size)):
                    records[entry * size + s] = target.sum_lanes(sums[s])

    return kernel


def entry_sums(target, slots):
    """The same records: [begin, end) are places in `records`. `tiles` has the tile of each entry of the lists."""
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
        bounds: scalars,
        tiles: indices,
        candidates: indices,
        ids: indices,
        row_planes: scalars,
        residual: scalars,
        weight: scalars,
        records: scalars,
    ):
        for place in range(begin, end):
            entry = place // size
            tile = tiles[entry]
            k = candidates[entry]
            a, b = factors(place % size)
            left = (tile % tiles_x) * TILE
            top = (tile // tiles_x) * TILE
            x0 = ti.max(ti.cast(bounds[k], ti.i32), left) - left
            x1 = ti.min(ti.cast(bounds[2 * stride + k], ti.i32), left + TILE - 1) - left
            y0 = ti.max(ti.cast(bounds[stride + k], ti.i32), top) - top
            y1 = ti.min(ti.cast(bounds[3 * stride + k], ti.i32), top + TILE - 1) - top
            total = 0.0
            for y in range(y0, y1 + 1):
                line = 0.0
                for c in range(channels):
                    # All columns, so that their loads are under way together; those of others count for nothing.
                    for x in ti.static(range(TILE)):
                        p = y * TILE + x
                        i = (tile * channels + c) * target.block + p
                        j = (tile * channels + c) * planes * target.block + p
                        seen = ids[tile * target.block + p] - (first_id + k)
                        mine = (x0 <= x) & (x <= x1) & (seen >= 0) & (seen < span)
                        partial = row_planes[j + ti.min(b, slots - 1) * target.block]
                        other = ti.select(b < slots, partial, residual[i])
                        term = weight[i] * row_planes[j + a * target.block] * other
                        line += ti.select(mine, term, 0.0)
                total += line
            records[place] = total

    @ti.func
    def factors(s):
        """The slots whose product stands at place s of a record; `slots` means the residual."""
        a = s - slots * (slots + 1) // 2
        b = slots
        if a < 0:
            a = 0
            b = s
            while b >= slots:
                b -= slots - 1 - a
                a += 1
        return a, b

    return kernel


def entry_rows(target, slots):
    """parts[s * part_stride + entry * TILE + row]: sums over a row of an entry's tile; [begin, end) are entry * TILE +
    row. `tiles` has the tile of each entry of the lists.
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
        part_stride: ti.i32,
        bounds: scalars,
        tiles: indices,
        candidates: indices,
        ids: indices,
        row_planes: scalars,
        residual: scalars,
        weight: scalars,
        parts: scalars,
    ):
        for i in range(begin, end):
            tile = tiles[i >> TILE_BITS]
            k = candidates[i >> TILE_BITS]
            row = i & (TILE - 1)
            y = (tile // tiles_x) * TILE + row
            left = (tile % tiles_x) * TILE
            x0 = ti.max(ti.cast(bounds[k], ti.i32), left) - left
            x1 = ti.min(ti.cast(bounds[2 * stride + k], ti.i32), left + TILE - 1) - left
            if y < ti.cast(bounds[stride + k], ti.i32) or y > ti.cast(bounds[3 * stride + k], ti.i32):
                x1 = -1
            sums = Accumulators(target, size)
            for x in range(x0, x1 + 1):
                p = row * TILE + x
                for c in range(channels):
                    block = tile * channels + c
                    add(
                        target,
                        slots,
                        sums,
                        ids[tile * target.block + p],
                        first_id + k,
                        span,
                        row_planes,
                        block * planes * target.block + p,
                        residual[block * target.block + p],
                        weight[block * target.block + p],
                    )
            for s in ti.static(range(size)):
                parts[s * part_stride + i] = sums[s]

    return kernel


def add_entry_rows(target):
    """records[entry * size + s], from the parts of its rows, in their order; [begin, end) are those places."""
    scalars = target.scalars

    @ti.kernel
    def kernel(begin: ti.i32, end: ti.i32, size: ti.i32, part_stride: ti.i32, parts: scalars, records: scalars):
        for place in range(begin, end):
            first = place % size * part_stride + place // size * TILE
            total = 0.0
            for row in ti.static(range(TILE)):
                total += parts[first + row]
            records[place] = total

    return kernel
