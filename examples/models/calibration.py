"""Lens calibration: two residuals for each corner of hundreds of views; the camera is shared, each view has a pose."""

import numpy as np
from rays import rotate

from diffrt_aot.model import Free, FreeTable, Item, PerItem, PerItemIndex, model


@model
def calibration(
    corner: Item, camera: Free[9], poses: FreeTable[6], board: PerItem[2], seen: PerItem[2], view: PerItemIndex
):
    fx, fy, cx, cy, k1, k2, p1, p2, k3 = camera
    pose = poses[view]
    X, Y, Z = rotate(pose[3:], np.array([*board, 0.0])) + pose[:3]
    x, y = X / Z, Y / Z
    r2 = x * x + y * y
    radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
    xd = x * radial + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x)
    yd = y * radial + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y
    return fx * xd + cx - seen[0], fy * yd + cy - seen[1]
