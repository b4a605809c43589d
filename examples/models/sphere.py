"""A sphere's distance along each pixel's ray; and the same with a rule of one's own at the silhouette."""

import numpy as np
from rays import ray

from diffrt_aot.model import Constant, Dual, Free, Pixel, absolute, model, where


def distance(pixel, radius, center, focal, principal):
    d = ray(pixel, focal, principal)
    b = d @ center
    m = center - b * d  # from the ray to the centre
    s2 = radius * radius - m @ m
    return where(s2 > 0.0, b - np.sqrt(s2), 0.0), b, m


@model
def sphere(pixel: Pixel, radius: Free, center: Free[3], focal: Constant, principal: Constant[2]):
    return distance(pixel, radius, center, focal, principal)[0]


@model
def sphere_with_rule(pixel: Pixel, radius: Free, center: Free[3], focal: Constant, principal: Constant[2]):
    """Where the silhouette passes within half a pixel, the derivative is that of a soft edge."""
    f, b, m = distance(pixel, radius, center, focal, principal)
    edge = (radius - np.sqrt(m @ m)) * focal / b  # signed distance to the silhouette [px]: its partials are its speed
    near = absolute(edge) < 0.5
    jump = b.value
    return Dual(f.value, {k: f.partials.get(k, 0.0) + where(near, jump * e, 0.0) for k, e in edge.partials.items()})
