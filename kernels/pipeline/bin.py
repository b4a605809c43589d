"""Bin primitives into tiles on a GPU: count, scan, fill. Inside a tile they keep the order of their indices.

On the CPU cpp/src/renderer/bins.cpp does it. The range of primitives is cut into chunks, each with a row of counters,
one per tile. The scan turns the counters into the places where a chunk writes, tile by tile and chunk by chunk, so that
the lists are the same for any chunks.

Chunks are short and each pair of chunk and tile is a thread: `chunk_boxes`, `count_candidates`,
`place_chunks` and `place_tiles` side by side, `fill_candidates`. Each looks at all bounds of its chunk, of which
neighbouring threads read the same at the same time; or only at the box around them, where the tile lies outside. The
sums that places follow from are whole numbers, added atomically: lists are the same, in the same order, as on the CPU.

`totals` are sums of counters, one level after another: for each SPAN chunks of each tile, for each tile, for each
SPAN tiles, for each SPAN * SPAN tiles. They are 0 before.
"""

import taichi as ti

from kernels.numbers.traced import element, keep
from kernels.pipeline.target import TILE

# Chunks, or tiles, of a sum.
SPAN = 16
SPAN_BITS = SPAN.bit_length() - 1
# A column or row that no image has.
BEYOND = 1 << 24
# Numbers that a thread loads before it looks at them, so that it waits once for all.
TOGETHER = 8


def touching(bounds, stride, first, count, least, left, top):
    """Which of TOGETHER primitives have bounds that reach into the tile; empty ones do not."""
    return [keep(touches(bounds, stride, first + k, count, least, left, top)) for k in range(TOGETHER)]


def touches(bounds, stride, i, count, least, left, top):
    x0, y0, x1, y1 = (keep(bound) for bound in whole_bounds(bounds, stride, i, count, least))
    return (x0 < left + TILE) & (x1 >= left) & (y0 < top + TILE) & (y1 >= top)


def whole_bounds(bounds, stride, i, count, least):
    """x0, y0, x1, y1 of primitive i; nowhere if it is none, or has fewer than `least` pixels."""
    j = ti.min(i, count - 1)
    x0, y0, x1, y1 = (keep(ti.cast(element(bounds, c * stride + j), ti.i32)) for c in range(4))
    listed = keep((i < count) & (x0 <= x1) & (y0 <= y1) & (area_of(x0, y0, x1, y1) >= least))
    return ti.select(listed, x0, BEYOND), y0, ti.select(listed, x1, -1), y1


def area_of(x0, y0, x1, y1):
    """Pixels within bounds."""
    return (x1 - x0 + 1) * (y1 - y0 + 1)


def chunk_boxes(target):
    """What the bounds of `chunk` primitives from i * chunk on lie in; [begin, end) are the primitives.

    boxes[4 i + c], 0 before, become BEYOND - x0, BEYOND - y0, x1 + 1, y1 + 1: all the largest that there are.
    """
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        stride: ti.i32,
        chunk: ti.i32,
        least: ti.i32,
        bounds: scalars,
        boxes: indices,
    ):
        for k in range(begin, end):
            x0 = ti.cast(bounds[k], ti.i32)
            y0 = ti.cast(bounds[stride + k], ti.i32)
            x1 = ti.cast(bounds[2 * stride + k], ti.i32)
            y1 = ti.cast(bounds[3 * stride + k], ti.i32)
            if x0 <= x1 and y0 <= y1 and area_of(x0, y0, x1, y1) >= least:
                i = k // chunk
                ti.atomic_max(boxes[4 * i], BEYOND - x0)
                ti.atomic_max(boxes[4 * i + 1], BEYOND - y0)
                ti.atomic_max(boxes[4 * i + 2], x1 + 1)
                ti.atomic_max(boxes[4 * i + 3], y1 + 1)

    return kernel


