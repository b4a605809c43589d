"""Shapes: sphere, plane, triangle mesh. Each is an immutable value, checked when it is made.

To add a shape: a frozen dataclass here, with `free_sizes`; its name in `Shape`; and its TOML type in
scene_file.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._arguments import FloatArray, IntArray, float_array, index_array, positive_float
from ._value import Value, show_numbers
from .errors import InvalidValueError
from .rigid import rigid_transform, show_transform


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Sphere(Value):
    """A sphere.

    center   (3,) in world coordinates [scene units]
    radius   above zero [scene units]

    Free parameters: `center` (3), `radius` (1).
    """

    center: FloatArray
    radius: float

    def __init__(self, center: npt.ArrayLike, radius: float) -> None:
        object.__setattr__(self, "center", float_array("center", center, (3,)))
        advice = "pass its absolute value, or leave the sphere out"
        object.__setattr__(self, "radius", positive_float("radius", radius, advice=advice))

    def free_sizes(self) -> dict[str, int]:
        """Return the parameters that can be free, and how many numbers each has."""
        return {"center": 3, "radius": 1}

    def __repr__(self) -> str:
        return f"Sphere(center={show_numbers(self.center)}, radius={show_numbers(self.radius)})"


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Plane(Value):
    """An unbounded plane, seen from both sides.

    point    (3,) any point of the plane, in world coordinates [scene units]
    normal   (3,) of any length but zero; kept as given

    Free parameters: `point` (3), `normal` (3). Both are over-complete: moving the point within the plane and
    changing the normal's length do nothing, and a fit reports those directions as null.
    """

    point: FloatArray
    normal: FloatArray

    def __init__(self, point: npt.ArrayLike, normal: npt.ArrayLike) -> None:
        object.__setattr__(self, "point", float_array("point", point, (3,)))
        object.__setattr__(self, "normal", float_array("normal", normal, (3,)))
        if not np.linalg.norm(self.normal) > 0.0:
            raise InvalidValueError(
                f"normal: must not be zero, got {show_numbers(self.normal)}; any length above zero will do"
            )

    @property
    def unit_normal(self) -> FloatArray:
        """The normal at length one."""
        unit: FloatArray = self.normal / np.linalg.norm(self.normal)
        return unit

    def free_sizes(self) -> dict[str, int]:
        """Return the parameters that can be free, and how many numbers each has."""
        return {"point": 3, "normal": 3}

    def __repr__(self) -> str:
        return f"Plane(point={show_numbers(self.point)}, normal={show_numbers(self.normal)})"


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Mesh(Value):
    """A triangle mesh with a pose, seen from both sides.

    vertices       (V, 3) in the mesh's own coordinates [scene units]; finite where faces use them, and all of them
                   where they are free
    faces          (F, 3) integer indices into `vertices`, from 0; at least one face
    T_world_mesh   (4, 4) pose, mesh coordinates to world; None is the identity

    Free parameters: `pose` (6), `vertices` (3 V). Degenerate triangles are accepted; the renderer skips and
    counts them.
    """

    vertices: FloatArray
    faces: IntArray
    T_world_mesh: FloatArray

    def __init__(
        self, vertices: npt.ArrayLike, faces: npt.ArrayLike, T_world_mesh: npt.ArrayLike | None = None
    ) -> None:
        if _is_empty(vertices):
            raise InvalidValueError("vertices: a mesh needs vertices, got none; was the file read right?")
        if _is_empty(faces):
            raise InvalidValueError("faces: a mesh needs at least one face, got none; was it a point cloud?")
        object.__setattr__(self, "vertices", float_array("vertices", vertices, ("V", 3), finite=False))
        object.__setattr__(self, "faces", index_array("faces", faces, ("F", 3)))
        object.__setattr__(self, "T_world_mesh", rigid_transform("T_world_mesh", T_world_mesh))
        _check_indices(self.faces, len(self.vertices))
        _check_finite(self.vertices, self.faces)

    def free_sizes(self) -> dict[str, int]:
        """Return the parameters that can be free, and how many numbers each has."""
        return {"pose": 6, "vertices": 3 * len(self.vertices)}

    def __repr__(self) -> str:
        pose = ""
        if not np.array_equal(self.T_world_mesh, np.eye(4)):
            pose = f", T_world_mesh={show_transform(self.T_world_mesh)}"
        return f"Mesh(vertices=<{len(self.vertices)}x3>, faces=<{len(self.faces)}x3>{pose})"


#: Anything that a scene may hold.
Shape = Sphere | Plane | Mesh


def _is_empty(value: npt.ArrayLike) -> bool:
    try:
        return np.size(value) == 0
    except Exception:  # ragged, or no array at all: not empty, and refused later
        return False


def _check_indices(faces: IntArray, vertex_count: int) -> None:
    low, high = int(faces.min()), int(faces.max())
    if low >= 0 and high < vertex_count:
        return
    outside = (faces < 0) | (faces >= vertex_count)
    face = int(np.argwhere(outside.any(axis=1))[0, 0])
    if low >= 1 and high == vertex_count:
        fix = "the indices look as if they began at 1, as in an .obj file: pass faces - 1"
    else:
        fix = "were the vertices merged or cut without their faces?"
    raise InvalidValueError(
        f"faces: indices must be between 0 and {vertex_count - 1} (there are {vertex_count} vertices), got "
        f"{int(faces[face][outside[face]][0])} in face {face}; {fix}"
    )


def _check_finite(vertices: FloatArray, faces: IntArray) -> None:
    """Refuse vertices that are not finite, unless no face uses them: organised point clouds have such."""
    bad = ~np.isfinite(vertices)
    if not bad.any():
        return
    used_by = np.isin(faces, np.flatnonzero(bad.any(axis=1))).any(axis=1)
    if not used_by.any():
        return
    face = int(np.argmax(used_by))
    vertex = next(int(v) for v in faces[face] if bad[v].any())
    axis = int(np.argmax(bad[vertex]))
    raise InvalidValueError(
        f"vertices: must be finite, got {vertices[vertex, axis]} at index ({vertex}, {axis}), which face {face} uses "
        f"({int(used_by.sum())} such faces of {len(faces)}); remove these faces, or repair their vertices"
    )
