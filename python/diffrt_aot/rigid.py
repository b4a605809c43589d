"""Rigid transforms: 4x4 matrices [R t; 0 1] with R a rotation.

`T_a_b` maps b-coordinates into a: x_a = R x_b + t. Poses come rounded, from text, from float32 or from other
programs; a rotation that is slightly off would bend the geometry a little at every use, so the nearest one takes its
place. What is further off is refused, since then it was something else.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ._arguments import FloatArray, float_array
from ._value import show_numbers
from .errors import InvalidValueError

#: Up to here |R'R - I|, in any entry, is the rounding of float64: the matrix stays as it is, bit by bit.
EXACT = 1e-12

#: Up to here, six digits or float32, constructors take the nearest rotation.
ROTATION_TOLERANCE = 1e-4

#: Up to here `nearest_rigid` does; beyond, the matrix was never a rotation.
REPAIR_LIMIT = 1e-2

#: How far the last row may be from 0 0 0 1.
_LAST_ROW_TOLERANCE = 1e-6

#: How far the length of a quaternion may be from 1: three digits.
_QUATERNION_TOLERANCE = 1e-3


def rigid_transform(name: str, value: Any) -> FloatArray:
    """Return `value`, (4, 4) or (3, 4), as a read-only (4, 4) float64 copy that is rigid; None is the identity.

    Raises InvalidValueError where it is off by more than rounding, with the deviation and the likely fix.
    """
    transform = as_homogeneous(name, np.eye(4) if value is None else value)
    deviation = rotation_deviation(transform)
    if deviation > ROTATION_TOLERANCE:
        if deviation <= REPAIR_LIMIT:
            fix = f"it looks rounded: pass diffrt_aot.nearest_rigid({name})"
        else:
            fix = _far_from_rotation(transform)
        raise InvalidValueError(
            f"{name}: its 3x3 block R is not a rotation, |R'R - I| = {deviation:.2g} where at most "
            f"{ROTATION_TOLERANCE:g} is allowed; {fix}"
        )
    return _repaired(name, transform)


def nearest_rigid(T: npt.ArrayLike) -> FloatArray:
    """Return the rigid transform nearest to `T`, a (4, 4) or (3, 4) matrix that is rigid but for rounding.

    The rotation is the nearest in the Frobenius norm (U V' of the singular value decomposition; Higham 1986);
    the translation is kept. Raises InvalidValueError where the 3x3 block is off by more than 0.01 or
    mirrors, since then it was not a rounded rotation.
    """
    transform = as_homogeneous("T", T)
    deviation = rotation_deviation(transform)
    if deviation > REPAIR_LIMIT:
        raise InvalidValueError(
            f"T: its 3x3 block R is too far from a rotation to be repaired, |R'R - I| = {deviation:.2g} "
            f"where at most {REPAIR_LIMIT:g} is; {_far_from_rotation(transform)}"
        )
    return _repaired("T", transform)


def rigid(
    *,
    translation: npt.ArrayLike = (0.0, 0.0, 0.0),
    rotation_xyzw: npt.ArrayLike | None = None,
    rotation_wxyz: npt.ArrayLike | None = None,
) -> FloatArray:
    """Return the (4, 4) rigid transform of a quaternion and a translation.

    translation     (3,) [scene units]
    rotation_xyzw   (4,) unit quaternion with its scalar part last, as SciPy, ROS and TUM's files have it
    rotation_wxyz   (4,) unit quaternion with its scalar part first, as Eigen's constructor, Blender and COLMAP have it

    Give one of the two, or neither for no rotation. A quaternion that was rounded is brought to length one. Raises
    InvalidValueError where its length is off by more than 0.001.

        T_world_mesh = dr.rigid(rotation_xyzw=[0, 0, 0.70711, 0.70711], translation=[0, 0, 0.5])
    """
    if rotation_xyzw is not None and rotation_wxyz is not None:
        raise InvalidValueError("rotation_xyzw, rotation_wxyz: are two orders of the same numbers; pass one of them")
    transform = np.eye(4)
    if rotation_xyzw is not None:
        x, y, z, w = _quaternion("rotation_xyzw", rotation_xyzw)
        transform[:3, :3] = _rotation(w, x, y, z)
    if rotation_wxyz is not None:
        transform[:3, :3] = _rotation(*_quaternion("rotation_wxyz", rotation_wxyz))
    transform[:3, 3] = float_array("translation", translation, (3,))
    transform.flags.writeable = False
    return transform


def as_homogeneous(name: str, value: Any) -> FloatArray:
    """Return `value`, (4, 4) or (3, 4), as a (4, 4) copy that ends in 0 0 0 1."""
    last = np.array((0.0, 0.0, 0.0, 1.0))
    if _shape(value) == (3, 4):
        return np.vstack([float_array(name, value, (3, 4)), last])
    transform = float_array(name, value, (4, 4)).copy()
    if not np.allclose(transform[3], last, rtol=0.0, atol=_LAST_ROW_TOLERANCE):
        hint = ""
        if np.allclose(transform[:, 3], last, rtol=0.0, atol=_LAST_ROW_TOLERANCE):
            hint = f"; the translation stands in the last row, so pass {name}.T"
        row = show_numbers(transform[3])
        raise InvalidValueError(f"{name}: its last row must be 0 0 0 1, got {row}{hint}")
    transform[3] = last
    return transform


def rotation_deviation(T: FloatArray) -> float:
    """Return the largest entry of |R'R - I|, R the 3x3 block of `T`."""
    rotation = T[:3, :3]
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = float(np.abs(rotation.T @ rotation - np.eye(3)).max())
    return deviation if deviation == deviation else math.inf


def rotation_angle(T: FloatArray) -> float:
    """Return the angle of the rotation of `T` [rad], in [0, pi]."""
    skew = T[:3, :3] - T[:3, :3].T
    sine = 0.5 * math.sqrt(skew[2, 1] ** 2 + skew[0, 2] ** 2 + skew[1, 0] ** 2)
    return math.atan2(sine, 0.5 * (float(np.trace(T[:3, :3])) - 1.0))


def show_transform(T: FloatArray) -> str:
    """Format a transform for a repr: <rotation 12.3 deg, translation (0, 0, 1)>."""
    return f"<rotation {math.degrees(rotation_angle(T)):.4g} deg, translation {show_numbers(T[:3, 3])}>"


def _shape(value: Any) -> tuple[int, ...]:
    try:
        return np.shape(value)
    except Exception:  # ragged, or no array at all: refused later
        return ()


def _repaired(name: str, transform: FloatArray) -> FloatArray:
    """Return the nearest rigid transform, read-only: `transform` itself if it is as rigid as float64 allows."""
    if np.linalg.det(transform[:3, :3]) < 0.0:
        raise InvalidValueError(
            f"{name}: its 3x3 block mirrors (determinant -1); flip the sign of one axis, as between cameras "
            "that look along +z (here) and along -z (OpenGL, Blender): those differ in two axes, y and z"
        )
    if rotation_deviation(transform) > EXACT:
        u, _, vt = np.linalg.svd(transform[:3, :3])
        transform[:3, :3] = u @ vt
    transform.flags.writeable = False
    return transform


def _far_from_rotation(transform: FloatArray) -> str:
    lengths = np.linalg.norm(transform[:3, :3], axis=0)
    if lengths.min() > 0.0 and rotation_deviation(transform / lengths.mean()) < REPAIR_LIMIT:
        return f"its columns have length {lengths.mean():.4g}: apply that scale to the geometry instead"
    return "check that it is a rotation and that its rows and columns are in order"


def _quaternion(name: str, value: npt.ArrayLike) -> FloatArray:
    quaternion = float_array(name, value, (4,))
    length = math.hypot(*quaternion)
    if not abs(length - 1.0) <= _QUATERNION_TOLERANCE:
        fix = f"divide it by its length if it is a quaternion in the order {name[-4:]}"
        if length == 0.0:
            fix = f"no rotation is {'0 0 0 1' if name.endswith('w') else '1 0 0 0'}"
        raise InvalidValueError(f"{name}: must have length 1 within {_QUATERNION_TOLERANCE:g}, got {length:.6g}; {fix}")
    return quaternion


def _rotation(w: float, x: float, y: float, z: float) -> FloatArray:
    s = 2.0 / (w * w + x * x + y * y + z * z)  # brings it to length one
    return np.array(
        [
            [1.0 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)],
            [s * (x * y + w * z), 1.0 - s * (x * x + z * z), s * (y * z - w * x)],
            [s * (x * z - w * y), s * (y * z + w * x), 1.0 - s * (x * x + y * y)],
        ]
    )
