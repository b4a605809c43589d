"""Two spheres that melt into one, a signed distance, found by marching along the ray.

The derivative is that of a root, whatever the turns were that found it.
"""

import numpy as np
from rays import ray

from diffrt_aot.model import Constant, Free, Pixel, absolute, clip, implicit_root, loop, model, where


def signed_distance(X, radii, first, second):
    d1 = np.sqrt((X - first) @ (X - first)) - radii[0]
    d2 = np.sqrt((X - second) @ (X - second)) - radii[1]
    h = clip(0.5 + 0.5 * (d2 - d1) / 0.3, 0.0, 1.0)  # smooth minimum
    return d2 + h * (d1 - d2) - 0.3 * h * (1.0 - h)


@model
def blob(pixel: Pixel, radii: Free[2], first: Free[3], second: Free[3], focal: Constant, principal: Constant[2]):
    d = ray(pixel, focal, principal)

    def along(t):
        return signed_distance(t * d, radii, first, second)

    t = loop(64, lambda t: t + along(t), 1.0, until=lambda t: (absolute(along(t)) < 1e-5) | (t > 20.0))
    # A ray that grazes may take more turns: what is no root must not pass for one.
    return where((t < 20.0) & (absolute(along(t)) < 1e-4), implicit_root(t, along), 0.0)
