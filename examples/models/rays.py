"""Plain functions that several models call."""

import numpy as np


def ray(pixel, focal, principal):
    """The direction, of length 1, that a pixel of a pinhole camera looks in."""
    q = np.array([(pixel.column - principal[0]) / focal, (pixel.row - principal[1]) / focal, 1.0])
    return q / np.sqrt(q @ q)


def rotate(w, X):
    """X turned about w by |w| [rad] (Rodrigues)."""
    angle = np.sqrt(w @ w + 1e-20)
    axis, c, s = w / angle, np.cos(angle), np.sin(angle)
    return c * X + s * np.cross(axis, X) + (axis @ X) * (1.0 - c) * axis