def count_candidates(target):
    """counters[c * tiles + tile] = primitives of chunk c that touch the tile; [begin, end) are those places.

    Primitives with fewer than `least` pixels are left out. `boxed` tells whether there are boxes.
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
        chunk: ti.i32,
        chunks: ti.i32,
        least: ti.i32,
        boxed: ti.i32,
        bounds: scalars,
        boxes: indices,
        counters: indices,
        totals: indices,
    ):
        for place in range(begin, end):
            tile = place % tiles
            c = place // tiles
            left = tile % tiles_x * TILE
            top = tile // tiles_x * TILE
            found = 0
            if boxed == 0 or reached(boxes, c, left, top):
                for turn in range(chunk // TOGETHER):
                    hits = touching(bounds, stride, c * chunk + turn * TOGETHER, count, least, left, top)
                    for k in ti.static(range(TOGETHER)):
                        found += ti.select(hits[k], 1, 0)
            counters[place] = found
            if found > 0:
                level = (chunks + SPAN - 1) // SPAN * tiles
                ti.atomic_add(totals[(c >> SPAN_BITS) * tiles + tile], found)
                ti.atomic_add(totals[level + tile], found)
                ti.atomic_add(totals[level + tiles + (tile >> SPAN_BITS)], found)
                ti.atomic_add(totals[level + tiles + tiles // SPAN + 1 + (tile >> 2 * SPAN_BITS)], found)

    return kernel


def reached(boxes, c, left, top):
    """Whether the tile lies in the box of chunk c, in part."""
    x0, y0, x1, y1 = (keep(element(boxes, 4 * c + k)) for k in range(4))
    across = (BEYOND - x0 < left + TILE) & (x1 > left)
    return keep(across & (BEYOND - y0 < top + TILE) & (y1 > top))


def place_chunks(target):
    """Turns counters into places in the tile's list. [begin, end) are pairs of SPAN chunks and tile."""
    indices = target.indices

    @ti.kernel
    def kernel(begin: ti.i32, end: ti.i32, tiles: ti.i32, chunks: ti.i32, totals: indices, counters: indices):
        for i in range(begin, end):
            tile = i % tiles
            span = i // tiles
            if totals[i] > 0:
                total = sum_of(totals, tile, tiles, span)
                found = [counters[ti.min(span * SPAN + k, chunks - 1) * tiles + tile] for k in ti.static(range(SPAN))]
                for k in ti.static(range(SPAN)):
                    if span * SPAN + k < chunks:
                        counters[(span * SPAN + k) * tiles + tile] = total
                        total += found[k]

    return kernel


@ti.func
def sum_of(numbers: ti.template(), first, step, count):
    """numbers[first] + numbers[first + step] + ..., so many."""
    total = 0
    for turn in range((count + TOGETHER - 1) // TOGETHER):
        some = [numbers[first + ti.min(turn * TOGETHER + k, count - 1) * step] for k in ti.static(range(TOGETHER))]
        for k in ti.static(range(TOGETHER)):
            total += ti.select(turn * TOGETHER + k < count, some[k], 0)
    return total


def place_tiles(target):
    """offsets[tile] = where its list begins, for [begin, end) = [0, tiles + 1); none lies beyond `capacity`.

    needed[0] is the length of all lists together: where it exceeds the capacity, lists are cut short. `loop` gets the
    bounds of a launch over all entries, `threads` for each.
    """
    indices = target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        tiles: ti.i32,
        chunks: ti.i32,
        capacity: ti.i32,
        threads: ti.i32,
        totals: indices,
        offsets: indices,
        needed: indices,
        loop: indices,
    ):
        for tile in range(begin, end):
            level = (chunks + SPAN - 1) // SPAN * tiles
            few = tile >> SPAN_BITS
            many = tile >> 2 * SPAN_BITS
            total = sum_of(totals, level + few * SPAN, 1, tile - few * SPAN)
            total += sum_of(totals, level + tiles + many * SPAN, 1, few - many * SPAN)
            total += sum_of(totals, level + tiles + tiles // SPAN + 1, 1, many)
            offsets[tile] = ti.min(total, capacity)
            if tile == tiles:
                needed[0] = total
                loop[0] = 0
                loop[1] = ti.min(total, capacity) * threads

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
        chunk: ti.i32,
        least: ti.i32,
        boxed: ti.i32,
        capacity: ti.i32,
        bounds: scalars,
        boxes: indices,
        counters: indices,
        totals: indices,
        offsets: indices,
        candidates: indices,
        entry_tiles: indices,
    ):
        for place in range(begin, end):
            tile = place % tiles
            c = place // tiles
            left = tile % tiles_x * TILE
            top = tile // tiles_x * TILE
            inside = totals[(c >> SPAN_BITS) * tiles + tile] > 0
            if boxed != 0:
                inside = inside and reached(boxes, c, left, top)
            if inside:
                entry = offsets[tile] + counters[place]
                for turn in range(chunk // TOGETHER):
                    i = c * chunk + turn * TOGETHER
                    hits = touching(bounds, stride, i, count, least, left, top)
                    for k in ti.static(range(TOGETHER)):
                        if hits[k]:
                            if entry < capacity:
                                candidates[entry] = i + k
                                entry_tiles[entry] = tile
                            entry += 1

    return kernel
