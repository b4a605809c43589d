"""64 numbers, each of which matters to all that comes after it."""

from diffrt_aot.model import Constant, Free, Pixel, model


@model
def dense_chain(pixel: Pixel, a: Free[64], size: Constant[2]):
    u, v = pixel.column / size[0], pixel.row / size[1]
    for k in range(32):
        u, v = u + 0.1 * a[2 * k] * v * (1.0 - u), v + 0.1 * a[2 * k + 1] * u * (1.0 - v)
    return u * v
