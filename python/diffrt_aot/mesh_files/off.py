"""Geomview's .off: counts, a line for each vertex, a line for each face; colours and normals are passed over.

The keyword OFF may have C, N and ST in front (colours, normals, texture coordinates behind x, y, z), may be left out,
and may have the counts on its own line. # begins a comment.
"""

from __future__ import annotations

import re

import numpy as np

from diffrt_aot._arguments import FloatArray, IntArray
from diffrt_aot.errors import SceneFileError

from .polygons import triangulate
from .words import BYTE_ORDER_MARK, floats, integers, show


def read_off(data: bytes) -> tuple[FloatArray, IntArray]:
    """Return vertices and faces of the file whose bytes are `data`."""
    lines: list[bytes] = []
    numbers: list[int] = []
    for number, line in enumerate(data.removeprefix(BYTE_ORDER_MARK).splitlines(), start=1):
        line = (line.partition(b"#")[0] if b"#" in line else line).strip()
        if line:
            lines.append(line)
            numbers.append(number)
    if not lines:
        raise SceneFileError("is empty")
    vertex_count, face_count, begin = _header(lines, numbers)
    if len(lines) - begin != vertex_count + face_count:
        raise SceneFileError(
            f"its header says {vertex_count} vertices and {face_count} faces, a line each, but {len(lines) - begin} "
            f"lines follow; was the file cut?"
        )
    coordinates: list[bytes] = []
    for at in range(begin, begin + vertex_count):
        words = lines[at].split(None, 3)
        if len(words) < 3:
            raise SceneFileError(f"line {numbers[at]}: a vertex needs x, y and z, got {len(words)} numbers")
        coordinates += words[:3]
    vertices = floats(coordinates, lambda i: f"line {numbers[begin + i // 3]}").reshape(-1, 3)

    begin += vertex_count
    counts = integers([line.split(None, 1)[0] for line in lines[begin:]], lambda i: f"line {numbers[begin + i]}")
    corners: list[bytes] = []
    for at, count in enumerate(counts.tolist(), start=begin):
        words = lines[at].split()
        if not 3 <= count < len(words):
            raise SceneFileError(
                f"line {numbers[at]}: a face has its count, 3 or more, and as many indices; got {count} and "
                f"{len(words) - 1} numbers"
            )
        corners += words[1 : count + 1]
    face_of_corner = np.repeat(np.arange(face_count), counts)
    indices = integers(corners, lambda i: f"line {numbers[begin + face_of_corner[i]]}")
    wrong = (indices < 0) | (indices >= vertex_count)
    if wrong.any():
        wrong_at = int(np.argmax(wrong))
        raise SceneFileError(
            f"line {numbers[begin + face_of_corner[wrong_at]]}: a face has vertex {indices[wrong_at]}, but there are "
            f"{vertex_count} vertices, numbered from 0"
        )
    return vertices, triangulate(vertices, indices, counts)


def _header(lines: list[bytes], numbers: list[int]) -> tuple[int, int, int]:
    """Return the counts of vertices and faces, and where in `lines` the vertices begin."""
    number, words, begin = numbers[0], lines[0].split(), 1
    keyword = re.fullmatch(rb"((?:ST)?C?N?)(4?n?)OFF(\d*)", words[0])
    if keyword:
        if keyword[2]:
            raise SceneFileError(f"line {number}: {show(words[0])} has other than three coordinates; write it as OFF")
        words = [*filter(None, [keyword[3]]), *words[1:]]  # ModelNet's OFF490 518 0 among them
        if words[:1] == [b"BINARY"]:
            raise SceneFileError(f"line {number}: binary OFF cannot be read; write it as text, or as .ply")
        if not words and len(lines) > 1:
            number, words, begin = numbers[1], lines[1].split(), 2
    elif not words[0].isdigit():
        raise SceneFileError(f"line {number}: not .off: expected OFF, got {show(words[0])}")
    if not 2 <= len(words) <= 3:
        raise SceneFileError(f"line {number}: expected the counts of vertices, faces and edges")
    vertex_count, face_count = integers(words[:2], lambda i: f"line {number}").tolist()
    if vertex_count < 0 or face_count < 0:
        raise SceneFileError(f"line {number}: counts must not be negative, got {vertex_count} and {face_count}")
    return vertex_count, face_count, begin
