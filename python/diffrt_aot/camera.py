"""The pinhole camera.

OpenCV's conventions: x right, y down, z forward; u = fx X/Z + cx, v = fy Y/Z + cy. Pixel (column i, row j)
has its centre at the integer point (i, j) and covers half a pixel to each side, so the left
border of an image is at u = -0.5. Images are indexed [row, column].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ._arguments import FloatArray, bounded_integer, finite_float, positive_float
from ._value import Value
from .rigid import rigid_transform, show_transform

#: Largest width and height of an image [pixels].
MAX_IMAGE_SIDE = 16384


@dataclass(frozen=True, init=False, eq=False, repr=False)
class PinholeCamera(Value):
    """A pinhole camera and the size of its image.

    width, height    image size [pixels], 1 to 16384
    fx, fy           focal lengths [pixels], above zero
    cx, cy           principal point [pixels]; may lie outside the image
    T_world_camera   (4, 4) pose, camera coordinates to world; None is the identity

    Free parameters: `camera.pose` (6), `camera.focal` (fx, fy), `camera.principal` (cx, cy).
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    T_world_camera: FloatArray

    def __init__(
        self,
        width: int,
        height: int,
        fx: float,
        fy: float,
        cx: float,
        cy: float,
        T_world_camera: npt.ArrayLike | None = None,
    ) -> None:
        negative = "the axes are x right, y down, z forward; turn the pose, not the sign"
        store = object.__setattr__
        store(self, "width", bounded_integer("width", width, 1, MAX_IMAGE_SIDE))
        store(self, "height", bounded_integer("height", height, 1, MAX_IMAGE_SIDE))
        store(self, "fx", positive_float("fx", fx, advice=negative))
        store(self, "fy", positive_float("fy", fy, advice=negative))
        store(self, "cx", finite_float("cx", cx))
        store(self, "cy", finite_float("cy", cy))
        store(self, "T_world_camera", rigid_transform("T_world_camera", T_world_camera))

    @property
    def image_shape(self) -> tuple[int, int]:
        """(height, width), the shape of an image of one channel."""
        return self.height, self.width

    @property
    def matrix(self) -> FloatArray:
        """The (3, 3) matrix K of the intrinsics: (u, v, 1) ~ K X_camera."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    def free_sizes(self) -> dict[str, int]:
        """Return the parameters that can be free, and how many numbers each has."""
        return {"pose": 6, "focal": 2, "principal": 2}

    def __repr__(self) -> str:
        parts: list[Any] = [f"{name}={getattr(self, name):.6g}" for name in ("fx", "fy", "cx", "cy")]
        if not np.array_equal(self.T_world_camera, np.eye(4)):
            parts.append(f"T_world_camera={show_transform(self.T_world_camera)}")
        return f"PinholeCamera(width={self.width}, height={self.height}, {', '.join(parts)})"
