"""Sphere |X - c| = r, seen from the camera centre, in front of it or around it."""

from kernels.numbers import implicit_root, sqrt, value_of, where
from kernels.silhouettes.conic import Conic

SLOTS = ("center_x", "center_y", "center_z", "radius")


def inverse_depth_sphere(direction, center, radius, inverse_gap, side):
    """1/z of the visible point, <= 0 where the ray misses.

    With a = d.d, b = d.c and gap = c.c - r^2 the roots of |z d - c| = r are z = (b -+ root)/a, root = sqrt(b^2 - a
    gap), or z = gap / (b +- root). Of the two forms the one that adds numbers of one sign is taken, so that nothing
    cancels when the camera is near the surface: from outside the second, from inside the first where b > 0. The
    discriminant is taken as a r^2 - |c x d|^2 (Lagrange's identity), which does not cancel when the sphere is small
    and far.

    Args:
        direction: (X/Z, Y/Z, 1).
        center, radius: in the camera frame.
        inverse_gap: 1 / (c.c - r^2).
        side: 1 with the camera outside, -1 inside (the far root is seen).
    """
    offset, square, along = center.cross(direction), direction.dot(direction), direction.dot(center)
    discriminant = square * (radius * radius) - offset.dot(offset)
    root = sqrt(where(discriminant > 0.0, discriminant, 0.0))
    inverse = (along + side * root) * inverse_gap
    far = where(side < 0.0, along, 0.0)  # > 0 where the far root is seen ahead
    inverse = where(far > 0.0, square / where(far > 0.0, far + root, 1.0), inverse)
    return where(discriminant > 0.0, inverse, 0.0)


def differentiate_sphere(z, direction, center, radius):
    """z, a root of |z d - c|^2 - r^2 = 0, with its partials; they grow without bound towards the silhouette."""
    offset = direction * z - center
    residual = (offset.dot(offset) - radius * radius) * 0.5
    slope = direction.map(value_of).dot(offset.map(value_of))
    return implicit_root(z, residual, slope)


def normal_sphere(z, direction, center, radius, side):
    """Unit normal at depth z, towards the camera: outward where side is 1, inward where it is -1."""
    return (direction * z - center) * (side / radius)


def silhouette_sphere(direction, center, radius, scale):
    """q: positive along rays that meet the sphere's line, 0 where they touch it; a quadratic form in the direction.

    r^2 |d|^2 - |c x d|^2, times `scale`: 1 / r^2, a plain number, so that q is of the order of 1.
    """
    offset = center.cross(direction)
    return (direction.dot(direction) * (radius * radius) - offset.dot(offset)) * scale


def conic_of_sphere(direction, center, radius, fx, fy):
    """The silhouette around the pixel of a ray, for the camera outside the sphere; all plain numbers.

    `branch` distinguishes the sphere from its mirror image behind the camera, where it is needed: center.z <= radius.
    """
    scale, offset = 1.0 / (radius * radius), center.cross(direction)
    per_x, per_y = 1.0 / fx, 1.0 / fy
    x, y, _ = (direction * (radius * radius) - offset.cross(center)) * (2.0 * scale)
    xx = 2.0 * scale * (radius * radius - center.y * center.y - center.z * center.z)
    yy = 2.0 * scale * (radius * radius - center.x * center.x - center.z * center.z)
    xy = 2.0 * scale * center.x * center.y
    return Conic(
        silhouette_sphere(direction, center, radius, scale),
        (x * per_x, y * per_y),
        (xx * (per_x * per_x), xy * (per_x * per_y), yy * (per_y * per_y)),
        (center.dot(direction), center.x * per_x, center.y * per_y),
    )


def mean_depth_sphere(direction, center, radius, gap, spread, side=1.0):
    """z that stands for the part of a pixel around `direction` that lies within the silhouette.

    z = gap / (b + root) has a square root at the silhouette. The mean of root over the part is `spread` times its
    value at the centroid, spread < 1. Outside the silhouette root is 0.

    Args:
        gap: c.c - r^2, with its partials.
        spread: `kernels.silhouettes.spread` of the area, or 1.
        side: 1 with the camera outside, -1 inside, where the far root is seen and there is no silhouette.
    """
    offset, square, along = center.cross(direction), direction.dot(direction), direction.dot(center)
    discriminant = square * (radius * radius) - offset.dot(offset)
    inside = value_of(discriminant) > 0.0
    root = where(inside, sqrt(where(inside, discriminant, 1.0)), 0.0)
    far = side < 0.0
    return where(far, along + root, gap) / where(far, square, along + spread * root)
