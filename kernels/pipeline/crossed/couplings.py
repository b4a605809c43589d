"""What pixels that depend on several primitives add to the normal equations (cpp/src/renderer/couplings.hpp).

`pair_rows` lists the pairs of primitives on which each pixel depends: all but that of what its centre sees with itself,
which the sums of the pixels' own rows have. `pair_primitives` lists those of a tile, each once.
`couple_primitives` sums w v_a v_b' over the pixels of each pair (tile, a, b), and w r v_a for a = b. Few pairs are in
many tiles; the host adds those.
"""

import taichi as ti

from kernels.pipeline.crossed import layout as at


@ti.func
def row_of_block(
    block,
    besides,
    j,
    crossed: ti.template(),
    crossed_capacity,
    row_numbers: ti.template(),
    row_capacity,
):
    """The row of crossed pixel j for a block, or -1; with `besides` not that of what the centre sees."""
    first = crossed[at.CROSSED_FIRST_ROW * crossed_capacity + j]
    row = -1
    if not besides and crossed[at.CROSSED_BLOCK * crossed_capacity + j] == block:
        row = first
    for r in range(first + 1, first + crossed[at.CROSSED_ROWS * crossed_capacity + j]):
        if row_numbers[at.ROW_ID * row_capacity + r] == block:
            row = r
    return row


def pair_rows(target):
    """Crossed pixels [begin, end): the pairs of their rows, -1 for what theta does not move; and in `tile_places` those
    of each tile in order, TILE_PIXELS of them or ended by -1.
    """
    indices = target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        crossed_capacity: ti.i32,
        row_capacity: ti.i32,
        pixel_pair_capacity: ti.i32,
        pixel_places: indices,
        crossed: indices,
        row_numbers: indices,
        tile_places: indices,
        lengths: indices,
        pixel_pairs: indices,
    ):
        ti.loop_config(serialize=target.serial)
        for j in range(begin, end):
            if j < crossed_capacity:
                pixel = crossed[at.CROSSED_PIXEL * crossed_capacity + j]
                if pixel_places[pixel] == j:
                    place = pixel // at.TILE_PIXELS * at.TILE_PIXELS
                    last = place + at.TILE_PIXELS
                    others = 0
                    for p in range(place, last):
                        if pixel_places[p] >= 0:
                            others += 1
                            if p < pixel:
                                place += 1
                    tile_places[place] = j
                    if place + 1 < last and place + 1 == last - at.TILE_PIXELS + others:
                        tile_places[place + 1] = -1
                    first = crossed[at.CROSSED_FIRST_ROW * crossed_capacity + j]
                    rows = crossed[at.CROSSED_ROWS * crossed_capacity + j]
                    if rows > 1:
                        n = pixel_pair_capacity
                        i = at.append(lengths, at.PIXEL_PAIRS, rows * (rows + 1) // 2 - 1)
                        for second in range(first + 1, first + rows):
                            for other in range(first, second + 1):
                                a = crossed[at.CROSSED_BLOCK * crossed_capacity + j]
                                if other > first:
                                    a = row_numbers[at.ROW_ID * row_capacity + other]
                                b = row_numbers[at.ROW_ID * row_capacity + second]
                                if i < n:
                                    pixel_pairs[at.PAIR_TILE * n + i] = pixel // at.TILE_PIXELS
                                    pixel_pairs[at.PAIR_A * n + i] = ti.min(a, b)
                                    pixel_pairs[at.PAIR_B * n + i] = ti.max(a, b)
                                    pixel_pairs[at.PAIR_PLACE * n + i] = place
                                i += 1

    return kernel


def pair_primitives(target):
    """Of pixels' pairs [begin, end) those that no earlier pixel of their tile has.

    A pair takes `size` numbers of `couple_primitives`; the length of the list of pairs counts those.
    """
    indices = target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        size: ti.i32,
        crossed_capacity: ti.i32,
        row_capacity: ti.i32,
        pixel_pair_capacity: ti.i32,
        pair_capacity: ti.i32,
        crossed: indices,
        row_numbers: indices,
        tile_places: indices,
        pixel_pairs: indices,
        lengths: indices,
        pairs: indices,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            if i < pixel_pair_capacity:
                n = pixel_pair_capacity
                tile = pixel_pairs[at.PAIR_TILE * n + i]
                a = pixel_pairs[at.PAIR_A * n + i]
                b = pixel_pairs[at.PAIR_B * n + i]
                if a >= 0:
                    # The pixel before is the likeliest to have it, too.
                    place = pixel_pairs[at.PAIR_PLACE * n + i] - 1
                    found = -1
                    while found < 0 and place >= tile * at.TILE_PIXELS:
                        j = tile_places[place]
                        found = row_of_block(a, a == b, j, crossed, crossed_capacity, row_numbers, row_capacity)
                        if found >= 0:
                            found = row_of_block(b, a == b, j, crossed, crossed_capacity, row_numbers, row_capacity)
                        place -= 1
                    if found < 0:
                        place = at.append(lengths, at.PAIRS, size) // size
                        if place < pair_capacity:
                            pairs[at.PAIR_TILE * pair_capacity + place] = tile
                            pairs[at.PAIR_A * pair_capacity + place] = a
                            pairs[at.PAIR_B * pair_capacity + place] = b

    return kernel


def couple_primitives(target):
    """sums[pair * size + s], of pairs in the order of the list; [begin, end) are those places.

    size = planes * (planes + 1): the matrix by rows, then the vector.
    """
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        channels: ti.i32,
        planes: ti.i32,
        crossed_capacity: ti.i32,
        row_capacity: ti.i32,
        pair_capacity: ti.i32,
        tile_places: indices,
        crossed: indices,
        row_numbers: indices,
        row_values: scalars,
        residual: scalars,
        weight: scalars,
        pairs: indices,
        sums: scalars,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            pair = i // (planes * (planes + 1))
            if pair < pair_capacity:
                s = i % (planes * (planes + 1)) // planes
                t = i % planes
                tile = pairs[at.PAIR_TILE * pair_capacity + pair]
                a = pairs[at.PAIR_A * pair_capacity + pair]
                b = pairs[at.PAIR_B * pair_capacity + pair]
                total = 0.0
                listed = tile * at.TILE_PIXELS
                last = listed + at.TILE_PIXELS
                while listed < last:
                    j = tile_places[listed]
                    listed += 1
                    if j < 0:
                        listed = last
                    elif s < planes or a == b:
                        row_a = row_of_block(a, a == b, j, crossed, crossed_capacity, row_numbers, row_capacity)
                        row_b = row_of_block(b, a == b, j, crossed, crossed_capacity, row_numbers, row_capacity)
                        if row_a >= 0 and row_b >= 0:
                            pixel = crossed[at.CROSSED_PIXEL * crossed_capacity + j]
                            for c in range(channels):
                                block = (pixel // at.TILE_PIXELS) * channels + c
                                place = block * at.TILE_PIXELS + pixel % at.TILE_PIXELS
                                factor = residual[place]
                                if s < planes:
                                    factor = row_values[(row_a * channels + c) * planes + s]
                                total += weight[place] * factor * row_values[(row_b * channels + c) * planes + t]
                sums[i] = total

    return kernel
