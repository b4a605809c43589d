"""Sphere |X - c| = r, seen from the camera centre, in front of it or around it."""

from kernels.numbers import implicit_root, sqrt, value_of, where

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
