"""Plane n . X = offset, infinite, seen from both sides. The surface of a triangle is one, too."""

from kernels.numbers import implicit_root, value_of, where
from kernels.silhouettes.conic import Conic

SLOTS = ("normal_x", "normal_y", "normal_z", "offset")
# Where n . d is a smaller part than this of its terms, single precision cannot tell whether ray and plane meet.
GRAZING = 1e-6


def inverse_depth_plane(direction, normal, inverse_offset):
    """1/z = n . d / offset; <= 0 where the ray runs away from the plane, or along it."""
    product = normal.dot(direction)
    terms = abs(normal.x * direction.x) + abs(normal.y * direction.y) + abs(normal.z * direction.z)
    return where(abs(product) > GRAZING * terms, product * inverse_offset, 0.0)


def differentiate_plane(z, direction, normal, offset):
    """z, the root of n . (z d) - offset = 0, with its partials."""
    residual = normal.dot(direction * z) - offset
    slope = normal.map(value_of).dot(direction.map(value_of))
    return implicit_root(z, residual, slope)


def normal_plane(direction, normal):
    """Unit normal towards the camera, of a plane whose normal has any length."""
    facing = where(value_of(normal.dot(direction)) > 0.0, -1.0, 1.0)
    return normal.normalized() * facing


def silhouette_plane(direction, normal, side):
    """q: positive along rays that meet the plane in front of the camera. `side` is the sign of the offset."""
    return normal.dot(direction) * side


def conic_of_plane(direction, normal, side, fx, fy):
    """The horizon around the pixel of a ray: a straight line. All plain numbers."""
    zero = normal.x * 0.0
    gradient = (normal.x * side / fx, normal.y * side / fy)
    return Conic(silhouette_plane(direction, normal, side), gradient, (zero, zero, zero))
