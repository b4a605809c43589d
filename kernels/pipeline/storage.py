"""Between images and tile blocks, on a GPU: what is observed goes in, what is rendered and its rows come out.

Images are [height, width, channels]; planes [plane, height, width]. Each number that is written is a thread.
"""

import taichi as ti

from kernels.pipeline.target import STEPS, TILE, TILE_BITS

LARGEST = 3.4028234663852886e38


@ti.func
def tile_of(x, y, tiles_x):
    """The tile that holds a pixel."""
    return (y >> TILE_BITS) * tiles_x + (x >> TILE_BITS)


@ti.func
def place_in_tile(x, y):
    """Where a pixel lies in its tile's block."""
    return (y & (TILE - 1)) * TILE + (x & (TILE - 1))


def load_observation(target):
    """Blocks of what is observed and of its weights, from images with any strides [numbers], of 0 where they repeat.

    [begin, end) are the numbers of the blocks. A pixel that is not observed, or lies beyond the image, has weight 0.
    """
    scalars = target.scalars

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        tiles_x: ti.i32,
        channels: ti.i32,
        width: ti.i32,
        height: ti.i32,
        row_stride: ti.i32,
        column_stride: ti.i32,
        channel_stride: ti.i32,
        weight_row_stride: ti.i32,
        weight_column_stride: ti.i32,
        weight_channel_stride: ti.i32,
        image: scalars,
        image_weights: scalars,
        observed: scalars,
        weights: scalars,
    ):
        for i in range(begin, end):
            p = i % STEPS
            channel = i // STEPS % channels
            tile = i // STEPS // channels
            x = tile % tiles_x * TILE + p % TILE
            y = tile // tiles_x * TILE + p // TILE
            value = 0.0
            weight = 0.0
            if x < width and y < height:
                given = image[y * row_stride + x * column_stride + channel * channel_stride]
                w = image_weights[y * weight_row_stride + x * weight_column_stride + channel * weight_channel_stride]
                # Infinity is not a measurement; a comparison with NaN is false.
                if given <= LARGEST and given >= -LARGEST and w > 0.0:
                    value = given
                    weight = w
            observed[i] = value
            weights[i] = weight

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
