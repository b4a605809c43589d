"""What pixels that depend on several primitives add to the normal equations (cpp/src/renderer/couplings.hpp).

`pair_primitives` lists the pairs of primitives on which pixels of the same tile depend: all of a pixel's but those of
what its centre sees with itself, which `entry_columns` has. `couple_primitives` sums w v_a v_b' over the pixels of each
pair (tile, a, b), and w r v_a for a = b. Few pairs are in many tiles; the host adds those.
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


def pair_primitives(target):
    """Tiles [begin, end): their crossed pixels with several rows, in order (`tile_places`, TILE_PIXELS for each tile,
    ended by -1), and their pairs, each once. `pixel_pairs` has room for those of all pixels.

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
        pixel_places: indices,
        crossed: indices,
        row_numbers: indices,
        tile_places: indices,
        pixel_pairs: indices,
        lengths: indices,
        pairs: indices,
    ):
        ti.loop_config(serialize=target.serial)
        for tile in range(begin, end):
            begin_places = tile * at.TILE_PIXELS
            listed = begin_places
            room = 0
            for p in range(begin_places, begin_places + at.TILE_PIXELS):
                j = pixel_places[p]
                rows = 0
                if j >= 0:
                    rows = crossed[at.CROSSED_ROWS * crossed_capacity + j]
                if rows > 1:
                    tile_places[listed] = j
                    listed += 1
                    room += rows * (rows + 1) // 2 - 1
            if listed < begin_places + at.TILE_PIXELS:
                tile_places[listed] = -1
            if room > 0:
                scratch = at.append(lengths, at.PIXEL_PAIRS, room)
                count = 0
                if scratch + room <= pixel_pair_capacity:
                    for place in range(begin_places, listed):
                        j = tile_places[place]
                        first = crossed[at.CROSSED_FIRST_ROW * crossed_capacity + j]
                        rows = crossed[at.CROSSED_ROWS * crossed_capacity + j]
                        for second in range(first + 1, first + rows):
                            for other in range(first, second + 1):
                                a = crossed[at.CROSSED_BLOCK * crossed_capacity + j]
                                if other > first:
                                    a = row_numbers[at.ROW_ID * row_capacity + other]
                                b = row_numbers[at.ROW_ID * row_capacity + second]
                                if a >= 0:
                                    count = enter(pixel_pairs, scratch, count, ti.min(a, b), ti.max(a, b))
                if count > 0:
                    place = at.append(lengths, at.PAIRS, count * size) // size
                    for i in range(at.within(place, count, pair_capacity)):
                        pairs[at.PAIR_TILE * pair_capacity + place + i] = tile
                        pairs[at.PAIR_A * pair_capacity + place + i] = pixel_pairs[2 * (scratch + i)]
                        pairs[at.PAIR_B * pair_capacity + place + i] = pixel_pairs[2 * (scratch + i) + 1]

    @ti.func
    def enter(pixel_pairs: ti.template(), first, count, a, b):
        """Adds a pair to those from `first` on, if it is not among them; returns how many there are."""
        found = False
        for i in range(first, first + count):
            found = found or (pixel_pairs[2 * i] == a and pixel_pairs[2 * i + 1] == b)
        if not found:
            pixel_pairs[2 * (first + count)] = a
            pixel_pairs[2 * (first + count) + 1] = b
            count += 1
        return count

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
