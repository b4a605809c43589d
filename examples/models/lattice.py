"""Cubic B-splines on a lattice of 16 x 16 control points: 256 or 512 parameters, of which a pixel reads 16 rows."""

from diffrt_aot.model import Constant, FreeTable, Image, Pixel, floor, model, whole


def bspline(t):
    s = 1.0 - t
    return (s**3 / 6.0, (3.0 * t**3 - 6.0 * t**2 + 4.0) / 6.0, (3.0 * s**3 - 6.0 * s**2 + 4.0) / 6.0, t**3 / 6.0)


def spline(pixel, table, size):
    x, y = pixel.column / size[0] * 12.999, pixel.row / size[1] * 12.999
    i, j = floor(x), floor(y)
    bx, by = bspline(x - i), bspline(y - j)
    first = whole(j * 16.0 + i)
    return sum(bx[a] * by[b] * table[first + (16 * b + a)] for b in range(4) for a in range(4))


@model
def lattice(pixel: Pixel, height: FreeTable, size: Constant[2]):
    """A height field."""
    return spline(pixel, height, size)


@model
def deform(pixel: Pixel, shift: FreeTable[2], photo: Image, size: Constant[2]):
    """A photo, each of whose pixels is shifted."""
    u, v = spline(pixel, shift, size)
    return photo.at(pixel.column + u, pixel.row + v)
