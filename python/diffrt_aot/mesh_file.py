"""Mesh files: .npz by NumPy alone; .obj, .ply, .stl, .off, .glb and the rest through trimesh."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .errors import InvalidTypeError, InvalidValueError, SceneFileError, missing_dependency
from .shapes import Mesh


def load_mesh(path: str | os.PathLike[str], T_world_mesh: npt.ArrayLike | None = None) -> Mesh:
    """Return the mesh in `path`, its vertices and faces as the file has them: none merged, none reordered.

    An .npz file holds `vertices` (V, 3) and `faces` (F, 3).
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"mesh file {path} does not exist (working directory: {Path.cwd()})")
    vertices, faces = _load_npz(path) if path.suffix.lower() == ".npz" else _load_with_trimesh(path)
    try:
        mesh = Mesh(vertices, faces)
    except (InvalidValueError, InvalidTypeError) as error:
        raise SceneFileError(f"{path}: {error}") from None
    return mesh if T_world_mesh is None else mesh.replace(T_world_mesh=T_world_mesh)


def save_mesh(path: str | os.PathLike[str], mesh: Mesh) -> None:
    """Write vertices and faces, without the pose, as .npz."""
    path = Path(path)
    if path.suffix != ".npz":
        raise InvalidValueError(f"path: must end in .npz, got {path}; trimesh writes other formats")
    np.savez_compressed(path, vertices=mesh.vertices, faces=mesh.faces)


def _load_npz(path: Path) -> tuple[npt.ArrayLike, npt.ArrayLike]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if not {"vertices", "faces"} <= set(arrays):
                held = ", ".join(arrays) or "nothing"
                raise SceneFileError(
                    f"{path}: needs vertices and faces, holds {held}; "
                    "write it as np.savez(path, vertices=..., faces=...)"
                )
            return arrays["vertices"], arrays["faces"]
    except SceneFileError:
        raise
    except Exception as error:  # zipfile, NumPy and pickle each have their own
        raise SceneFileError(f"{path}: cannot be read as .npz ({error})") from None


def _load_with_trimesh(path: Path) -> tuple[npt.ArrayLike, npt.ArrayLike]:
    try:
        import trimesh
    except ImportError:
        raise missing_dependency("trimesh", f"reading {path}") from None
    try:
        # `process` would merge vertices; materials would make it look for textures
        loaded = trimesh.load(path, force="mesh", process=False, skip_materials=True)
        vertices, faces = np.asarray(loaded.vertices), np.asarray(loaded.faces)  # type: ignore[attr-defined]
    except Exception as error:  # a reader per format, each with its own
        raise SceneFileError(f"{path}: trimesh cannot read it as a mesh ({error})") from None
    return vertices, faces
