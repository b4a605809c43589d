"""Readers of mesh files, one format per file: each takes the file's bytes and returns vertices and faces.

vertices (V, 3) float64 and faces (F, 3) int64 into them, from 0, both in the file's order: no vertex is merged,
dropped or moved (but in .stl, which has no vertices of its own), and larger polygons become triangles in place. A
reader raises SceneFileError, with the line or byte but without the file's name.
"""

from collections.abc import Callable

from diffrt_aot._arguments import FloatArray, IntArray

from .obj import read_obj
from .off import read_off
from .ply import read_ply
from .stl import read_stl

#: A reader for each ending.
READERS: dict[str, Callable[[bytes], tuple[FloatArray, IntArray]]] = {
    ".obj": read_obj,
    ".ply": read_ply,
    ".stl": read_stl,
    ".off": read_off,
}
