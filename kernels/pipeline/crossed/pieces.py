"""Pieces of silhouette edges, and the chains that they form: the entries of meshes.

Pieces of a pixel that meet at a vertex inside it belong together. The area of such a chain is the sum of its pieces'
modulo 1 (kernels/silhouettes/edge.py).
"""

import taichi as ti

from kernels.numbers.traced import element
from kernels.pipeline.crossed import layout as at
from kernels.pipeline.crossed.entries import EDGE_INVERSE
from kernels.pipeline.crossings import (
    AREA,
    CENTRE,
    INNER,
    INSIDE,
    LEAST_AREA,
    LONGEST,
    MOMENT,
    SPREAD,
    SPREAD_SLOPE,
    STEP,
)
from kernels.pipeline.edges import (
    AMBIGUOUS,
    AS_NEAR,
    LEAST_HOLE,
    PIECE_AREA,
    PIECE_CENTRE,
    PIECE_CUT,
    PIECE_INVERSE,
    PIECE_LENGTH,
    PIECE_MIDDLE,
    PIECE_MOMENT,
    PIECE_OUTWARD,
    piece_of,
)
from kernels.silhouettes.edge import NICK


def cross_pieces(target):
    """The pieces [begin, end), each written to its place in the order of the edges among those of its pixel."""
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        tiles_x: ti.i32,
        fx: ti.f32,
        fy: ti.f32,
        cx: ti.f32,
        cy: ti.f32,
        crossed_capacity: ti.i32,
        piece_capacity: ti.i32,
        edge_stride: ti.i32,
        components: scalars,
        pixel_places: indices,
        crossed: indices,
        piece_numbers: indices,
        pieces: scalars,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            if i < piece_capacity:
                n = piece_capacity
                pixel = piece_numbers[at.PIECE_PIXEL * n + i]
                j = pixel_places[pixel]
                if j < 0:
                    piece_numbers[at.PIECE_ENTRY * n + i] = -1
                else:
                    edge = piece_numbers[at.PIECE_FOUND * n + i]
                    first = crossed[at.CROSSED_FIRST_PIECE * crossed_capacity + j]
                    place = first
                    for other in range(first, first + crossed[at.CROSSED_PIECES * crossed_capacity + j]):
                        if piece_numbers[at.PIECE_FOUND * n + other] < edge:
                            place += 1
                    piece_numbers[at.PIECE_EDGE * n + place] = edge
                    x = ti.cast(at.column_of(pixel, tiles_x), ti.f32)
                    y = ti.cast(at.row_of(pixel, tiles_x), ti.f32)
                    run(components, edge_stride, edge, x, y, (fx, fy, cx, cy), pieces, n, place)

    def run(components, edge_stride, edge, x, y, intrinsics, pieces, capacity, place):
        x, y = target.packet(x), target.packet(y)
        for c, value in enumerate(piece_of(target, components, edge_stride, [edge], x, y, intrinsics)):
            element(pieces, c * capacity + place)._assign(value.expression)

    return kernel


@ti.func
def chain_of(piece_numbers: ti.template(), capacity, i):
    """The first piece of the chain that a piece belongs to."""
    while piece_numbers[at.PIECE_CHAIN * capacity + i] != i:
        i = piece_numbers[at.PIECE_CHAIN * capacity + i]
    return i


@ti.func
def joined(
    piece_numbers: ti.template(), pieces: ti.template(), capacity, edge_numbers: ti.template(), edge_stride, i, j
):
    """Whether two pieces meet at a vertex inside their pixel."""
    result = False
    for a in ti.static(range(2)):
        for b in ti.static(range(2)):
            if pieces[(PIECE_CUT + a) * capacity + i] == 0.0 and pieces[(PIECE_CUT + b) * capacity + j] == 0.0:
                edge_i = piece_numbers[at.PIECE_EDGE * capacity + i]
                edge_j = piece_numbers[at.PIECE_EDGE * capacity + j]
                end_i = edge_numbers[(at.EDGE_ENDS + a) * edge_stride + edge_i]
                end_j = edge_numbers[(at.EDGE_ENDS + b) * edge_stride + edge_j]
                if end_i == end_j:
                    result = True
    return result


