"""Stanford's .ply: the header, and what of its elements makes a mesh.

Of `vertex` x, y, z are taken; of `face` the list vertex_indices (or vertex_index); of `tristrips` the same list, where
-1 begins a new strip. Other elements and properties, of any type and in any order, are passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from diffrt_aot._arguments import FloatArray, IntArray
from diffrt_aot.errors import SceneFileError

from .ply_body import AsciiBody, BinaryBody, Element, IndexLists, Property
from .polygons import triangulate
from .words import show

# Names in headers -> NumPy's
_TYPES = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4"}
_TYPES |= {"double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"}
_TYPES |= {"float32": "f4", "float64": "f8", "int64": "i8", "uint64": "u8"}

_INDEX_LISTS = ("vertex_indices", "vertex_index")
_LONGEST_HEADER = 1 << 20


def read_ply(data: bytes) -> tuple[FloatArray, IntArray]:
    """Return vertices and faces of the file whose bytes are `data`."""
    header = _read_header(data)
    body = AsciiBody(data, header.end) if header.order is None else BinaryBody(data, header.end, header.order)
    vertices: FloatArray | None = None
    lists: list[tuple[Element, IndexLists]] = []
    for element in header.elements:
        if element.name == "vertex":
            vertices = body.read_scalars(element, [_find(element, axis) for axis in ("x", "y", "z")])
        elif element.name in ("face", "tristrips") and element.count:
            lists.append((element, body.read_lists(element, _find(element, *_INDEX_LISTS))))
        else:
            body.skip(element)
    body.finish()
    if vertices is None:
        raise SceneFileError("has no element vertex in its header")
    faces = [np.zeros((0, 3), np.int64)]
    for element, (indices, counts, place) in lists:
        owner = np.repeat(np.arange(len(counts)), counts)
        strips = element.name == "tristrips"
        wrong = (indices >= len(vertices)) | (indices < (-1 if strips else 0))
        if wrong.any():
            at = int(np.argmax(wrong))
            raise SceneFileError(
                f"{place(int(owner[at]))}: {element.name} {owner[at]} has vertex {indices[at]}, but there are "
                f"{len(vertices)} vertices, numbered from 0"
            )
        if strips:
            faces.append(_strips_to_faces(indices, owner))
            continue
        if (counts < 3).any():
            row = int(np.argmax(counts < 3))
            raise SceneFileError(f"{place(row)}: face {row} needs 3 or more corners, got {counts[row]}")
        faces.append(triangulate(vertices, indices, counts))
    return vertices, np.concatenate(faces)


@dataclass(frozen=True)
class _Header:
    """What the header says: byte order ("<", ">", or None for text), elements, and where the body begins."""

    order: str | None
    elements: list[Element]
    end: int


def _read_header(data: bytes) -> _Header:
    magic = re.match(rb"ply[ \t]*(\r\n|\r|\n)", data)
    if not magic:
        raise SceneFileError(f"line 1: not .ply: expected ply, got {show(data[:100].splitlines()[0] if data else b'')}")
    last = re.compile(rb"[\r\n]end_header[ \t]*").search(data, 0, _LONGEST_HEADER)
    if not last:
        raise SceneFileError("its header has no end_header; was the file cut?")
    # A body may begin with the byte of a line feed, so the first line tells how lines end.
    line_end = re.compile(rb"\r" if magic[1] == b"\r" else rb"\r?\n|\Z").match(data, last.end())
    if not line_end:
        raise SceneFileError("its header's line end_header goes on")
    order: str | None = ""
    elements: list[Element] = []
    for number, line in enumerate(data[: last.start()].splitlines(), start=1):
        words = line.decode("utf-8", "replace").split()
        match words:
            case [] | ["ply"] | ["comment" | "obj_info", *_]:
                continue
            case ["format", "ascii" | "binary_little_endian" | "binary_big_endian" as form, _]:
                order = {"ascii": None, "binary_little_endian": "<", "binary_big_endian": ">"}[form]
            case ["element", name, count] if count.isascii() and count.isdigit() and len(count) < 19:
                if any(element.name == name for element in elements):
                    raise SceneFileError(f"line {number}: a second element {name}")
                elements.append(Element(name, int(count), []))
            case ["property", "list", count_type, kind, name] if elements and kind in _TYPES:
                if _TYPES.get(count_type, "f")[0] == "f":
                    raise SceneFileError(f"line {number}: a list's count must be an integer, got {count_type}")
                elements[-1].properties.append(Property(name, _TYPES[kind], _TYPES[count_type]))
            case ["property", kind, name] if elements and kind in _TYPES:
                elements[-1].properties.append(Property(name, _TYPES[kind]))
            case _:
                raise SceneFileError(f"line {number}: not a line of a .ply header: {show(line)}")
    if order == "":
        raise SceneFileError("its header has no line format")
    return _Header(order, elements, line_end.end())


def _find(element: Element, *names: str) -> int:
    """Return the position of the property that has one of `names`."""
    for position, prop in enumerate(element.properties):
        if prop.name in names and (prop.count_type is not None) == (names == _INDEX_LISTS):
            if prop.count_type is not None and prop.type.startswith("f"):
                raise SceneFileError(f"element {element.name}: {prop.name} must hold integers")
            return position
    held = ", ".join(prop.name for prop in element.properties) or "nothing"
    what = "the list " if names == _INDEX_LISTS else ""
    raise SceneFileError(f"element {element.name}: needs {what}{' or '.join(names)}, holds {held}")


def _strips_to_faces(indices: IntArray, owner: IntArray) -> IntArray:
    """Return a triangle for each three indices in a row, every other one turned; those of two corners are left out."""
    if len(indices) < 3:
        return np.zeros((0, 3), np.int64)
    position = np.arange(len(indices))
    begins = indices < 0
    begins[0] = True
    begins[1:] |= owner[1:] != owner[:-1]
    from_restart = position - np.maximum.accumulate(np.where(begins, position, 0))
    # After a -1 the strip begins one later.
    in_strip = from_restart - (indices[position - from_restart] < 0)
    a, b, c = indices[:-2], indices[1:-1], indices[2:]
    whole = (in_strip[2:] == in_strip[:-2] + 2) & (in_strip[:-2] >= 0)
    whole &= (a != b) & (b != c) & (c != a)
    odd = (in_strip[:-2] % 2 == 1)[:, None]
    faces: IntArray = np.where(odd, np.stack([b, a, c], axis=1), np.stack([a, b, c], axis=1))[whole]
    return faces
