"""Stereolithography, .stl, as text or binary: triangles that name the positions of their corners.

The format has no vertices that faces could share. Corners that are equal to the last bit (0 and -0 are) become one
vertex, in the order in which they first appear, so that a closed surface stays closed where its vertices are free.
Faces are in the file's order, those without area among them; normals are not read.
"""

from __future__ import annotations

import numpy as np

from diffrt_aot._arguments import FloatArray, IntArray
from diffrt_aot.errors import SceneFileError

from .words import floats, show

_HEADER = 80
_FACE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def read_stl(data: bytes) -> tuple[FloatArray, IntArray]:
    """Return vertices and faces of the file whose bytes are `data`."""
    begin = _HEADER + 4
    count = int.from_bytes(data[_HEADER:begin], "little") if len(data) >= begin else -1
    size = begin + count * _FACE.itemsize
    # Binary files often begin with "solid" as well, so the size decides; some end in a few bytes of padding.
    if count >= 0 and size <= len(data) < size + _FACE.itemsize and (count or not _is_text(data)):
        corners = np.frombuffer(data, _FACE, count, begin)["corners"].reshape(-1, 3).astype(np.float64)
    elif _is_text(data):
        corners = _read_text(data)
    elif len(data) < begin:
        raise SceneFileError(f"not .stl, or cut: has {len(data)} bytes, where binary files have {begin} and more")
    else:
        raise SceneFileError(
            f"not .stl, or cut: its header says {count} triangles, which are {size} bytes, but it has {len(data)}"
        )
    return _weld(corners)


def _is_text(data: bytes) -> bool:
    return data.lstrip()[:5].lower() == b"solid" and b"\0" not in data[:1024]


def _read_text(data: bytes) -> FloatArray:
    coordinates: list[bytes] = []
    vertex_lines: list[int] = []
    in_facet, open_solid, line = 0, False, 0
    for line, text in enumerate(data.splitlines(), start=1):
        words = text.split()
        word = words[0].lower() if words else b""
        if word == b"vertex":
            if len(words) != 4:
                raise SceneFileError(f"line {line}: a vertex has x, y and z, got {len(words) - 1} numbers")
            coordinates += words[1:]
            vertex_lines.append(line)
            in_facet += 1
        elif word == b"endfacet":
            if in_facet != 3:
                raise SceneFileError(f"line {line}: a facet has 3 vertices, got {in_facet}")
            in_facet = 0
        elif word in (b"solid", b"endsolid"):
            open_solid = word == b"solid"
        elif word not in (b"", b"facet", b"outer", b"endloop"):
            raise SceneFileError(f"line {line}: expected facet, outer loop, vertex or their ends, got {show(words[0])}")
    if in_facet or open_solid:
        raise SceneFileError(f"line {line}: ends before endsolid; was the file cut?")
    return floats(coordinates, lambda i: f"line {vertex_lines[i // 3]}").reshape(-1, 3)


def _weld(corners: FloatArray) -> tuple[FloatArray, IntArray]:
    corners = corners + 0.0  # -0 becomes 0
    x, y, z = np.ascontiguousarray(corners.T).view(np.uint64)
    hashes = _mix(x + _mix(y + _mix(z)))
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    group = group.reshape(-1)
    if not np.array_equal(corners[first[group]].view(np.uint64), corners.view(np.uint64)):  # two have the same hash
        _, first, group = np.unique(corners.view(np.uint64), axis=0, return_index=True, return_inverse=True)
        group = group.reshape(-1)
    order = np.argsort(first)
    rank = np.empty(len(first), np.int64)
    rank[order] = np.arange(len(first))
    return corners[first[order]], rank[group].reshape(-1, 3)


def _mix(x: np.ndarray[tuple[int, ...], np.dtype[np.uint64]]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    # Every bit of the result depends on every bit of x (Stafford's mix 13, as in splitmix64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
