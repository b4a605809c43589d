"""An articulated hand, as in ADBench: 26 parameters, 21 bones, three residuals for each of 543 points."""

import numpy as np
from rays import rotate

from diffrt_aot.model import Constant, Free, Item, PerItem, cos, model, sin


def euler(x, y, z):
    """Rz Ry Rx."""
    (sx, sy, sz), (cx, cy, cz) = sin([x, y, z]), cos([x, y, z])
    return np.array(
        [
            [cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz],
            [cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz],
            [-sy, sx * cy, cx * cy],
        ]
    )


def compose(A, B):
    """A B, of which the last rows, 0 0 0 1, are left out."""
    return np.concatenate([A[:, :3] @ B[:, :3], (A[:, :3] @ B[:, 3] + A[:, 3])[:, None]], 1)


@model
def hand(
    point: Item,
    wrist: Free[6],
    fingers: Free[5, 4],
    rest: Constant[21, 3, 4],
    inverse: Constant[21, 3, 4],
    vertex: PerItem[3],
    measured: PerItem[3],
    skin: PerItem[21],
):
    bones = [rest[0]]
    for finger in range(5):
        parent = bones[0]
        for bone in range(4):
            bend = fingers[finger]
            T = rest[1 + 4 * finger + bone].copy()
            if bone == 0:
                T[:, :3] = T[:, :3] @ euler(bend[0], 0.0, bend[1])
            elif bone < 3:
                T[:, :3] = T[:, :3] @ euler(bend[1 + bone], 0.0, 0.0)
            parent = compose(parent, T)
            bones.append(parent)
    X = np.append(vertex, 1.0)
    skinned = sum(w * (compose(T, inverse[k]) @ X) for k, (w, T) in enumerate(zip(skin, bones, strict=True)))
    return rotate(wrist[:3], skinned) + wrist[3:] - measured
