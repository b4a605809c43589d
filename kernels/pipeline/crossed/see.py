"""Triangles seen at the three points of each entry: pipeline/see.py, over the entries of all tiles.

`see_large_triangles` looks along an entry's rays, over its tile's candidates. Of small triangles there are far too many
for that: `see_small_triangles` goes the other way, from each to the crossed pixels that it may reach, of which there
are few. `choose_sides` has both to choose from, and spheres and planes.
"""

import taichi as ti

from kernels.numbers.traced import element, keep
from kernels.pipeline.bin import TOGETHER, area_of
from kernels.pipeline.crossed import layout as at
from kernels.pipeline.crossings import INNER
from kernels.pipeline.see import REACH, triangle_in_front
from kernels.pipeline.visibility import (
    LARGE,
    QUARTERS,
    triangle_components,
)


def see_large_triangles(target):
    """The nearest triangle of a mesh, among those with LARGE or more pixels in their bounds, at each point of entries
    [begin, end): inverse_depth[point * capacity + e], and ids among the entries' numbers; 0 and -1 for nothing.
    `first` is 1 for the first mesh, 0 for one that follows.
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
        first: ti.i32,
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
                n = entry_capacity
                tile = entries[at.ENTRY_PIXEL * n + e] // at.TILE_PIXELS
                begins = offsets[tile]
                count = offsets[tile + 1] - begins
                if count > 0 or first != 0:
                    u = [crossings[(INNER + 2 * k) * n + e] for k in ti.static(range(at.POINTS))]
                    v = [crossings[(INNER + 2 * k + 1) * n + e] for k in ti.static(range(at.POINTS))]
                    x = [(u[k] - cx) * inverse_fx for k in ti.static(range(at.POINTS))]
                    y = [(v[k] - cy) * inverse_fy for k in ti.static(range(at.POINTS))]
                    best = ti.Vector([0.0] * at.POINTS)
                    best_id = ti.Vector([-1] * at.POINTS)
                    if first == 0:
                        for point in ti.static(range(at.POINTS)):
                            best[point] = inverse_depth[point * n + e]
                            best_id[point] = entries[(at.ENTRY_SEEN + point) * n + e]
                    for i in range(count):
                        f = candidates[begins + i]
                        box = bounds_of(bounds, stride, f)
                        if area_of(box[0], box[1], box[2], box[3]) >= float(LARGE):
                            c = triangle_components(triangles, stride, f)
                            for point in ti.static(range(at.POINTS)):
                                if near(box, u[point], v[point]):
                                    inverse = triangle_in_front(target, c, x[point], y[point])
                                    if inverse > best[point]:
                                        best[point] = inverse
                                        best_id[point] = first_id + f
                    for point in ti.static(range(at.POINTS)):
                        inverse_depth[point * n + e] = best[point]
                        entries[(at.ENTRY_SEEN + point) * n + e] = best_id[point]

    return kernel


def bounds_of(bounds, stride, f):
    """x0, y0, x1, y1 of triangle f."""
    return [keep(element(bounds, c * stride + f)) for c in range(4)]


def near(box, u, v):
    """Whether a point may lie in a triangle with these bounds."""
    across = (box[0] - REACH <= u) & (box[2] + REACH >= u)
    return keep(across & (box[1] - REACH <= v) & (box[3] + REACH >= v))


def see_small_triangles(target):
    """The nearest small triangle at each point of the entries in pixels within its bounds, as `nearest_triangles` finds
    that of pixel centres: in a first turn the largest inverse depth (its bits), with `turn` 1 the lowest id of those
    that have it. `largest` is the inverse depth once more, then only read. They are 0 and NO_ID before.

    [begin, end) are (quarter, triangle), stride triangles each; a quarter is every fourth row.
    """
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        turn: ti.i32,
        tiles_x: ti.i32,
        cx: ti.f32,
        cy: ti.f32,
        inverse_fx: ti.f32,
        inverse_fy: ti.f32,
        first_id: ti.i32,
        stride: ti.i32,
        crossed_capacity: ti.i32,
        entry_capacity: ti.i32,
        triangles: scalars,
        bounds: scalars,
        pixel_places: indices,
        crossed: indices,
        crossings: scalars,
        small_inverse: indices,
        largest: indices,
        small_ids: indices,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            f = i % stride
            x0 = ti.cast(bounds[f], ti.i32)
            y0 = ti.cast(bounds[stride + f], ti.i32)
            x1 = ti.cast(bounds[2 * stride + f], ti.i32)
            y1 = ti.cast(bounds[3 * stride + f], ti.i32)
            row = y0 + i // stride
            if x0 <= x1 and row <= y1 and area_of(x0, y0, x1, y1) < LARGE:
                for quarter in range((y1 - row) // QUARTERS + 1):
                    v = row + QUARTERS * quarter
                    for part in range((x1 - x0) // TOGETHER + 1):
                        left = x0 + part * TOGETHER
                        places = [
                            pixel_places[at.number_of(ti.min(left + k, x1), v, tiles_x)]
                            for k in ti.static(range(TOGETHER))
                        ]
                        crosses = False
                        for k in ti.static(range(TOGETHER)):
                            crosses = crosses or places[k] >= 0
                        if crosses:
                            c = triangle_components(triangles, stride, f)
                            for u in range(left, ti.min(left + TOGETHER, x1 + 1)):
                                j = pixel_places[at.number_of(u, v, tiles_x)]
                                if j >= 0:
                                    first = crossed[at.CROSSED_FIRST_ENTRY * crossed_capacity + j]
                                    for e in range(first, first + crossed[at.CROSSED_ENTRIES * crossed_capacity + j]):
                                        x = [
                                            (crossings[(INNER + 2 * k) * entry_capacity + e] - cx) * inverse_fx
                                            for k in ti.static(range(at.POINTS))
                                        ]
                                        y = [
                                            (crossings[(INNER + 2 * k + 1) * entry_capacity + e] - cy) * inverse_fy
                                            for k in ti.static(range(at.POINTS))
                                        ]
                                        for point in ti.static(range(at.POINTS)):
                                            inverse = triangle_in_front(target, c, x[point], y[point])
                                            if inverse > 0.0:
                                                bits = ti.bit_cast(inverse, ti.i32)
                                                place = point * entry_capacity + e
                                                if turn == 0:
                                                    ti.atomic_max(small_inverse[place], bits)
                                                elif largest[place] == bits:
                                                    ti.atomic_min(small_ids[place], first_id + f)

    return kernel
