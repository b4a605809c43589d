"""An image as a sum of 64 cosines, whose wavelengths are the parameters."""

import numpy as np

from diffrt_aot.model import Constant, Free, Pixel, model


@model
def cosines(pixel: Pixel, amplitude: Free[64], size: Constant[2]):
    x, y = pixel.column / size[0], pixel.row / size[1]
    k = np.arange(64)
    return np.cos(amplitude * (x * (k % 8 + 1.0) + y * (k // 8 + 1.0))).sum()
