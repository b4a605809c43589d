"""Rigid transforms: 4x4 matrices [R t; 0 1] with R a rotation.

`T_a_b` maps b-coordinates into a: x_a = R x_b + t. Constructors take such matrices as they are and refuse
any that is not rigid, because a rotation that is slightly off would bend the geometry a little at every
use; `nearest_rigid` repairs one that was rounded, in a text file for instance.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._arguments import FloatArray, float_array
from ._value import show_numbers
from .errors import InvalidValueError

#: How far R'R may be from the identity, in any entry.
ROTATION_TOLERANCE = 1e-6

#: Beyond this a matrix was never a rotation, and the nearest one would hide a mistake.
REPAIR_LIMIT = 1e-2


def rigid_transform(name: str, value: Any) -> FloatArray:
    """Return `value` as a read-only (4, 4) float64 copy; None is the identity.

    Raises InvalidValueError where it is not rigid, with the deviation and the likely fix.
    """
    transform = _homogeneous(name, np.eye(4) if value is None else value)
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
    _check_handedness(name, transform)
    return transform


def nearest_rigid(T: Any) -> FloatArray:
    """Return the rigid transform nearest to `T`, a (4, 4) matrix that is rigid but for rounding.

    The rotation is the nearest in the Frobenius norm (U V' of the singular value decomposition; Higham 1986);
    the translation is kept. Raises InvalidValueError where the 3x3 block is off by more than 0.01 or
    mirrors, since then it was not a rounded rotation.
    """
    transform = _homogeneous("T", T)
    deviation = rotation_deviation(transform)
    if deviation > REPAIR_LIMIT:
        raise InvalidValueError(
            f"T: its 3x3 block R is too far from a rotation to be repaired, |R'R - I| = {deviation:.2g} "
            f"where at most {REPAIR_LIMIT:g} is; {_far_from_rotation(transform)}"
        )
    _check_handedness("T", transform)
    u, _, vt = np.linalg.svd(transform[:3, :3])
    result: FloatArray = transform.copy()
    result[:3, :3] = u @ vt
    result.flags.writeable = False
    return result


def rotation_deviation(T: FloatArray) -> float:
    """Return the largest entry of |R'R - I|, R the 3x3 block of `T`."""
    rotation = T[:3, :3]
    return float(np.abs(rotation.T @ rotation - np.eye(3)).max())


def rotation_angle(T: FloatArray) -> float:
    """Return the angle of the rotation of `T` [rad], in [0, pi]."""
    skew = T[:3, :3] - T[:3, :3].T
    sine = 0.5 * math.sqrt(skew[2, 1] ** 2 + skew[0, 2] ** 2 + skew[1, 0] ** 2)
    return math.atan2(sine, 0.5 * (float(np.trace(T[:3, :3])) - 1.0))


def show_transform(T: FloatArray) -> str:
    """Format a transform for a repr: <rotation 12.3 deg, translation (0, 0, 1)>."""
    return f"<rotation {math.degrees(rotation_angle(T)):.4g} deg, translation {show_numbers(T[:3, 3])}>"


def _homogeneous(name: str, value: Any) -> FloatArray:
    transform = float_array(name, value, (4, 4))
    if not np.array_equal(transform[3], (0.0, 0.0, 0.0, 1.0)):
        hint = ""
        if np.array_equal(transform[:, 3], (0.0, 0.0, 0.0, 1.0)):
            hint = f"; the translation stands in the last row, so pass {name}.T"
        row = show_numbers(transform[3])
        raise InvalidValueError(f"{name}: its last row must be 0 0 0 1, got {row}{hint}")
    return transform


def _check_handedness(name: str, transform: FloatArray) -> None:
    if np.linalg.det(transform[:3, :3]) < 0.0:
        raise InvalidValueError(
            f"{name}: its 3x3 block mirrors (determinant -1); flip the sign of one axis, as between cameras "
            "that look along +z (here) and along -z (OpenGL, Blender): those differ in two axes, y and z"
        )


def _far_from_rotation(transform: FloatArray) -> str:
    lengths = np.linalg.norm(transform[:3, :3], axis=0)
    if lengths.min() > 0.0 and rotation_deviation(transform / lengths.mean()) < REPAIR_LIMIT:
        return f"its columns have length {lengths.mean():.4g}: apply that scale to the geometry instead"
    return "check that it is a rotation and that its rows and columns are in order"
