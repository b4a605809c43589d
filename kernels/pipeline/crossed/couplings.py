"""What pixels that depend on several primitives add to the normal equations (cpp/src/renderer/couplings.hpp).

`pair_rows` lists the pairs of primitives on which each pixel depends: all but that of what its centre sees with itself,
which the sums of the pixels' own rows have. `pair_primitives` chains the pixels of a tile that have the same pair, in
their order, and lists the pairs of each tile. `couple_primitives` follows such a chain and sums w v_a v_b', and w r v_a
for a = b. Few pairs are in many tiles; the host adds those.
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


# Numbers that a thread loads before it looks at them.
SCANNED = 32
# Instead of the block of a second row: there are more.
MORE = -2


@ti.func
def pairs_before(row):
    """How many pairs come before those of row number `row` of a pixel with those up to it: (0, 0) does not count."""
    return row * (row + 1) // 2 - 1


def pair_rows(target):
    """Crossed pixels [begin, end): the pairs of their rows, -1 for what theta does not move; and those of each tile in
    order, `tile_places`, with the blocks of their first and second rows, `tile_blocks`.
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
        row_numbers: indices,
        crossed: indices,
        tile_places: indices,
        tile_blocks: indices,
        lengths: indices,
        pixel_pairs: indices,
    ):
        ti.loop_config(serialize=target.serial)
        for j in range(begin, end):
            if j < crossed_capacity:
                pixel = crossed[at.CROSSED_PIXEL * crossed_capacity + j]
                if pixel_places[pixel] == j:
                    tile = pixel // at.TILE_PIXELS * at.TILE_PIXELS
                    place = tile
                    for turn in range((pixel - tile + SCANNED - 1) // SCANNED):
                        some = [pixel_places[tile + turn * SCANNED + k] for k in ti.static(range(SCANNED))]
                        for k in ti.static(range(SCANNED)):
                            place += ti.select(some[k] >= 0 and tile + turn * SCANNED + k < pixel, 1, 0)
                    first = crossed[at.CROSSED_FIRST_ROW * crossed_capacity + j]
                    rows = crossed[at.CROSSED_ROWS * crossed_capacity + j]
                    besides = -1
                    if rows == 2:
                        besides = row_numbers[at.ROW_ID * row_capacity + first + 1]
                    if rows > 2:
                        besides = MORE
                    tile_places[place] = j
                    tile_blocks[2 * place] = crossed[at.CROSSED_BLOCK * crossed_capacity + j]
                    tile_blocks[2 * place + 1] = besides
                    if rows > 1:
                        n = pixel_pair_capacity
                        i = at.append(lengths, at.PIXEL_PAIRS, pairs_before(rows))
                        crossed[at.CROSSED_FIRST_PAIR * crossed_capacity + j] = i
                        for second in range(first + 1, first + rows):
                            for other in range(first, second + 1):
                                a = crossed[at.CROSSED_BLOCK * crossed_capacity + j]
                                if other > first:
                                    a = row_numbers[at.ROW_ID * row_capacity + other]
                                b = row_numbers[at.ROW_ID * row_capacity + second]
                                if i < n:
                                    pixel_pairs[at.PIXEL_PAIR_A * n + i] = ti.min(a, b)
                                    pixel_pairs[at.PIXEL_PAIR_B * n + i] = ti.max(a, b)
                                    pixel_pairs[at.PIXEL_PAIR_PIXEL * n + i] = pixel
                                    pixel_pairs[at.PIXEL_PAIR_PLACE * n + i] = place
                                    pixel_pairs[at.PIXEL_PAIR_ROW_A * n + i] = ti.select(a <= b, other, second)
                                    pixel_pairs[at.PIXEL_PAIR_ROW_B * n + i] = ti.select(a <= b, second, other)
                                    pixel_pairs[at.PIXEL_PAIR_NEXT * n + i] = -1
                                i += 1

    return kernel


def pair_primitives(target):
    """Chains pixels' pairs [begin, end), and lists those that no earlier pixel of their tile has.

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
        tile_blocks: indices,
        pixel_pairs: indices,
        lengths: indices,
        pairs: indices,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            if i < pixel_pair_capacity:
                n = pixel_pair_capacity
                a = pixel_pairs[at.PIXEL_PAIR_A * n + i]
                b = pixel_pairs[at.PIXEL_PAIR_B * n + i]
                tile = pixel_pairs[at.PIXEL_PAIR_PIXEL * n + i] // at.TILE_PIXELS
                if a >= 0:
                    # The pixel before is the likeliest to have it, too.
                    place = pixel_pairs[at.PIXEL_PAIR_PLACE * n + i] - 1
                    first_place = tile * at.TILE_PIXELS
                    before = -1
                    while before < 0 and place >= first_place:
                        some = [
                            tile_blocks[2 * ti.max(place - k // 2, first_place) + k % 2]
                            for k in ti.static(range(SCANNED))
                        ]
                        # The last of these pixels that may have both.
                        skipped = SCANNED // 2
                        for k in ti.static(range(SCANNED // 2 - 1, -1, -1)):
                            one, other = some[2 * k], some[2 * k + 1]
                            lower, higher = ti.min(one, other), ti.max(one, other)
                            both = (a == b and other == a) or (a != b and lower == a and higher == b)
                            if both or other == MORE:
                                skipped = k
                        place -= skipped
                        if skipped < SCANNED // 2 and place >= first_place:
                            j = tile_places[place]
                            row_a = row_of_block(a, a == b, j, crossed, crossed_capacity, row_numbers, row_capacity)
                            row_b = row_of_block(b, a == b, j, crossed, crossed_capacity, row_numbers, row_capacity)
                            if row_a >= 0 and row_b >= 0:
                                first = crossed[at.CROSSED_FIRST_ROW * crossed_capacity + j]
                                before = (
                                    crossed[at.CROSSED_FIRST_PAIR * crossed_capacity + j] + ti.min(row_a, row_b) - first
                                )
                                before += pairs_before(ti.max(row_a, row_b) - first)
                            place -= 1
                    if before >= 0 and before < n:
                        pixel_pairs[at.PIXEL_PAIR_NEXT * n + before] = i
                    elif before < 0:
                        place = at.append(lengths, at.PAIRS, size) // size
                        if place < pair_capacity:
                            pairs[at.PAIR_TILE * pair_capacity + place] = tile
                            pairs[at.PAIR_A * pair_capacity + place] = a
                            pairs[at.PAIR_B * pair_capacity + place] = b
                            pairs[at.PAIR_HEAD * pair_capacity + place] = i

    return kernel


@ti.func
def link_at(i, pixel_pairs: ti.template(), n):
    """Of a pixel's pair: the pixel, its rows for both, and the next one."""
    return ti.Vector(
        [
            pixel_pairs[at.PIXEL_PAIR_PIXEL * n + i],
            pixel_pairs[at.PIXEL_PAIR_ROW_A * n + i],
            pixel_pairs[at.PIXEL_PAIR_ROW_B * n + i],
            pixel_pairs[at.PIXEL_PAIR_NEXT * n + i],
        ]
    )


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
        pixel_pair_capacity: ti.i32,
        pair_capacity: ti.i32,
        pixel_pairs: indices,
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
                n = pixel_pair_capacity
                s = i % (planes * (planes + 1)) // planes
                t = i % planes
                total = 0.0
                link = pairs[at.PAIR_HEAD * pair_capacity + pair]
                if s == planes and pairs[at.PAIR_A * pair_capacity + pair] != pairs[at.PAIR_B * pair_capacity + pair]:
                    link = -1
                ahead = link_at(ti.max(link, 0), pixel_pairs, n)
                while link >= 0:
                    # The next link is fetched together with the numbers of this one.
                    pixel, row_a, row_b = ahead[0], ahead[1], ahead[2]
                    link = ahead[3]
                    ahead = link_at(ti.max(link, 0), pixel_pairs, n)
                    for c in range(channels):
                        block = pixel // at.TILE_PIXELS * channels + c
                        place = block * at.TILE_PIXELS + pixel % at.TILE_PIXELS
                        factor = residual[place]
                        if s < planes:
                            factor = row_values[(row_a * channels + c) * planes + s]
                        total += weight[place] * factor * row_values[(row_b * channels + c) * planes + t]
                sums[i] = total

    return kernel
