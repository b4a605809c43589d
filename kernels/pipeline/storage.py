"""Between images and tile blocks, on a GPU: what is observed goes in, what is rendered and its rows come out.

Images are [height, width, channels]; planes [plane, height, width]. Each number that is written is a thread.
"""

import taichi as ti

from kernels.pipeline.target import STEPS, TILE, TILE_BITS

LARGEST = 3.4028234663852886e38
SIGN = -(2**31)


@ti.func
def tile_of(x, y, tiles_x):
    """The tile that holds a pixel."""
    return (y >> TILE_BITS) * tiles_x + (x >> TILE_BITS)


@ti.func
def place_in_tile(x, y):
    """Where a pixel lies in its tile's block."""
    return (y & (TILE - 1)) * TILE + (x & (TILE - 1))


@ti.func
def narrowed(low, high):
    """The bits of the float32 nearest to a float64, given as two words; ties go to even. No 64-bit types are needed."""
    sign = high & SIGN
    exponent = ((high >> 20) & 0x7FF) - 896  # with the bias of float32
    significand = 0x800000 | ((high & 0xFFFFF) << 3) | ((low >> 29) & 7)
    rest = low & 0x1FFFFFFF
    bits = 0
    if exponent >= 255:
        bits = 0x7F800000
        if exponent == 1151 and ((high & 0xFFFFF) | low) != 0:
            bits = 0x7FC00000
    elif exponent > 0:
        bits = (exponent << 23) + (significand - 0x800000)
        if rest > 0x10000000 or (rest == 0x10000000 and (significand & 1) != 0):
            bits += 1  # a carry makes the exponent larger, up to infinity
    elif exponent > -24:
        shift = 1 - exponent
        half = 1 << (shift - 1)
        removed = significand & (2 * half - 1)
        bits = significand >> shift
        if removed > half or (removed == half and (rest != 0 or (bits & 1) != 0)):
            bits += 1
    return sign | bits


@ti.func
def number_at(words: ti.template(), place, is_double):
    """The number that begins at a word: a float32, or a float64 rounded to one."""
    bits = words[place]
    if is_double != 0:
        bits = narrowed(bits, words[place + 1])
    return ti.bit_cast(bits, ti.f32)


def load_observation(target):
    """Blocks of what is observed and of its weights, from images of float32 or float64 with any strides.

    Images are words of 32 bits: where an image starts, and its strides, are counted in them; a stride of 0 repeats.
    [begin, end) are the numbers of the blocks. A pixel that is not observed, or lies beyond the image, has weight 0. A
    negative or infinite weight makes negative[0] 1.
    """
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        tiles_x: ti.i32,
        channels: ti.i32,
        width: ti.i32,
        height: ti.i32,
        start: ti.i32,
        row_stride: ti.i32,
        column_stride: ti.i32,
        channel_stride: ti.i32,
        is_double: ti.i32,
        weight_start: ti.i32,
        weight_row_stride: ti.i32,
        weight_column_stride: ti.i32,
        weight_channel_stride: ti.i32,
        weight_is_double: ti.i32,
        image: indices,
        image_weights: indices,
        observed: scalars,
        weights: scalars,
        negative: indices,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            p = i % STEPS
            channel = i // STEPS % channels
            tile = i // STEPS // channels
            x = tile % tiles_x * TILE + p % TILE
            y = tile // tiles_x * TILE + p // TILE
            value = 0.0
            weight = 0.0
            if x < width and y < height:
                place = start + y * row_stride + x * column_stride + channel * channel_stride
                given = number_at(image, place, is_double)
                place = weight_start + y * weight_row_stride + x * weight_column_stride
                w = number_at(image_weights, place + channel * weight_channel_stride, weight_is_double)
                if w < 0.0 or w > LARGEST:
                    negative[0] = 1
                # Infinity is not a measurement; a comparison with NaN is false.
                if given <= LARGEST and given >= -LARGEST and w > 0.0:
                    value = given
                    weight = w
            observed[i] = value
            weights[i] = weight

    return kernel


def pack_image(target):
    """out [height, width, channels], from an image as `load_observation` takes it; [begin, end) are its numbers."""
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        channels: ti.i32,
        width: ti.i32,
        start: ti.i32,
        row_stride: ti.i32,
        column_stride: ti.i32,
        channel_stride: ti.i32,
        is_double: ti.i32,
        image: indices,
        out: scalars,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            pixel = i // channels
            place = start + pixel // width * row_stride + pixel % width * column_stride + i % channels * channel_stride
            out[i] = number_at(image, place, is_double)

    return kernel