def link_pieces(target):
    """The chains of crossed pixels [begin, end), as entries after those of spheres and planes."""
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        tiles_x: ti.i32,
        crossed_capacity: ti.i32,
        entry_capacity: ti.i32,
        piece_capacity: ti.i32,
        edge_stride: ti.i32,
        edge_numbers: indices,
        meshes: indices,
        pieces: scalars,
        piece_numbers: indices,
        crossed: indices,
        entries: indices,
        crossings: scalars,
    ):
        ti.loop_config(serialize=target.serial)
        for j in range(begin, end):
            if j < crossed_capacity:
                n = piece_capacity
                first = crossed[at.CROSSED_FIRST_PIECE * crossed_capacity + j]
                last = first + crossed[at.CROSSED_PIECES * crossed_capacity + j]
                for i in range(first, last):
                    piece_numbers[at.PIECE_CHAIN * n + i] = i
                    piece_numbers[at.PIECE_ENTRY * n + i] = -1
                for i in range(first, last):
                    for other in range(i + 1, last):
                        if pieces[PIECE_LENGTH * n + i] > 0.0 and pieces[PIECE_LENGTH * n + other] > 0.0:
                            a = chain_of(piece_numbers, n, i)
                            b = chain_of(piece_numbers, n, other)
                            if a != b:  # noqa: SIM102 - what is called is not skipped
                                if joined(piece_numbers, pieces, n, edge_numbers, edge_stride, i, other):
                                    piece_numbers[at.PIECE_CHAIN * n + ti.max(a, b)] = ti.min(a, b)
                for root in range(first, last):
                    if pieces[PIECE_LENGTH * n + root] > 0.0 and piece_numbers[at.PIECE_CHAIN * n + root] == root:
                        count = crossed[at.CROSSED_ENTRIES * crossed_capacity + j]
                        e = crossed[at.CROSSED_FIRST_ENTRY * crossed_capacity + j] + count
                        if e < entry_capacity and not is_nick(piece_numbers, pieces, n, root, last):
                            crossed[at.CROSSED_ENTRIES * crossed_capacity + j] = count + 1
                            pixel = crossed[at.CROSSED_PIXEL * crossed_capacity + j]
                            longest = add_chain(piece_numbers, pieces, n, root, last, e, crossings, entry_capacity)
                            describe_chain(pieces, n, longest, pixel, tiles_x, e, crossings, entry_capacity)
                            edge = piece_numbers[at.PIECE_EDGE * n + longest]
                            mesh = edge_numbers[at.EDGE_MESH * edge_stride + edge]
                            face = edge_numbers[at.EDGE_HALF_EDGE * edge_stride + edge] // 3
                            numbers = mesh * at.MESH_NUMBERS
                            entries[at.ENTRY_PIXEL * entry_capacity + e] = pixel
                            entries[at.ENTRY_OWNER * entry_capacity + e] = meshes[numbers + at.MESH_FIRST_ID] + face
                            entries[at.ENTRY_KIND * entry_capacity + e] = at.KIND_CHAIN
                            entries[at.ENTRY_MESH * entry_capacity + e] = mesh
                            entries[at.ENTRY_RULE * entry_capacity + e] = meshes[numbers + at.MESH_RULE]

    return kernel


@ti.func
def is_nick(piece_numbers: ti.template(), pieces: ti.template(), n, root, last):
    """Whether a chain is a corner that reaches into the pixel by no more than rounding."""
    count = 0
    length = 0.0
    for i in range(root, last):
        if pieces[PIECE_LENGTH * n + i] > 0.0 and chain_of(piece_numbers, n, i) == root:
            count += 1
            length += pieces[PIECE_LENGTH * n + i]
    return count > 1 and length < NICK


@ti.func
def add_chain(
    piece_numbers: ti.template(),
    pieces: ti.template(),
    capacity,
    root,
    last,
    e,
    crossings: ti.template(),
    entry_capacity,
):
    """Sums up the pieces of a chain, from its first on; returns the longest."""
    n = capacity
    count = 0
    cuts = 0.0
    area = 0.0
    moment_x = 0.0
    moment_y = 0.0
    length = 0.0
    longest = root
    for i in range(root, last):
        if pieces[PIECE_LENGTH * n + i] > 0.0 and chain_of(piece_numbers, n, i) == root:
            area += pieces[PIECE_AREA * n + i]
            moment_x += pieces[PIECE_MOMENT * n + i]
            moment_y += pieces[(PIECE_MOMENT + 1) * n + i]
            piece_numbers[at.PIECE_ENTRY * n + i] = e
            count += 1
            cuts += pieces[PIECE_CUT * n + i] + pieces[(PIECE_CUT + 1) * n + i]
            if pieces[PIECE_LENGTH * n + i] > length:
                length = pieces[PIECE_LENGTH * n + i]
                longest = i
    centre = pieces[PIECE_CENTRE * n + longest]
    if count > 1:
        centre = centre_of_chain(piece_numbers, pieces, n, root, last)
    if cuts == 0.0 and area > -LEAST_HOLE:
        area = ti.max(area, 0.0)  # nothing of the border belongs to it
    else:
        area -= ti.floor(area)
        if area < AMBIGUOUS and centre >= 0.0:
            area = 1.0
        if area > 1.0 - AMBIGUOUS and centre < 0.0:
            area = 0.0
    crossings[CENTRE * entry_capacity + e] = centre
    crossings[AREA * entry_capacity + e] = area
    crossings[MOMENT * entry_capacity + e] = moment_x
    crossings[(MOMENT + 1) * entry_capacity + e] = moment_y
    return longest


