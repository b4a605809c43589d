"""Silhouette edges of meshes: which edges they are, which pixels of a tile they cross, and how.

An edge is a silhouette if all faces at it lie on the same side of it, as seen from the camera; a border edge always
is. A face that is seen edge-on counts as lying on one side, for all its edges alike: of those, which then are at the
same place in the image, one is a silhouette. `silhouette_edges` writes those of [begin, end) one after another from
item `begin` on, and how many to counts[chunk]. `detect_edges` appends (pixel, edge) pairs of a tile; `cross_edges`
gives the `Piece` of each pair.
"""

import taichi as ti

from kernels.cameras.pinhole import pinhole_direction
from kernels.numbers import Vec3, maximum, minimum, where
from kernels.numbers.traced import Traced, element
from kernels.pipeline.crossings import pixel_centres_in_tile
from kernels.pipeline.prepare import INVERSE_OFFSET, OFFSET
from kernels.pipeline.target import TILE
from kernels.silhouettes.edge import cross_edge

# Components of a silhouette edge: q as a vector, q = line . d; both ends [px] with 1/z there; its bounds; and whether
# the face of its first half-edge can be seen: 0 if that is seen edge-on.
LINE, START, END, INVERSE, EDGE_BOUNDS, EDGE_FACE, EDGE_COMPONENTS = 0, 3, 5, 7, 9, 13, 14
# Components of a piece of an edge in a pixel; `PIECE_INVERSE` is 1/z in its middle, `PIECE_CUT` 1 where an end is cut,
# `PIECE_CENTRE` how far [px] the pixel's centre is from its line, positive on the covered side.
PIECE_AREA, PIECE_MOMENT, PIECE_LENGTH, PIECE_MIDDLE, PIECE_OUTWARD, PIECE_INVERSE = 0, 1, 3, 4, 6, 8
PIECE_CUT, PIECE_CENTRE, PIECE_NODES, PIECE_COMPONENTS = 9, 11, 12, 18
MARGIN = 0.56
# An area this near to 0 or 1 may be either, modulo 1; a hole smaller than LEAST_HOLE may be rounding.
AMBIGUOUS, LEAST_HOLE = 1e-5, 1e-7
# Of pieces whose distances differ by less than this [px], any may be the nearest. And a centre this near to a
# silhouette is where its ray finds it to be.
AS_NEAR = 1e-4


def silhouette_edges(target):
    """Edges that are silhouettes; `starts`, `half_edges`, `along` as in MeshEdges."""
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        chunk: ti.i32,
        stride: ti.i32,
        vertex_stride: ti.i32,
        face_stride: ti.i32,
        width: ti.f32,
        height: ti.f32,
        fx: ti.f32,
        fy: ti.f32,
        cx: ti.f32,
        cy: ti.f32,
        first_faces: indices,
        second_faces: indices,
        starts: indices,
        half_edges: indices,
        along: indices,
        faces: indices,
        vertices_camera: scalars,
        triangles: scalars,
        edges: indices,
        components: scalars,
        counts: indices,
    ):
        ti.loop_config(serialize=target.serial)
        for part in range(chunk, chunk + 1):
            n = begin
            for e in range(begin, end):
                sign = side_of_faces(
                    e, first_faces, second_faces, starts, half_edges, along, triangles, OFFSET * face_stride
                )
                if sign != 0.0:
                    first = half_edges[starts[e]]
                    seen = describe(
                        first,
                        sign,
                        (faces, face_stride),
                        (vertices_camera, vertex_stride),
                        (width, height, fx, fy, cx, cy),
                        triangles,
                        components,
                        stride,
                        n,
                    )
                    if seen != 0:
                        edges[n] = e
                        n += 1
            counts[part] = n - begin

    return kernel


