"""Sums over tiles, on a GPU: from the columns of entries (tile, primitive) to one record per primitive.

A primitive's tiles are those that its bounds touch. They are cut into `parts`, which share them out in order, each
a thread for each number of the record (`primitive_sums`), and then the parts are added (`part_sums`). Sums carry
what rounding took from them along (Kahan), and end as two numbers, of which the second is small: so they are as good as
those in float64 on the CPU. These kernels are among EXACT in kernels/aot/lower.py.
"""

import taichi as ti

from kernels.pipeline.bin import TOGETHER
from kernels.pipeline.target import TILE, TILE_BITS


@ti.func
def find(candidates: ti.template(), first, end, k):
    """The place of k in an ascending list, or -1."""
    low = first
    high = end
    while low < high:
        middle = (low + high) // 2
        if candidates[middle] < k:
            low = middle + 1
        else:
            high = middle
    found = -1
    if low < end and candidates[ti.min(low, end - 1)] == k:
        found = low
    return found


def primitive_sums(target):
    """sums[2 ((primitive * parts + part) * size + s)], and one beyond: sum and remainder, of records of `size` numbers;
    [begin, end) count such pairs.

    `columns` is what `entry_columns` wrote. `direct` tells that there is one primitive, everywhere in the image, and
    that the entry of each tile has the tile's own number.
    """
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        tiles_x: ti.i32,
        size: ti.i32,
        parts: ti.i32,
        stride: ti.i32,
        share_bits: ti.i32,
        direct: ti.i32,
        bounds: scalars,
        offsets: indices,
        candidates: indices,
        columns: scalars,
        sums: scalars,
    ):
        for place in range(begin, end):
            part = place // size % parts
            k = place // size // parts
            x0 = ti.cast(bounds[k], ti.i32)
            y0 = ti.cast(bounds[stride + k], ti.i32)
            x1 = ti.cast(bounds[2 * stride + k], ti.i32)
            y1 = ti.cast(bounds[3 * stride + k], ti.i32)
            across = (x1 >> TILE_BITS) - (x0 >> TILE_BITS) + 1
            count = across * ((y1 >> TILE_BITS) - (y0 >> TILE_BITS) + 1)
            if x0 > x1 or y0 > y1:
                across = 1
                count = 0
            total = 0.0
            lost = 0.0
            for i in range(count * part // parts, count * (part + 1) // parts):
                entry = i
                if direct == 0:
                    tile = (y0 // TILE + i // across) * tiles_x + x0 // TILE + i % across
                    entry = find(candidates, offsets[tile], offsets[tile + 1], k)
                if entry >= 0:
                    first = (entry * size + place % size) << share_bits
                    last = (1 << share_bits) - 1
                    some = [columns[first + ti.min(c, last)] for c in ti.static(range(TILE))]
                    for c in ti.static(range(TILE)):
                        term = ti.select(c <= last, some[c], 0.0) - lost
                        sum_of_both = total + term
                        lost = (sum_of_both - total) - term
                        total = sum_of_both
            sums[2 * place] = total
            sums[2 * place + 1] = 0.0 - lost

    return kernel


def part_sums(target):
    """sums[2 (primitive * size + s)], and one beyond; [begin, end) count pairs. `partial` is from `primitive_sums`."""
    scalars = target.scalars

    @ti.kernel
    def kernel(begin: ti.i32, end: ti.i32, size: ti.i32, parts: ti.i32, partial: scalars, sums: scalars):
        for place in range(begin, end):
            first = place // size * parts
            total = 0.0
            lost = 0.0
            for turn in range((parts + TOGETHER - 1) // TOGETHER):
                some = [
                    partial[2 * ((first + ti.min(turn * TOGETHER + k // 2, parts - 1)) * size + place % size) + k % 2]
                    for k in ti.static(range(2 * TOGETHER))
                ]
                for k in ti.static(range(2 * TOGETHER)):
                    term = ti.select(turn * TOGETHER + k // 2 < parts, some[k], 0.0) - lost
                    sum_of_both = total + term
                    lost = (sum_of_both - total) - term
                    total = sum_of_both
            sums[2 * place] = total
            sums[2 * place + 1] = 0.0 - lost

    return kernel
