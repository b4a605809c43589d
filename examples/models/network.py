"""A small network of 81 weights that paints an image."""

import numpy as np

from diffrt_aot.model import Constant, Free, Pixel, model


@model
def network(pixel: Pixel, hidden: Free[8, 9], last: Free[9], size: Constant[2]):
    x, y = pixel.column / size[0], pixel.row / size[1]
    a = hidden[:, :8] @ np.array([x, y, x * y, x * x, y * y, x - y, x + y, 1.0]) + hidden[:, 8]
    a = a / np.sqrt(1.0 + a * a)
    return last[:8] @ a + last[8]
