"""Photometric alignment: a small motion takes a photo's pixel, of known inverse depth, into another photo."""

import numpy as np

from diffrt_aot.model import Constant, Free, Image, PerItem, Pixel, model


@model
def photometric(
    pixel: Pixel,
    motion: Free[6],
    gain: Free,
    bias: Free,
    inverse_depth: PerItem,
    photo: PerItem,
    other: Image,
    focal: Constant,
    principal: Constant[2],
):
    X = np.array([(pixel.column - principal[0]) / focal, (pixel.row - principal[1]) / focal, 1.0])
    t, w = motion[:3], motion[3:]
    Y = X + np.cross(w, X) + inverse_depth * t
    return gain * other.at(focal * Y[0] / Y[2] + principal[0], focal * Y[1] / Y[2] + principal[1]) + bias - photo
