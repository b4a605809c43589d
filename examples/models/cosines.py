"""An image as a sum of 64 cosines, whose wavelengths are the parameters: written out, and as a loop."""

import numpy as np

from diffrt_aot.model import Constant, Free, Pixel, cos, floor, model, number, total


@model
def cosines(pixel: Pixel, amplitude: Free[64], size: Constant[2]):
    x, y = pixel.column / size[0], pixel.row / size[1]
    k = np.arange(64)
    return np.cos(amplitude * (x * (k % 8 + 1.0) + y * (k // 8 + 1.0))).sum()


@model
def cosines_in_turn(pixel: Pixel, amplitude: Free[64], size: Constant[2]):
    """The same. The body is compiled once, and not 64 times."""
    x, y = pixel.column / size[0], pixel.row / size[1]

    def term(k):
        row = floor(number(k) / 8.0)
        column = number(k) - 8.0 * row
        return cos(amplitude[k] * (x * (column + 1.0) + y * (row + 1.0)))

    return total(64, term)
