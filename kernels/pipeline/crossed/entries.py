"""How silhouettes cross the pixels of the entries, and which of them are visible.

`cross_entries` gives the crossing of each entry of a sphere or plane; those of meshes are described by `link_pieces`.
`choose_sides` looks along rays through each entry's three points, at what is left when triangles have been looked at
(see.py), and tells which entries are visible, and of which primitives the two sides of each are samples.
"""

import taichi as ti

from kernels.numbers.traced import element
from kernels.pipeline.crossed import layout as at
from kernels.pipeline.crossings import INNER, KINDS, LONGEST, NODES, crossing_of, plane_conic, sphere_conic
from kernels.pipeline.visibility import SIDE, disc_in_front, plane_in_front, sphere_components

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
def block_of(i, smooth_count, smooth: ti.template(), mesh_count, meshes: ti.template()):
    """The id that stands for all that move as primitive i; -1 if theta does not move it, or i is none."""
    block = -1
    if i >= smooth_count:
        for m in range(mesh_count):
            mesh = m * at.MESH_NUMBERS
            first = meshes[mesh + at.MESH_FIRST_ID]
            within = first <= i and i < first + meshes[mesh + at.MESH_COUNT]
            if within and meshes[mesh + at.MESH_MOVES] != 0:
                block = ti.select(meshes[mesh + at.MESH_RIGID] != 0, first, i)
    elif i >= 0:  # noqa: SIM102 - what comes after `and` is not skipped
        if smooth[at.SMOOTH_NUMBERS * i + at.SMOOTH_MOVES] != 0:
            block = i
    return block


def choose_sides(target):
    """Which entries of [begin, end) are visible: the object itself is seen on its side of its silhouette; of a mesh,
    nothing that is nearer on either side of its edge. Then the samples on both sides: of which primitive, 1/z where it
    was seen (`reference`; 0 asks for no check), and what is shown before any primitive is asked: the background, or a
    mask's 1. Where partials are wanted, with `slots` each, they are 0 before, and the samples' blocks are told.

    What is seen is the nearest of spheres, planes, and triangles as there are `mesh_count` meshes; of equals the one
    with the lowest id.
    """
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        cx: ti.f32,
        cy: ti.f32,
        inverse_fx: ti.f32,
        inverse_fy: ti.f32,
        sphere_count: ti.i32,
        plane_count: ti.i32,
        mesh_count: ti.i32,
        channels: ti.i32,
        slots: ti.i32,
        entry_capacity: ti.i32,
        spheres: scalars,
        planes: scalars,
        offsets: indices,
        candidates: indices,
        smooth: indices,
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
                first = 0
                last = 0
                if sphere_count > 0:
                    tile = entries[at.ENTRY_PIXEL * n + e] // at.TILE_PIXELS
                    first = offsets[tile]
                    last = offsets[tile + 1]
                x = [(crossings[(INNER + 2 * k) * n + e] - cx) * inverse_fx for k in ti.static(range(at.POINTS))]
                y = [(crossings[(INNER + 2 * k + 1) * n + e] - cy) * inverse_fy for k in ti.static(range(at.POINTS))]
                best = ti.Vector([0.0] * at.POINTS)
                seen = ti.Vector([-1] * at.POINTS)
                for i in range(first, last):
                    k = candidates[i]
                    c = sphere_components(spheres, k)
                    for point in ti.static(range(at.POINTS)):
                        inverse = 0.0
                        if c[SIDE] > 0.0:
                            inverse = disc_in_front(target, c, x[point], y[point], 1.0)
                        else:
                            inverse = disc_in_front(target, c, x[point], y[point], -1.0)
                        if inverse > best[point]:
                            best[point] = inverse
                            seen[point] = k
                for k in range(plane_count):
                    for point in ti.static(range(at.POINTS)):
                        inverse = plane_in_front(target, x[point], y[point], planes, k)
                        if inverse > best[point]:
                            best[point] = inverse
                            seen[point] = sphere_count + k
                if mesh_count > 0:
                    for point in ti.static(range(at.POINTS)):
                        inverse = inverse_depth[point * n + e]
                        if inverse > best[point]:
                            best[point] = inverse
                            seen[point] = entries[(at.ENTRY_SEEN + point) * n + e]
                        inverse = small_inverse[point * n + e]
                        f = small_ids[point * n + e]
                        if inverse > best[point] or (inverse == best[point] and f < seen[point]):
                            best[point] = inverse
                            seen[point] = f
                inner = seen[at.INNER_POINT]
                outer = seen[at.OUTER_POINT]
                inside = seen[at.INSIDE_POINT]
                beyond = best[at.OUTER_POINT]
                near = 0.0
                active = inner == entries[at.ENTRY_OWNER * n + e] and crossings[LONGEST * n + e] > 0.0
                if entries[at.ENTRY_KIND * n + e] == at.KIND_CHAIN:
                    mesh = entries[at.ENTRY_MESH * n + e] * at.MESH_NUMBERS
                    first = meshes[mesh + at.MESH_FIRST_ID]
                    last = first + meshes[mesh + at.MESH_COUNT]
                    nearest = TOLERANCE * crossings[EDGE_INVERSE * n + e]
                    near = best[at.INNER_POINT]
                    active = beyond <= nearest
                    if inner < first or inner >= last:
                        # The mesh may be so narrow that beside its edge it is over; or something is before it.
                        inner = entries[at.ENTRY_OWNER * n + e]
                        active = active and near <= nearest and inner >= 0
                        near = crossings[EDGE_INVERSE * n + e]
                    if first <= inside and inside < last:
                        inner = inside
                        near = 0.0
                if not active:
                    inner = -1
                    outer = -1
                entries[at.ENTRY_ACTIVE * n + e] = ti.select(active, 1, 0)
                entries[at.ENTRY_SAMPLE * n + e] = inner
                entries[(at.ENTRY_SAMPLE + 1) * n + e] = outer
                if slots > 0:
                    smooth_count = sphere_count + plane_count
                    entries[at.ENTRY_BLOCK * n + e] = block_of(inner, smooth_count, smooth, mesh_count, meshes)
                    entries[(at.ENTRY_BLOCK + 1) * n + e] = block_of(outer, smooth_count, smooth, mesh_count, meshes)
                reference[e] = near
                reference[n + e] = beyond
                for c in range(channels):
                    samples[2 * c * n + e] = ti.select(inner < 0, backgrounds[c], 1.0)
                    samples[(2 * c + 1) * n + e] = ti.select(outer < 0, backgrounds[c], 1.0)
                    for k in range(2 * c * slots, 2 * (c + 1) * slots):
                        partials[k * n + e] = 0.0

    return kernel
