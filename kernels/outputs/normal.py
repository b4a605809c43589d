"""Unit normal of the surface in the camera frame, on the side of the camera: three channels."""


def normal(direction, z, normal):
    """(n_x, n_y, n_z)."""
    return tuple(normal())