@ti.func
def side_of_faces(
    e,
    first_faces: ti.template(),
    second_faces: ti.template(),
    starts: ti.template(),
    half_edges: ti.template(),
    along: ti.template(),
    triangles: ti.template(),
    offsets,
):
    """1 or -1, on which side of edge e all its faces lie; 0 for both. The planes' offsets begin at `offsets`."""
    # Most edges have two faces, of which the second is directed the other way.
    ahead = triangles[offsets + first_faces[e]] > 0.0
    alone = ahead
    second = second_faces[e]
    if second >= 0:
        alone = ahead != (triangles[offsets + second] > 0.0)
    else:
        alone = True
        for h in range(starts[e], starts[e + 1]):
            side = triangles[offsets + half_edges[h] // 3] > 0.0
            alone = alone and ahead == (side == (along[h] > 0))
    sign = 0.0
    if alone:
        sign = ti.select(ahead, 1.0, -1.0)
    return sign


def describe(half_edge, sign, faces, vertices, camera, triangles, components, stride, n):
    """Writes item n of the components; returns whether any of the edge may be in the image, 1 or 0."""
    a, b = half_edge_ends(half_edge, *faces, *vertices)
    width, height, fx, fy, cx, cy = (Traced(x) for x in camera)
    span = b - a
    line = ((a + b) * 0.5).cross(span) * Traced(sign)
    nearest = maximum(a.z, b.z) * 1e-3
    in_front = nearest > 0.0
    (start_x, start_y, start_inverse), (end_x, end_y, end_inverse) = (
        _project(p, q, nearest, in_front, (fx, fy, cx, cy)) for p, q in ((a, b), (b, a))
    )
    low_x, high_x = minimum(start_x, end_x) - MARGIN, maximum(start_x, end_x) + MARGIN
    low_y, high_y = minimum(start_y, end_y) - MARGIN, maximum(start_y, end_y) + MARGIN
    seen = in_front & (high_x > 0.0) & (high_y > 0.0) & (low_x < width - 1.0) & (low_y < height - 1.0)
    bounds = (
        maximum(low_x, 0.0),
        maximum(low_y, 0.0),
        minimum(high_x, width - 1.0),
        minimum(high_y, height - 1.0),
    )
    face = where(Traced(element(triangles, INVERSE_OFFSET * faces[1] + half_edge // 3)) == 0.0, 0.0, 1.0)
    values = (*line, start_x, start_y, end_x, end_y, start_inverse, end_inverse, *bounds, face)
    for c, value in enumerate(values):
        element(components, c * stride + n)._assign(value.expression)
    return ti.cast(where(seen, 1.0, 0.0).expression, ti.i32)


def _project(p, other, nearest, in_front, intrinsics):
    """Image point and 1/z of an end; of an end behind the camera, those of where the edge comes near it."""
    fx, fy, cx, cy = intrinsics
    near = p.z < nearest
    t = where(near & in_front, (nearest - p.z) / where(near & in_front, other.z - p.z, 1.0), 0.0)
    x, y, z = p + (other - p) * t
    inverse = 1.0 / where(in_front, maximum(z, nearest), 1.0)
    return x * inverse * fx + cx, y * inverse * fy + cy, inverse


def half_edge_ends(half_edge, faces, face_stride, vertices, vertex_stride):
    """Start and end of a half-edge 3 * face + corner, in the camera frame; scalars."""
    face, corner = half_edge // 3, half_edge % 3
    result = []
    for step in (1, 2):
        v = element(faces, ((corner + step) % 3) * face_stride + face)
        result.append(Vec3(*(Traced(element(vertices, axis * vertex_stride + v)) for axis in range(3))))
    return result


def detect_edges(target):
    """Pairs of the tile's candidate edges [begin, end) and the pixels that they may cross."""
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        left: ti.i32,
        top: ti.i32,
        columns: ti.i32,
        lines: ti.i32,
        stride: ti.i32,
        components: scalars,
        candidates: indices,
        pixels: indices,
        primitives: indices,
        count: indices,
    ):
        ti.loop_config(serialize=target.serial)
        for k in range(begin, end):
            e = candidates[k]
            n = count[0]
            first, last = rows_of_edge(components, stride, e)
            for row in range(ti.max(first - top, 0), ti.min(last - top, lines - 1) + 1):
                left_x, right_x = columns_of_edge(components, stride, e, row + top)
                for x in range(ti.max(left_x - left, 0), ti.min(right_x - left, columns - 1) + 1):
                    pixels[n] = row * TILE + x
                    primitives[n] = e
                    n += 1
            count[0] = n

    return kernel


@ti.func
def rows_of_edge(components: ti.template(), stride, e):
    """First and last row of pixels that edge e may cross."""
    ay = components[(START + 1) * stride + e]
    by = components[(END + 1) * stride + e]
    # The image is far smaller than what int32 holds; an end near the camera plane may not be.
    first = ti.cast(ti.floor(ti.max(ti.min(ay, by), -1e6) + 0.499), ti.i32)
    last = ti.cast(ti.ceil(ti.min(ti.max(ay, by), 1e6) - 0.499), ti.i32)
    return first, last


@ti.func
def columns_of_edge(components: ti.template(), stride, e, row):
    """First and last pixel of a row that edge e may cross."""
    ax = components[START * stride + e]
    ay = components[(START + 1) * stride + e]
    bx = components[END * stride + e]
    by = components[(END + 1) * stride + e]
    run = (bx - ax) / ti.select(by == ay, 1.0, by - ay)
    low_x = ti.min(ax, bx)
    high_x = ti.max(ax, bx)
    y0 = ti.max(ti.cast(row, ti.f32) - 0.5, ti.min(ay, by))
    y1 = ti.min(ti.cast(row, ti.f32) + 0.5, ti.max(ay, by))
    x0 = ti.select(by == ay, low_x, ax + (y0 - ay) * run)
    x1 = ti.select(by == ay, high_x, ax + (y1 - ay) * run)
    # Of a long edge x is known to a few of its digits.
    slack = 0.01 + 1e-6 * (ti.max(ax, -ax) + ti.max(run, -run))
    from_x = ti.max(ti.max(ti.min(x0, x1), low_x) - slack, -1e6)
    to_x = ti.min(ti.min(ti.max(x0, x1), high_x) + slack, 1e6)
    return ti.cast(ti.floor(from_x + 0.5), ti.i32), ti.cast(ti.ceil(to_x - 0.5), ti.i32)


def cross_edges(target):
    """The Piece of each pair: numbers [begin, end) of pairs, components c of number i at c * stride + i."""
    numbers, scalars, indices = target.numbers, target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        left: ti.i32,
        top: ti.i32,
        stride: ti.i32,
        edge_stride: ti.i32,
        fx: ti.f32,
        fy: ti.f32,
        cx: ti.f32,
        cy: ti.f32,
        components: scalars,
        pixels: indices,
        primitives: indices,
        pieces: numbers,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            run(i, left, top, stride, edge_stride, (fx, fy, cx, cy), components, pixels, primitives, pieces)

    def run(i, left, top, stride, edge_stride, intrinsics, components, pixels, primitives, pieces):
        x, y = pixel_centres_in_tile(target, i, left, top, pixels)
        ids = [element(primitives, i * target.lanes + k) for k in range(target.lanes)]
        for c, value in enumerate(piece_of(target, components, edge_stride, ids, x, y, intrinsics)):
            element(pieces, c * stride + i)._assign(value.splat(target.lanes).expression)

    return kernel


def piece_of(target, components, edge_stride, ids, x, y, intrinsics):
    """The components of the piece of each lane's edge in the pixel at (x, y)."""
    fx, fy, cx, cy = (Traced(a) for a in intrinsics)
    direction = pinhole_direction(x, y, fx, fy, cx, cy)
    fetched = [target.gather(components, [c * edge_stride + k for k in ids]) for c in range(EDGE_BOUNDS)]
    line = Vec3(*fetched[LINE : LINE + 3])
    a = (fetched[START] - x, fetched[START + 1] - y)
    b = (fetched[END] - x, fetched[END + 1] - y)
    value = line.dot(direction)
    piece = cross_edge(value, (line.x / fx, line.y / fy), a, b)
    # 1/z is linear along the edge's image.
    dx, dy = b[0] - a[0], b[1] - a[1]
    square = dx * dx + dy * dy
    t = ((piece.middle[0] - a[0]) * dx + (piece.middle[1] - a[1]) * dy) / where(square > 0.0, square, 1.0)
    inverse = fetched[INVERSE] + t * (fetched[INVERSE + 1] - fetched[INVERSE])
    # cross_edge walks with the covered side on its left; `cut` is told in the order of the edge's own ends.
    forward = a[0] * line.y / fy - a[1] * line.x / fx <= b[0] * line.y / fy - b[1] * line.x / fx
    start, end = (where(cut, 1.0, 0.0) for cut in piece.cut)
    centre = piece.outward[0] * piece.middle[0] + piece.outward[1] * piece.middle[1]
    values = [piece.area, *piece.moment, piece.length, *piece.middle, *piece.outward, inverse]
    values += [where(forward, start, end), where(forward, end, start), centre]
    return values + [number for node in piece.nodes for number in node]
