"""How silhouettes cross the pixels of the entries, and what is seen beside them.

`cross_entries` gives the crossing of each entry of a sphere or plane; those of meshes are described by `link_pieces`.
`see_entries` and `see_triangles_of_entries` look along rays through each entry's three points, over its tile's
candidates. `choose_sides` then tells which entries are visible, and of which primitives the two sides of each are
samples.
"""

import taichi as ti

from kernels.numbers.traced import element
from kernels.pipeline.crossed import layout as at
from kernels.pipeline.crossings import INNER, KINDS, LONGEST, NODES, crossing_of, plane_conic, sphere_conic
from kernels.pipeline.see import REACH, triangle_in_front
from kernels.pipeline.visibility import (
    SIDE,
    SPHERE_COMPONENTS,
    plane_in_front,
    sphere_in_front,
    triangle_components,
)

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


def see_entries(target):
    """The nearest sphere or plane at each point of entries [begin, end): inverse_depth[point * capacity + e], and ids
    among the entries' numbers; 0 and -1 for nothing.
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
        entry_capacity: ti.i32,
        spheres: scalars,
        planes: scalars,
        offsets: indices,
        candidates: indices,
        crossings: scalars,
        entries: indices,
        inverse_depth: scalars,
    ):
        ti.loop_config(serialize=target.serial)
        for e in range(begin, end):
            if e < entry_capacity and entries[at.ENTRY_KIND * entry_capacity + e] >= 0:
                tile = entries[at.ENTRY_PIXEL * entry_capacity + e] // at.TILE_PIXELS
                first = 0
                last = 0
                if sphere_count > 0:
                    first = offsets[tile]
                    last = offsets[tile + 1]
                for point in range(at.POINTS):
                    x = (crossings[(INNER + 2 * point) * entry_capacity + e] - cx) * inverse_fx
                    y = (crossings[(INNER + 2 * point + 1) * entry_capacity + e] - cy) * inverse_fy
                    best = 0.0
                    best_id = -1
                    for i in range(first, last):
                        k = candidates[i]
                        inverse = 0.0
                        if spheres[k * SPHERE_COMPONENTS + SIDE] > 0.0:
                            inverse = sphere_in_front(target, x, y, spheres, k, 1.0)
                        else:
                            inverse = sphere_in_front(target, x, y, spheres, k, -1.0)
                        if inverse > best:
                            best = inverse
                            best_id = k
                    for k in range(plane_count):
                        inverse = plane_in_front(target, x, y, planes, k)
                        if inverse > best:
                            best = inverse
                            best_id = sphere_count + k
                    inverse_depth[point * entry_capacity + e] = best
                    entries[(at.ENTRY_SEEN + point) * entry_capacity + e] = best_id

    return kernel


def see_triangles_of_entries(target):
    """The same among the triangles of a mesh; follows `see_entries`."""
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        cx: ti.f32,
        cy: ti.f32,
        inverse_fx: ti.f32,
        inverse_fy: ti.f32,
        first_id: ti.i32,
        stride: ti.i32,
        entry_capacity: ti.i32,
        triangles: scalars,
        bounds: scalars,
        offsets: indices,
        candidates: indices,
        crossings: scalars,
        entries: indices,
        inverse_depth: scalars,
    ):
        ti.loop_config(serialize=target.serial)
        for e in range(begin, end):
            if e < entry_capacity and entries[at.ENTRY_KIND * entry_capacity + e] >= 0:
                tile = entries[at.ENTRY_PIXEL * entry_capacity + e] // at.TILE_PIXELS
                for point in range(at.POINTS):
                    u = crossings[(INNER + 2 * point) * entry_capacity + e]
                    v = crossings[(INNER + 2 * point + 1) * entry_capacity + e]
                    x = (u - cx) * inverse_fx
                    y = (v - cy) * inverse_fy
                    best = inverse_depth[point * entry_capacity + e]
                    best_id = entries[(at.ENTRY_SEEN + point) * entry_capacity + e]
                    for i in range(offsets[tile], offsets[tile + 1]):
                        f = candidates[i]
                        if (
                            bounds[f] - REACH <= u
                            and bounds[2 * stride + f] + REACH >= u
                            and bounds[stride + f] - REACH <= v
                            and bounds[3 * stride + f] + REACH >= v
                        ):
                            c = triangle_components(triangles, stride, f)
                            inverse = triangle_in_front(target, c, x, y)
                            if inverse > best:
                                best = inverse
                                best_id = first_id + f
                    inverse_depth[point * entry_capacity + e] = best
                    entries[(at.ENTRY_SEEN + point) * entry_capacity + e] = best_id

    return kernel


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
        entries: indices,
        reference: scalars,
        samples: scalars,
        partials: scalars,
    ):
        ti.loop_config(serialize=target.serial)
        for e in range(begin, end):
            if e < entry_capacity and entries[at.ENTRY_KIND * entry_capacity + e] >= 0:
                n = entry_capacity
                inner = entries[(at.ENTRY_SEEN + at.INNER_POINT) * n + e]
                outer = entries[(at.ENTRY_SEEN + at.OUTER_POINT) * n + e]
                inside = entries[(at.ENTRY_SEEN + at.INSIDE_POINT) * n + e]
                beyond = inverse_depth[at.OUTER_POINT * n + e]
                near = 0.0
                active = inner == entries[at.ENTRY_OWNER * n + e] and crossings[LONGEST * n + e] > 0.0
                if entries[at.ENTRY_KIND * n + e] == at.KIND_CHAIN:
                    mesh = entries[at.ENTRY_MESH * n + e] * at.MESH_NUMBERS
                    first = meshes[mesh + at.MESH_FIRST_ID]
                    last = first + meshes[mesh + at.MESH_COUNT]
                    nearest = TOLERANCE * crossings[EDGE_INVERSE * n + e]
                    near = inverse_depth[at.INNER_POINT * n + e]
                    active = beyond <= nearest
                    if inner < first or inner >= last:
                        # The mesh may be so narrow that beside its edge it is over; or something is before it.
                        active = active and near <= nearest
                        inner = entries[at.ENTRY_OWNER * n + e]
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
                reference[e] = near
                reference[n + e] = beyond
                for c in range(channels):
                    samples[2 * c * n + e] = ti.select(inner < 0, backgrounds[c], 1.0)
                    samples[(2 * c + 1) * n + e] = ti.select(outer < 0, backgrounds[c], 1.0)
                    for k in range(2 * c * slots, 2 * (c + 1) * slots):
                        partials[k * n + e] = 0.0

    return kernel
