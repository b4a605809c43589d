"""Mesh files: .npz, .obj, .ply, .stl and .off by readers of our own; .glb and the rest through trimesh."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ._arguments import FloatArray, describe, float_array, path_argument, positive_float
from .errors import InvalidTypeError, InvalidValueError, SceneFileError, missing_dependency
from .mesh_files import READERS
from .shapes import Mesh


def load_mesh(
    path: str | os.PathLike[str],
    T_world_mesh: npt.ArrayLike | None = None,
    *,
    scale: float | npt.ArrayLike | None = None,
) -> Mesh:
    """Return the mesh in `path`, its vertices and faces as the file has them: none merged, dropped or reordered.

    Larger polygons become triangles in their place. Exceptions: corners of .stl, which has no vertices of its own, are
    one vertex where they are equal to the last bit; what trimesh reads (.glb and others) is as trimesh gives it.
    An .npz file holds `vertices` (V, 3) and `faces` (F, 3).

    path           .npz, .obj, .ply, .stl, .off, or anything that trimesh reads, if it is installed
    T_world_mesh   pose of the mesh, as in Mesh
    scale          what the file's coordinates are multiplied by: a number above zero, such as 0.001 for millimetres
                   in a scene of metres, or three, for x, y, z, of which negative ones mirror

    Raises SceneFileError, which names the file and the line or byte, where it cannot be used.
    """
    path = path_argument(path)
    if path.is_dir():
        raise SceneFileError(f"{path}: is a folder, not a mesh file")
    if not path.is_file():
        raise FileNotFoundError(f"mesh file {path} does not exist (working directory: {Path.cwd()})")
    factors = None if scale is None else _scale_factors(scale)
    vertices, faces = _load(path)
    try:
        if np.size(vertices) and not np.size(faces):
            raise InvalidValueError(
                f"has {len(np.atleast_1d(vertices))} points and no faces: a point cloud has no surface to render; "
                "make a mesh of it first, for instance by Poisson reconstruction"
            )
        mesh = Mesh(vertices, faces)
        if factors is not None:
            with np.errstate(over="ignore"):  # infinite is refused
                mesh = mesh.replace(vertices=mesh.vertices * factors)
    except (InvalidValueError, InvalidTypeError) as error:
        raise SceneFileError(f"{path}: {error}") from None
    return mesh if T_world_mesh is None else mesh.replace(T_world_mesh=T_world_mesh)


def save_mesh(path: str | os.PathLike[str], mesh: Mesh) -> None:
    """Write vertices and faces, without the pose, as .npz."""
    path = path_argument(path)
    if path.suffix != ".npz":
        raise InvalidValueError(f"path: must end in .npz, got {describe(str(path))}; trimesh writes other formats")
    if not isinstance(mesh, Mesh):
        raise InvalidTypeError(f"mesh: must be a Mesh, got {describe(mesh)}")
    np.savez_compressed(path, vertices=mesh.vertices, faces=mesh.faces)


def _load_npz(path: Path) -> tuple[npt.ArrayLike, npt.ArrayLike]:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            if not {"vertices", "faces"} <= set(arrays):
                held = _one_line(", ".join(arrays) or "nothing")
                raise SceneFileError(
                    f"{path}: needs vertices and faces, holds {held}; "
                    "write it as np.savez(path, vertices=..., faces=...)"
                )
            return arrays["vertices"], arrays["faces"]
    except SceneFileError:
        raise
    except Exception as error:  # zipfile, NumPy and pickle each have their own
        raise SceneFileError(f"{path}: cannot be read as .npz ({_one_line(error)})") from None


def _load(path: Path) -> tuple[npt.ArrayLike, npt.ArrayLike]:
    ending = path.suffix.lower()
    if ending == ".npz":
        return _load_npz(path)
    if ending not in READERS:
        return _load_with_trimesh(path)
    data = path.read_bytes()
    if data.startswith(b"version https://git-lfs"):
        raise SceneFileError(f"{path}: is a pointer of Git LFS in place of the file; fetch it with git lfs pull")
    try:
        return READERS[ending](data)
    except SceneFileError as error:
        raise SceneFileError(f"{path}: {error}") from None


def _load_with_trimesh(path: Path) -> tuple[npt.ArrayLike, npt.ArrayLike]:
    own = [".npz", *READERS]
    try:
        import trimesh
    except ImportError:
        raise missing_dependency("trimesh", f"reading {path} ({', '.join(own)} are read without)") from None
    if path.suffix.lower().removeprefix(".") not in trimesh.exchange.load.mesh_formats():
        theirs = sorted({f".{name}" for name in trimesh.exchange.load.mesh_formats()} - set(own))
        raise SceneFileError(
            f"{path}: meshes are read from {', '.join(own)}, and through trimesh, as it is installed here, from "
            f"{', '.join(theirs)}"
        )
    try:
        # `process` would merge vertices; materials would make it look for textures
        loaded = trimesh.load(path, force="mesh", process=False, skip_materials=True)
        vertices, faces = np.asarray(loaded.vertices), np.asarray(loaded.faces)  # type: ignore[attr-defined]
        if not len(faces):  # points are not in a "mesh", but were in the file
            scene = trimesh.load_scene(path, process=False, skip_materials=True)
            vertices = np.concatenate([vertices, *(part.vertices for part in scene.geometry.values())])
    except Exception as error:  # a reader per format, each with its own
        raise SceneFileError(f"{path}: trimesh cannot read it as a mesh ({_one_line(error)})") from None
    return vertices, faces


def _one_line(text: str | Exception) -> str:
    return " ".join(str(text).split())[:200] or type(text).__name__


def _scale_factors(scale: float | npt.ArrayLike) -> float | FloatArray:
    if not isinstance(scale, (list, tuple, np.ndarray)) or (isinstance(scale, np.ndarray) and scale.ndim == 0):
        return positive_float("scale", scale, advice="pass 0.001 for a file in millimetres and a scene in metres")
    factors = float_array("scale", scale, (3,))
    if not factors.all():
        raise InvalidValueError(f"scale: must not be zero in any direction, got {describe(scale)}")
    return factors
