"""Bin primitives into tiles: count, scan (by the runtime), fill. Inside a tile they keep the order of their indices.

The range of primitives is cut into chunks, each with a row of counters, one per tile. The scan turns the counters into
the places where a chunk writes, tile by tile and chunk by chunk, so that the lists are the same for any chunks.

On a GPU chunks are short and each pair of chunk and tile is a thread: `count_candidates`, `place_chunks`, `sum_tiles`,
`place_tiles`, `fill_candidates`. Each looks at all bounds of its chunk, of which neighbouring threads read the same at
the same time. That costs less than atomic counters would, and gives the same lists in the same order as the CPU.
"""

import taichi as ti

from kernels.numbers.traced import element, keep
from kernels.pipeline.target import TILE

# Primitives of a chunk on a GPU, and tiles of a partial sum.
CHUNK = 64
# Numbers that a thread loads before it looks at them, so that it waits once for all.
TOGETHER = 8


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


def touching(bounds, stride, first, count, left, top):
    """Which of TOGETHER primitives have bounds that reach into the tile; empty ones do not."""
    return [keep(touches(bounds, stride, first + k, count, left, top)) for k in range(TOGETHER)]


def touches(bounds, stride, i, count, left, top):
    j = ti.min(i, count - 1)
    x0, y0, x1, y1 = (keep(ti.cast(element(bounds, c * stride + j), ti.i32)) for c in range(4))
    across = (x0 <= x1) & (x0 < left + TILE) & (x1 >= left)
    return across & (y0 < top + TILE) & (y1 >= top) & (i < count)


def count_candidates(target):
    """counters[chunk * tiles + tile] = primitives of the chunk that touch the tile; [begin, end) are those places."""
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        tiles: ti.i32,
        tiles_x: ti.i32,
        count: ti.i32,
        stride: ti.i32,
        bounds: scalars,
        counters: indices,
    ):
        for place in range(begin, end):
            left = place % tiles % tiles_x * TILE
            top = place % tiles // tiles_x * TILE
            first = place // tiles * CHUNK
            found = 0
            for turn in range(CHUNK // TOGETHER):
                i = first + turn * TOGETHER
                hits = touching(bounds, stride, i, count, left, top)
                for k in ti.static(range(TOGETHER)):
                    found += ti.select(hits[k], 1, 0)
            counters[place] = found

    return kernel


def place_chunks(target):
    """Turns the counters of tiles [begin, end) into places in the tile's list; totals[tile] is its length."""
    indices = target.indices

    @ti.kernel
    def kernel(begin: ti.i32, end: ti.i32, tiles: ti.i32, chunks: ti.i32, counters: indices, totals: indices):
        for tile in range(begin, end):
            total = 0
            for turn in range((chunks + TOGETHER - 1) // TOGETHER):
                first = turn * TOGETHER
                found = [counters[ti.min(first + k, chunks - 1) * tiles + tile] for k in ti.static(range(TOGETHER))]
                for k in ti.static(range(TOGETHER)):
                    if first + k < chunks:
                        counters[(first + k) * tiles + tile] = total
                        total += found[k]
            totals[tile] = total

    return kernel


def sum_tiles(target):
    """sums[i] = sum of CHUNK totals from i * CHUNK on."""
    indices = target.indices

    @ti.kernel
    def kernel(begin: ti.i32, end: ti.i32, tiles: ti.i32, totals: indices, sums: indices):
        for i in range(begin, end):
            total = 0
            for tile in range(i * CHUNK, ti.min((i + 1) * CHUNK, tiles)):
                total += totals[tile]
            sums[i] = total

    return kernel


def place_tiles(target):
    """offsets[tile] = where its list begins, for [begin, end) = [0, tiles + 1); none lies beyond `capacity`.

    needed[0] is the length of all lists together: where it exceeds the capacity, lists are cut short.
    """
    indices = target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        tiles: ti.i32,
        capacity: ti.i32,
        totals: indices,
        sums: indices,
        offsets: indices,
        needed: indices,
    ):
        for tile in range(begin, end):
            total = 0
            for i in range(tile // CHUNK):
                total += sums[i]
            for other in range(tile // CHUNK * CHUNK, tile):
                total += totals[other]
            offsets[tile] = ti.min(total, capacity)
            if tile == tiles:
                needed[0] = total

    return kernel


def fill_candidates(target):
    """Writes the lists, in the order of the primitives; [begin, end) as in `count_candidates`.

    entry_tiles has the tile of each entry.
    """
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        tiles: ti.i32,
        tiles_x: ti.i32,
        count: ti.i32,
        stride: ti.i32,
        capacity: ti.i32,
        bounds: scalars,
        counters: indices,
        offsets: indices,
        candidates: indices,
        entry_tiles: indices,
    ):
        for place in range(begin, end):
            tile = place % tiles
            left = tile % tiles_x * TILE
            top = tile // tiles_x * TILE
            first = place // tiles * CHUNK
            entry = offsets[tile] + counters[place]
            for turn in range(CHUNK // TOGETHER):
                i = first + turn * TOGETHER
                hits = touching(bounds, stride, i, count, left, top)
                for k in ti.static(range(TOGETHER)):
                    if hits[k]:
                        if entry < capacity:
                            candidates[entry] = i + k
                            entry_tiles[entry] = tile
                        entry += 1

    return kernel


def scale_bounds(target):
    """Bounds of a later launch: bounds[0] = 0, bounds[1] = factor * counts[place], for [begin, end) = [0, 1)."""
    indices = target.indices

    @ti.kernel
    def kernel(begin: ti.i32, end: ti.i32, place: ti.i32, factor: ti.i32, counts: indices, bounds: indices):
        for i in range(begin, end):
            bounds[2 * i] = 0
            bounds[2 * i + 1] = factor * counts[place]

    return kernel
