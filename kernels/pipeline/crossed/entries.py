"""How silhouettes cross the pixels of the entries, and which of them are visible.

`cross_entries` gives the crossing of each entry of a sphere or plane; those of meshes are described by `link_pieces`.
When rays through each entry's three points have been looked along (see.py), `choose_sides` tells which entries are
visible, and of which primitives the two sides of each are samples.
"""

import taichi as ti

from kernels.numbers.traced import element
from kernels.pipeline.crossed import layout as at
from kernels.pipeline.crossings import KINDS, LONGEST, NODES, crossing_of, plane_conic, sphere_conic

# Component of the crossing of a chain, which has no nodes of its own: 1/z of its edge.
EDGE_INVERSE = NODES
# What is nearer than an edge by more than this part hides it.
TOLERANCE = 1.001
# The shapes of an entry by its kind: those of spheres, then a plane's horizon.
CROSSING_KINDS = [(sphere_conic, kind) for kind in range(len(KINDS))] + [(plane_conic, 0)]


def cross_entries(target, with_nodes):
    """The crossings of entries [begin, end) of spheres and planes."""
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
        sphere_count: ti.i32,
        entry_capacity: ti.i32,
        spheres: scalars,
        planes: scalars,
        entries: indices,
        crossings: scalars,
    ):
        ti.loop_config(serialize=target.serial)
        for e in range(begin, end):
            if e < entry_capacity:
                kind = entries[at.ENTRY_KIND * entry_capacity + e]
                owner = entries[at.ENTRY_OWNER * entry_capacity + e]
                pixel = entries[at.ENTRY_PIXEL * entry_capacity + e]
                x = ti.cast(at.column_of(pixel, tiles_x), ti.f32)
                y = ti.cast(at.row_of(pixel, tiles_x), ti.f32)
                for k in ti.static(range(at.KIND_HORIZON)):
                    if kind == k:
                        run(k, spheres, owner, x, y, (fx, fy, cx, cy), crossings, entry_capacity, e)
                if kind == at.KIND_HORIZON:
                    run(
                        at.KIND_HORIZON,
                        planes,
                        owner - sphere_count,
                        x,
                        y,
                        (fx, fy, cx, cy),
                        crossings,
                        entry_capacity,
                        e,
                    )

    def run(which, table, k, x, y, intrinsics, crossings, capacity, e):
        shape, kind = CROSSING_KINDS[which]
        x, y = target.packet(x), target.packet(y)
        values = crossing_of(target, shape, kind, with_nodes, table, [k], x, y, intrinsics)
        for c, value in enumerate(values):
            element(crossings, c * capacity + e)._assign(value.expression)

    return kernel


@ti.func
def nearest_at(
    point,
    entries: ti.template(),
    inverse_depth: ti.template(),
    small_ids: ti.template(),
    small_inverse: ti.template(),
    capacity,
    e,
):
    """(id, inverse depth) of what is seen at a point of an entry: of equals, the lowest id."""
    best = inverse_depth[point * capacity + e]
    best_id = entries[(at.ENTRY_SEEN + point) * capacity + e]
    inverse = small_inverse[point * capacity + e]
    f = small_ids[point * capacity + e]
    if inverse > best or (inverse == best and f < best_id):
        best = inverse
        best_id = f
    return best_id, best


def choose_sides(target):
    """Which entries of [begin, end) are visible: the object itself is seen on its side of its silhouette, and beyond
    the edge of a mesh nothing that is nearer. Then the samples on both sides: of which primitive, 1/z where it was seen
    (`reference`; 0 asks for no check), and what is shown before any primitive is asked: the background, or a mask's 1.
    """
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        channels: ti.i32,
        slots: ti.i32,
        entry_capacity: ti.i32,
        meshes: indices,
        backgrounds: scalars,
        crossings: scalars,
        inverse_depth: scalars,
        small_inverse: scalars,
        small_ids: indices,
        entries: indices,
        reference: scalars,
        samples: scalars,
        partials: scalars,
    ):
        ti.loop_config(serialize=target.serial)
        for e in range(begin, end):
            if e < entry_capacity and entries[at.ENTRY_KIND * entry_capacity + e] >= 0:
                n = entry_capacity
                inner, before = nearest_at(at.INNER_POINT, entries, inverse_depth, small_ids, small_inverse, n, e)
                outer, beyond = nearest_at(at.OUTER_POINT, entries, inverse_depth, small_ids, small_inverse, n, e)
                inside, _ = nearest_at(at.INSIDE_POINT, entries, inverse_depth, small_ids, small_inverse, n, e)
                near = 0.0
                active = inner == entries[at.ENTRY_OWNER * n + e] and crossings[LONGEST * n + e] > 0.0
                if entries[at.ENTRY_KIND * n + e] == at.KIND_CHAIN:
                    mesh = entries[at.ENTRY_MESH * n + e] * at.MESH_NUMBERS
                    first = meshes[mesh + at.MESH_FIRST_ID]
                    last = first + meshes[mesh + at.MESH_COUNT]
                    active = first <= inner and inner < last and beyond <= TOLERANCE * crossings[EDGE_INVERSE * n + e]
                    if first <= inside and inside < last:
                        inner = inside
                    else:
                        near = before
                if not active:
                    inner = -1
                    outer = -1
                entries[at.ENTRY_ACTIVE * n + e] = ti.select(active, 1, 0)
                entries[at.ENTRY_SAMPLE * n + e] = inner
                entries[(at.ENTRY_SAMPLE + 1) * n + e] = outer
                reference[e] = near
                reference[n + e] = beyond
                for c in range(channels):
                    samples[2 * c * n + e] = ti.select(inner < 0, backgrounds[c], 1.0)
                    samples[(2 * c + 1) * n + e] = ti.select(outer < 0, backgrounds[c], 1.0)
                    for k in range(2 * c * slots, 2 * (c + 1) * slots):
                        partials[k * n + e] = 0.0

    return kernel