@ti.func
def centre_of_chain(piece_numbers: ti.template(), pieces: ti.template(), n, root, last):
    """How far the pixel's centre is from the chain [px], positive on the covered side: what its nearest piece says.

    Where several are the nearest, at a vertex, and do not agree: all of them must, if it is a convex corner.
    """
    nearest = 1e6
    count = 0.0
    covered = 0.0
    along = 0.0
    down = 0.0
    outward_x = 0.0
    outward_y = 0.0
    spread = 0.0
    for choosing in range(2):
        for i in range(root, last):
            if pieces[PIECE_LENGTH * n + i] > 0.0 and chain_of(piece_numbers, n, i) == root:
                x = pieces[PIECE_MIDDLE * n + i]
                y = pieces[(PIECE_MIDDLE + 1) * n + i]
                normal_x = pieces[PIECE_OUTWARD * n + i]
                normal_y = pieces[(PIECE_OUTWARD + 1) * n + i]
                centre = pieces[PIECE_CENTRE * n + i]
                beyond = normal_y * x - normal_x * y
                beyond = ti.max(ti.max(beyond, -beyond) - 0.5 * pieces[PIECE_LENGTH * n + i], 0.0)
                distance = ti.sqrt(centre * centre + beyond * beyond)
                if choosing == 0:
                    nearest = ti.min(nearest, distance)
                elif distance <= nearest + AS_NEAR:
                    count += 1.0
                    covered += ti.select(centre >= 0.0, 1.0, 0.0)
                    along += x
                    down += y
                    outward_x += normal_x
                    outward_y += normal_y
                    spread += normal_x * x + normal_y * y
    # Of any two pieces of a convex corner, the normals lead apart.
    convex = count * spread >= outward_x * along + outward_y * down
    return ti.select(covered == count or (covered > 0.0 and not convex), nearest, -nearest)


@ti.func
def describe_chain(
    pieces: ti.template(), capacity, longest, pixel, tiles_x, e, crossings: ti.template(), entry_capacity
):
    """The other components of a chain's crossing, once its area and moments are known."""
    n = entry_capacity
    x = ti.cast(at.column_of(pixel, tiles_x), ti.f32)
    y = ti.cast(at.row_of(pixel, tiles_x), ti.f32)
    crossings[LONGEST * n + e] = 1.0
    crossings[SPREAD * n + e] = 1.0
    crossings[SPREAD_SLOPE * n + e] = 0.0
    crossings[EDGE_INVERSE * n + e] = pieces[PIECE_INVERSE * capacity + longest]
    for side in ti.static(range(2)):
        # The part outside has the opposite moments.
        part = crossings[AREA * n + e] - side
        there = ti.max(part, -part) > LEAST_AREA
        step = STEP * (2 * side - 1)
        beside_x = x + pieces[PIECE_MIDDLE * capacity + longest] + step * pieces[PIECE_OUTWARD * capacity + longest]
        beside_y = (
            y
            + pieces[(PIECE_MIDDLE + 1) * capacity + longest]
            + step * pieces[(PIECE_OUTWARD + 1) * capacity + longest]
        )
        divisor = ti.select(there, part, 1.0)
        crossings[(INNER + 2 * side) * n + e] = beside_x
        crossings[(INNER + 2 * side + 1) * n + e] = beside_y
        crossings[(INSIDE + 2 * side) * n + e] = ti.select(there, x + crossings[MOMENT * n + e] / divisor, beside_x)
        crossings[(INSIDE + 2 * side + 1) * n + e] = ti.select(
            there, y + crossings[(MOMENT + 1) * n + e] / divisor, beside_y
        )
