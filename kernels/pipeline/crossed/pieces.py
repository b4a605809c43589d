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
    EDGE_FACE,
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

# Pieces of a pixel up to which a number of 32 bits, one of them the sign, holds a set of them.
BITS = 31


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
        edge_numbers: indices,
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
                if j >= 0:
                    edge = piece_numbers[at.PIECE_FOUND * n + i]
                    first = crossed[at.CROSSED_FIRST_PIECE * crossed_capacity + j]
                    place = first
                    for other in range(first, first + crossed[at.CROSSED_PIECES * crossed_capacity + j]):
                        if piece_numbers[at.PIECE_FOUND * n + other] < edge:
                            place += 1
                    piece_numbers[at.PIECE_EDGE * n + place] = edge
                    x = ti.cast(at.column_of(pixel, tiles_x), ti.f32)
                    y = ti.cast(at.row_of(pixel, tiles_x), ti.f32)
                    run(
                        (components, edge_stride, edge),
                        x,
                        y,
                        (fx, fy, cx, cy),
                        pieces,
                        n,
                        place,
                        edge_numbers,
                        piece_numbers,
                    )

    def run(edges, x, y, intrinsics, pieces, capacity, place, edge_numbers, piece_numbers):
        components, stride, edge = edges
        values = piece_of(target, components, stride, [edge], target.packet(x), target.packet(y), intrinsics)
        for c, value in enumerate(values):
            element(pieces, c * capacity + place)._assign(value.expression)
        for end in range(2):
            meets = (values[PIECE_LENGTH] > 0.0) & (values[PIECE_CUT + end] == 0.0)
            vertex = element(edge_numbers, (at.EDGE_ENDS + end) * stride + edge)
            element(piece_numbers, (at.PIECE_ENDS + end) * capacity + place)._assign(
                ti.select(meets.expression, vertex, -1)
            )

    return kernel


@ti.func
def chain_of(piece_numbers: ti.template(), capacity, i):
    """The first piece of the chain that a piece belongs to."""
    while piece_numbers[at.PIECE_CHAIN * capacity + i] != i:
        i = piece_numbers[at.PIECE_CHAIN * capacity + i]
    return i


@ti.func
def meet(piece_numbers: ti.template(), capacity, i, j):
    """Whether two pieces end at the same vertex, inside their pixel."""
    result = False
    for a in ti.static(range(2)):
        vertex = piece_numbers[(at.PIECE_ENDS + a) * capacity + i]
        for b in ti.static(range(2)):
            if vertex >= 0 and vertex == piece_numbers[(at.PIECE_ENDS + b) * capacity + j]:
                result = True
    return result


@ti.func
def lowest_bit(bits):
    k = 0
    while (bits >> k) & 1 == 0:
        k += 1
    return k


def join_pieces(target):
    """The chain that each of the pieces [begin, end) belongs to, named by its first piece; of no length, none. Nor does
    one belong to a chain of several that is a corner which reaches into the pixel by no more than rounding.
    """
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        crossed_capacity: ti.i32,
        piece_capacity: ti.i32,
        pieces: scalars,
        pixel_places: indices,
        crossed: indices,
        piece_numbers: indices,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            if i < piece_capacity:
                n = piece_capacity
                j = pixel_places[piece_numbers[at.PIECE_PIXEL * n + i]]
                piece_numbers[at.PIECE_ENTRY * n + i] = -1
                piece_numbers[at.PIECE_BLOCK * n + i] = -1
                if j >= 0:
                    first = crossed[at.CROSSED_FIRST_PIECE * crossed_capacity + j]
                    last = first + crossed[at.CROSSED_PIECES * crossed_capacity + j]
                    if last - first <= BITS:
                        # From piece to piece, until all that meet are found.
                        found = ti.select(pieces[PIECE_LENGTH * n + i] > 0.0, 1 << (i - first), 0)
                        unasked = found
                        while unasked != 0:
                            one = lowest_bit(unasked)
                            unasked = unasked ^ (1 << one)
                            for other in range(last - first):
                                if (found >> other) & 1 == 0:  # noqa: SIM102 - what is called is not skipped
                                    if meet(piece_numbers, n, first + one, first + other):
                                        found = found | (1 << other)
                                        unasked = unasked | (1 << other)
                        length = 0.0
                        for other in range(last - first):
                            if (found >> other) & 1 != 0:
                                length += pieces[PIECE_LENGTH * n + first + other]
                        chain = -1
                        if found != 0 and (found & (found - 1) == 0 or length >= NICK):
                            chain = first + lowest_bit(found)
                        piece_numbers[at.PIECE_CHAIN * n + i] = chain
                    elif i == first:
                        join_many(piece_numbers, pieces, n, first, last)

    return kernel


