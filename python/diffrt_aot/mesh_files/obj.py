"""Wavefront .obj: the vertices (v) and faces (f, fo); all else, such as normals, groups and materials, is passed over.

A corner is v, v/vt, v//vn or v/vt/vn. Indices begin at 1; negative ones count back from the line that they stand on,
-1 being the vertex last before it. What follows x, y, z on a line (w, colours) is not read.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from diffrt_aot._arguments import FloatArray, IntArray
from diffrt_aot.errors import SceneFileError

from .polygons import triangulate
from .words import BYTE_ORDER_MARK, floats, integers, show

# Statements whose last word may be a path that ends in a backslash.
_NAMES = (b"o", b"g", b"usemtl", b"mtllib")


def read_obj(data: bytes) -> tuple[FloatArray, IntArray]:
    """Return vertices and faces of the file whose bytes are `data`."""
    coordinates: list[bytes] = []
    vertex_lines: list[int] = []
    corners: list[bytes] = []
    counts: list[int] = []
    face_lines: list[int] = []
    for line, words in _statements(data):
        statement = words[0]
        if statement == b"v":
            if len(words) < 4:
                raise SceneFileError(f"line {line}: a vertex needs x, y and z, got {len(words) - 1} numbers")
            coordinates += words[1:4]
            vertex_lines.append(line)
        elif statement in (b"f", b"fo"):
            if len(words) < 4:
                raise SceneFileError(f"line {line}: a face needs 3 or more corners, got {len(words) - 1}")
            corners += words[1:]
            counts.append(len(words) - 1)
            face_lines.append(line)
        elif not statement[:1].isalpha():
            raise SceneFileError(f"line {line}: not .obj: expected a statement such as v or f, got {show(statement)}")
    if not vertex_lines:
        raise SceneFileError("not .obj, or empty: has no vertices (lines that begin with v)")
    vertices = floats(coordinates, lambda i: f"line {vertex_lines[i // 3]}").reshape(-1, 3)
    corners_of = np.array(counts, np.int64)
    face_of_corner = np.repeat(np.arange(len(counts)), corners_of)
    indices = integers(
        [corner.partition(b"/")[0] for corner in corners], lambda i: f"line {face_lines[face_of_corner[i]]}"
    )
    vertices_above = np.searchsorted(vertex_lines, face_lines)
    resolved = np.where(indices > 0, indices - 1, vertices_above[face_of_corner] + indices)
    wrong = (indices == 0) | (resolved < 0) | (resolved >= len(vertices))
    if wrong.any():
        at = int(np.argmax(wrong))
        face = int(face_of_corner[at])
        if indices[at] < 0:
            there = f"only {vertices_above[face]} vertices stand above that line"
        else:
            there = f"there are {len(vertices)} vertices, numbered from 1"
        raise SceneFileError(f"line {face_lines[face]}: a face has vertex {indices[at]}, but {there}")
    return vertices, triangulate(vertices, resolved, corners_of)


def _statements(data: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the number of each line that says something, from 1, and its words."""
    begun: list[bytes] = []  # what lines that ended in a backslash have said
    first = 0
    for number, line in enumerate(data.removeprefix(BYTE_ORDER_MARK).splitlines(), start=1):
        if b"#" in line:
            line = line.partition(b"#")[0]
        words = line.split()
        if begun:
            words = begun + words
        else:
            first = number
        if words and words[-1].endswith(b"\\") and words[0] not in _NAMES:
            begun = [*words[:-1], *filter(None, [words[-1][:-1]])]
            continue
        begun = []
        if words:
            yield first, words
    if begun:
        yield first, begun
