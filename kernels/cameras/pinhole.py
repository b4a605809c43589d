"""The pinhole camera, OpenCV's convention: x right, y down, z forward; u = fx X/Z + cx, v = fy Y/Z + cy.

Pixel (column i, row j) has its centre at the integer point (i, j).
"""

from kernels.numbers import Vec3

PARAMETERS = ("fx", "fy", "cx", "cy")


def pinhole_direction(u, v, fx, fy, cx, cy):
    """Direction (X/Z, Y/Z, 1) of the ray through the image point (u, v) [px], in the camera frame: depth is 1 along
    it.
    """
    return Vec3((u - cx) / fx, (v - cy) / fy, 1.0)
