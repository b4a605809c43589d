"""Where silhouettes cross pixels, and how much of them is covered: with partials by theta, from what q does there."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels.cameras.pinhole import pinhole_direction
from kernels.numbers import Dual, value_of
from kernels.silhouettes.edge import NICK

# Where an area modulo 1 is as near to 0 as this, it may be rounding that makes it 0 or 1.
UNDECIDED = 1e-9
# Of pieces whose distances differ by less than this [px], any may be the nearest.
AS_NEAR = 1e-4


@dataclass(frozen=True)
class Entry:
    """A pixel that a silhouette crosses.

    Attributes:
        v, u: the pixel.
        name: of the shape whose silhouette it is.
        area: the covered part of the pixel, a Dual.
        moment: (x, y) around the pixel's centre, integrated over the part [px]; Duals.
        length: of the silhouette in the pixel [px].
        edge_point: a point (u, v) of the silhouette, in the middle of its longest piece.
        outward: unit normal (u, v) there, out of the covered part.
        centred: whether the pixel's centre is covered.
        owner: id of the primitive; None for a mesh.
        edge: of a mesh, the edge on which edge_point lies.
    """

    v: int
    u: int
    name: str
    area: Any
    moment: tuple
    length: float
    edge_point: tuple
    outward: tuple
    centred: bool
    owner: int | None = None
    edge: Any = None


def crossings_of(camera, intrinsics, primitives, edges):
    """All entries: first those of spheres and planes, then those of meshes."""
    entries = []
    for k, primitive in enumerate(primitives):
        if hasattr(primitive, "crossing"):
            entries += _smooth_entries(camera, intrinsics, k, primitive)
    pieces = {}
    for edge in edges:
        side = edge.side(primitives)
        if side != 0.0:
            for pixel, piece in _pieces(camera, intrinsics, edge, side):
                pieces.setdefault((edge.name, *pixel), []).append(piece)
    for (name, v, u), found in pieces.items():
        entries += [_mesh_entry(name, v, u, component) for component in _components(found) if not _nick(component)]
    return entries


def integrated(silhouette, intrinsics, u, v, nodes):
    """Partials of (area, moment x, moment y) of pixels: three dicts of arrays; nodes are as in a Crossing.

    With q around fixed points of the image: sum weight dq, sum weight x dq, sum weight y dq.
    """
    x, y, weight = (np.array([np.broadcast_to(node[i], np.shape(u)) for node in nodes]) for i in range(3))
    q = silhouette(pinhole_direction(u + x, v + y, *intrinsics))
    partials = q.partials if isinstance(q, Dual) else {}
    return [{k: np.sum(weight * factor * dq, axis=0) for k, dq in partials.items()} for factor in (1.0, x, y)]


def _at(value, partials, i):
    return Dual(value[i], {k: partial[i] for k, partial in partials.items()})


# --- spheres, planes


def _smooth_entries(camera, intrinsics, k, primitive):
    fx, fy, *_ = plain = [value_of(x) for x in intrinsics]
    v, u = (x.ravel() for x in np.mgrid[0 : camera.height, 0 : camera.width])
    crossing = primitive.crossing(pinhole_direction(u, v, *plain), fx, fy)
    if crossing is None:
        return []
    partials = integrated(primitive.silhouette, intrinsics, u, v, crossing.nodes)
    inside = value_of(primitive.silhouette(pinhole_direction(u, v, *plain))) > 0.0
    length = np.zeros(u.shape)
    for x, y, weight in crossing.nodes:  # dl / |grad q| is in the weights
        length += weight * _steepness(primitive, plain, u + x, v + y)
    crossed = np.any([np.broadcast_to(weight, u.shape) > 0.0 for *_, weight in crossing.nodes], axis=0)
    area, *moment = (np.broadcast_to(m, u.shape) for m in (crossing.area, *crossing.moment))
    edge_point, outward = (
        np.array([np.broadcast_to(x, u.shape) for x in vector]) for vector in (crossing.edge_point, crossing.outward)
    )
    return [
        Entry(
            int(v[i]),
            int(u[i]),
            primitive.name,
            _at(area, partials[0], i),
            (_at(moment[0], partials[1], i), _at(moment[1], partials[2], i)),
            float(length[i]),
            (u[i] + edge_point[0][i], v[i] + edge_point[1][i]),
            tuple(outward[:, i]),
            bool(inside[i]),
            owner=k,
        )
        for i in np.flatnonzero(crossed)
    ]


def _steepness(primitive, intrinsics, u, v):
    """|grad q| [1/px], q being differentiated by the image point."""
    q = primitive.silhouette(pinhole_direction(Dual(u, {"u": 1.0}), Dual(v, {"v": 1.0}), *intrinsics))
    return np.hypot(q.partials["u"], q.partials["v"])


# --- meshes


@dataclass(frozen=True)
class _Piece:
    """A piece of an edge in a pixel; area and moment are its terms, Duals, `value` is q at the pixel's centre, and
    `links` are the vertices at its ends that are inside the pixel.
    """

    area: Any
    moment: tuple
    length: float
    middle: tuple
    outward: tuple
    value: float
    links: list
    edge: Any


def _pieces(camera, intrinsics, edge, side):
    """[((v, u), piece)] of a silhouette edge."""
    found = edge.pieces(side, camera, [value_of(x) for x in intrinsics])
    if found is None:
        return
    v, u, value, piece, vertices = found
    partials = integrated(lambda direction: edge.silhouette(direction, side), intrinsics, u, v, piece.nodes)
    for i in np.flatnonzero(piece.length > 0.0):
        yield (
            (int(v[i]), int(u[i])),
            _Piece(
                _at(piece.area, partials[0], i),
                (_at(piece.moment[0], partials[1], i), _at(piece.moment[1], partials[2], i)),
                float(piece.length[i]),
                (u[i] + piece.middle[0][i], v[i] + piece.middle[1][i]),
                piece.outward,
                float(value[i]),
                [vertex for vertex, cut in zip(vertices, piece.cut, strict=True) if not cut[i]],
                edge,
            ),
        )


def _components(pieces):
    """The pieces that hang together at vertices inside the pixel, as lists."""
    components = []
    for piece in pieces:
        linked = [c for c in components if any(set(piece.links) & set(other.links) for other in c)]
        components = [c for c in components if not any(c is other for other in linked)]
        components.append([p for c in linked for p in c] + [piece])
    return components


def _nick(component):
    """Whether it is a corner that reaches into the pixel by no more than rounding."""
    return len(component) > 1 and sum(piece.length for piece in component) < NICK


def _mesh_entry(name, v, u, component):
    total = sum((piece.area for piece in component), Dual(0.0, {}))
    moment = tuple(sum((piece.moment[axis] for piece in component), Dual(0.0, {})) for axis in (0, 1))
    longest = max(component, key=lambda piece: piece.length)
    centred = _centred(component, u, v)
    closed = all(len(piece.links) == 2 for piece in component)
    return Entry(
        v,
        u,
        name,
        Dual(_unwrapped(total.value, closed, centred), total.partials),
        moment,
        sum(piece.length for piece in component),
        longest.middle,
        longest.outward,
        centred,
        edge=longest.edge,
    )


def _centred(component, u, v):
    """Whether the pixel's centre is covered: what the nearest piece says.

    Where several are the nearest, at a vertex, and do not agree: all of them must, if it is a convex corner.
    """
    middles = np.array([piece.middle for piece in component]) - (u, v)
    normals = np.array([piece.outward for piece in component])
    covered = np.array([piece.value >= 0.0 for piece in component])
    aside, along = (normals * middles).sum(axis=1), normals[:, 1] * middles[:, 0] - normals[:, 0] * middles[:, 1]
    beyond = np.maximum(np.abs(along) - 0.5 * np.array([piece.length for piece in component]), 0.0)
    distances = np.hypot(aside, beyond)
    near = distances <= distances.min() + AS_NEAR
    if covered[near].all() or not covered[near].any():
        return bool(covered[near].all())
    # Of any two pieces of a convex corner, the normals lead apart.
    return bool(near.sum() * aside[near].sum() < normals[near].sum(axis=0) @ middles[near].sum(axis=0))


def _unwrapped(total, closed, centred):
    """The area, of which `total` is known modulo 1. Near 0 and 1 the pixel's centre tells which of them it is.

    What is closed within the pixel lacks nothing: there `total` is the area itself, or that of a hole, negative.
    """
    if closed and total > -UNDECIDED:
        return max(total, 0.0)
    area = total % 1.0
    if UNDECIDED < area < 1.0 - UNDECIDED:
        return area
    return min(max(total - round(total) + (1.0 if centred else 0.0), 0.0), 1.0)