def show_background(target):
    """Blocks of `count` channels from `channel` on get the background's value; [begin, end) are their numbers."""
    scalars = target.scalars

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        channels: ti.i32,
        channel: ti.i32,
        count: ti.i32,
        background: ti.f32,
        image: scalars,
    ):
        for i in range(begin, end):
            block = i // STEPS
            image[((block // count) * channels + channel + block % count) * STEPS + i % STEPS] = background

    return kernel


def store_image(target):
    """image [height, width, channels]: [begin, end) are its numbers."""
    scalars = target.scalars

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        tiles_x: ti.i32,
        channels: ti.i32,
        width: ti.i32,
        rendered: scalars,
        image: scalars,
    ):
        for i in range(begin, end):
            pixel = i // channels
            x = pixel % width
            y = pixel // width
            block = tile_of(x, y, tiles_x) * channels + i % channels
            image[i] = rendered[block * STEPS + place_in_tile(x, y)]

    return kernel


def begin_evaluation(target):
    """to = source, `words` of them, from the host's memory; arguments, those of the kernels that come after this one,
    likewise; cleared = 0, `zeros` of them. [begin, end) holds all three.
    """
    indices = target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        words: ti.i32,
        argument_words: ti.i32,
        zeros: ti.i32,
        source: indices,
        to: indices,
        argument_source: indices,
        arguments: indices,
        cleared: indices,
    ):
        for i in range(begin, end):
            if i < words:
                to[i] = source[i]
            if i < argument_words:
                arguments[i] = argument_source[i]
            if i < zeros:
                cleared[i] = 0

    return kernel


def keep_words(target):
    """to = source, words [begin, end) of whatever they hold."""
    indices = target.indices

    @ti.kernel
    def kernel(begin: ti.i32, end: ti.i32, source: indices, to: indices):
        for i in range(begin, end):
            to[i] = source[i]

    return kernel


def store_ids(target):
    """image [height, width]: [begin, end) are its pixels."""
    indices = target.indices

    @ti.kernel
    def kernel(begin: ti.i32, end: ti.i32, tiles_x: ti.i32, width: ti.i32, ids: indices, image: indices):
        for i in range(begin, end):
            x = i % width
            y = i // width
            image[i] = ids[tile_of(x, y, tiles_x) * STEPS + place_in_tile(x, y)]

    return kernel


def store_planes(target):
    """out [planes, height, width]: [begin, end) are pixels; `planes` those of a tile's rows, of all channels."""
    scalars = target.scalars

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        tiles_x: ti.i32,
        planes: ti.i32,
        width: ti.i32,
        pixels: ti.i32,
        row_planes: scalars,
        out: scalars,
    ):
        for i in range(begin, end):
            x = i % width
            y = i // width
            first = tile_of(x, y, tiles_x) * planes * STEPS + place_in_tile(x, y)
            for plane in range(planes):
                out[plane * pixels + i] = row_planes[first + plane * STEPS]

    return kernel


def mix_planes(target):
    """The columns of J of a scene of one primitive: out [channels, columns, height, width] = rows times S.

    `matrix` is S, [slots, columns]; `planes` are the slots. A pixel that sees nothing has no rows. [begin, end) are
    pixels.
    """
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        tiles_x: ti.i32,
        channels: ti.i32,
        planes: ti.i32,
        columns: ti.i32,
        width: ti.i32,
        pixels: ti.i32,
        matrix: scalars,
        ids: indices,
        row_planes: scalars,
        out: scalars,
    ):
        for i in range(begin, end):
            x = i % width
            y = i // width
            tile = tile_of(x, y, tiles_x)
            place = place_in_tile(x, y)
            seen = ids[tile * STEPS + place] >= 0
            for channel in range(channels):
                first = (tile * channels + channel) * planes * STEPS + place
                for column in range(columns):
                    total = 0.0
                    if seen:
                        for slot in range(planes):
                            factor = matrix[slot * columns + column]
                            if factor != 0.0:
                                total += factor * row_planes[first + slot * STEPS]
                    out[(channel * columns + column) * pixels + i] = total

    return kernel