@ti.func
def join_many(piece_numbers: ti.template(), pieces: ti.template(), capacity, first, last):
    """The same of all pieces of a pixel that has more than there are bits."""
    n = capacity
    for i in range(first, last):
        piece_numbers[at.PIECE_CHAIN * n + i] = i
    for i in range(first, last):
        for other in range(i + 1, last):
            if meet(piece_numbers, n, i, other):
                one = chain_of(piece_numbers, n, i)
                two = chain_of(piece_numbers, n, other)
                piece_numbers[at.PIECE_CHAIN * n + ti.max(one, two)] = ti.min(one, two)
    for i in range(first, last):
        chain = chain_of(piece_numbers, n, i)
        piece_numbers[at.PIECE_CHAIN * n + i] = ti.select(pieces[PIECE_LENGTH * n + i] > 0.0, chain, -1)
    for root in range(first, last):
        count = 0
        length = 0.0
        for i in range(root, last):
            if piece_numbers[at.PIECE_CHAIN * n + i] == root:
                count += 1
                length += pieces[PIECE_LENGTH * n + i]
        if count > 1 and length < NICK:
            for i in range(root, last):
                if piece_numbers[at.PIECE_CHAIN * n + i] == root:
                    piece_numbers[at.PIECE_CHAIN * n + i] = -1


def link_pieces(target):
    """The chains that begin with one of the pieces [begin, end), as entries after those of spheres and planes."""
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
        components: scalars,
        meshes: indices,
        pixel_places: indices,
        pieces: scalars,
        piece_numbers: indices,
        crossed: indices,
        entries: indices,
        crossings: scalars,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            if i < piece_capacity:
                n = piece_capacity
                pixel = piece_numbers[at.PIECE_PIXEL * n + i]
                j = pixel_places[pixel]
                if j >= 0:
                    first = crossed[at.CROSSED_FIRST_PIECE * crossed_capacity + j]
                    last = first + crossed[at.CROSSED_PIECES * crossed_capacity + j]
                    smooth = crossed[at.CROSSED_SMOOTH * crossed_capacity + j]
                    begins = piece_numbers[at.PIECE_CHAIN * n + i] == i
                    before = 0
                    chains = 0
                    if begins or i == first:
                        for other in range(first, last):
                            if piece_numbers[at.PIECE_CHAIN * n + other] == other:
                                chains += 1
                                if other < i:
                                    before += 1
                    if i == first:
                        crossed[at.CROSSED_ENTRIES * crossed_capacity + j] = smooth + chains
                    if begins:
                        e = crossed[at.CROSSED_FIRST_ENTRY * crossed_capacity + j] + smooth + before
                        longest = add_chain(piece_numbers, pieces, n, i, last, e, crossings, entry_capacity)
                        describe_chain(pieces, n, longest, pixel, tiles_x, e, crossings, entry_capacity)
                        edge = piece_numbers[at.PIECE_EDGE * n + longest]
                        mesh = edge_numbers[at.EDGE_MESH * edge_stride + edge]
                        face = edge_numbers[at.EDGE_HALF_EDGE * edge_stride + edge] // 3
                        numbers = mesh * at.MESH_NUMBERS
                        entries[at.ENTRY_PIXEL * entry_capacity + e] = pixel
                        owner = -1
                        if components[EDGE_FACE * edge_stride + edge] != 0.0:
                            owner = meshes[numbers + at.MESH_FIRST_ID] + face
                        entries[at.ENTRY_OWNER * entry_capacity + e] = owner
                        entries[at.ENTRY_KIND * entry_capacity + e] = at.KIND_CHAIN
                        entries[at.ENTRY_MESH * entry_capacity + e] = mesh
                        entries[at.ENTRY_RULE * entry_capacity + e] = meshes[numbers + at.MESH_RULE]

    return kernel


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
    """Sums up the pieces of a chain, from its first on; returns the longest.

    Where it is not known whether all of the pixel or nothing of it is covered, 1/z at the edge is -1, behind
    everything.
    """
    n = capacity
    count = 0
    cuts = 0.0
    area = 0.0
    moment_x = 0.0
    moment_y = 0.0
    length = 0.0
    longest = root
    for i in range(root, last):
        if piece_numbers[at.PIECE_CHAIN * n + i] == root:
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
    told = True
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
        told = centre != 0.0 or (area > AMBIGUOUS and area < 1.0 - AMBIGUOUS)
    crossings[EDGE_INVERSE * entry_capacity + e] = ti.select(told, pieces[PIECE_INVERSE * n + longest], -1.0)
    crossings[CENTRE * entry_capacity + e] = centre
    crossings[AREA * entry_capacity + e] = area
    crossings[MOMENT * entry_capacity + e] = moment_x
    crossings[(MOMENT + 1) * entry_capacity + e] = moment_y
    return longest


@ti.func
def centre_of_chain(piece_numbers: ti.template(), pieces: ti.template(), n, root, last):
    """How far the pixel's centre is from the chain [px], positive on the covered side: what its nearest piece says.

    Where several are the nearest, at a vertex, and do not agree: all of them must, if it is a convex corner. 0 where it
    is so narrow that rounding makes it one or not.
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
            if piece_numbers[at.PIECE_CHAIN * n + i] == root:
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
    apart = count * spread - outward_x * along - outward_y * down
    result = ti.select(covered == count or (covered > 0.0 and apart < 0.0), nearest, -nearest)
    if covered > 0.0 and covered < count and ti.max(apart, -apart) < AS_NEAR:
        result = 0.0
    return result


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
