"""The nearest surface along rays through given image points: visibility beside silhouettes.

As pipeline/visibility.py, for a list of points [px] of one tile instead of its pixel centres. `numbers` of points are
[begin, end); the tile's candidates are entries [first, last) of the group's tile lists.
"""

import taichi as ti

from kernels.numbers.traced import keep
from kernels.pipeline.visibility import (
    SIDE,
    SPHERE_COMPONENTS,
    plane_in_front,
    sphere_in_front,
    triangle_components,
)

# A point this far [px] outside the bounds of a triangle, which are those of pixels, cannot lie in it; nor one beside
# it.
REACH = 0.61


def see_spheres(target):
    """Spheres among the tile's candidates."""
    numbers, integers, scalars, indices = target.numbers, target.integers, target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        first: ti.i32,
        last: ti.i32,
        first_id: ti.i32,
        cx: ti.f32,
        cy: ti.f32,
        inverse_fx: ti.f32,
        inverse_fy: ti.f32,
        spheres: scalars,
        candidates: indices,
        points_x: numbers,
        points_y: numbers,
        inverse_depth: numbers,
        ids: integers,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            x = (points_x[i] - cx) * inverse_fx
            y = (points_y[i] - cy) * inverse_fy
            best = inverse_depth[i]
            best_id = ids[i]
            for k in range(first, last):
                inverse = target.splat(0.0)
                if spheres[candidates[k] * SPHERE_COMPONENTS + SIDE] > 0.0:
                    inverse = sphere_in_front(target, x, y, spheres, candidates[k], 1.0)
                else:
                    inverse = sphere_in_front(target, x, y, spheres, candidates[k], -1.0)
                nearer = inverse > best
                best = ti.select(nearer, inverse, best)
                best_id = ti.select(nearer, target.splat(first_id + candidates[k], ti.i32), best_id)
            inverse_depth[i] = best
            ids[i] = best_id

    return kernel


def look_spheres(target):
    """Both sides of silhouettes of spheres, in a tile that nothing but spheres touches.

    ids become those of what is seen beside, inside the silhouette and, `part` numbers on, outside; -1 for both where
    the entry is not visible, which is where its own sphere is not seen inside, or `longest` tells that nothing crosses.
    """
    numbers, integers, scalars, indices = target.numbers, target.integers, target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        first: ti.i32,
        last: ti.i32,
        first_id: ti.i32,
        cx: ti.f32,
        cy: ti.f32,
        inverse_fx: ti.f32,
        inverse_fy: ti.f32,
        part: ti.i32,
        spheres: scalars,
        candidates: indices,
        primitives: integers,
        longest: numbers,
        inner_x: numbers,
        inner_y: numbers,
        outer_x: numbers,
        outer_y: numbers,
        ids: integers,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            x0 = (inner_x[i] - cx) * inverse_fx
            y0 = (inner_y[i] - cy) * inverse_fy
            x1 = (outer_x[i] - cx) * inverse_fx
            y1 = (outer_y[i] - cy) * inverse_fy
            best0 = target.splat(0.0)
            best1 = target.splat(0.0)
            id0 = target.splat(-1, ti.i32)
            id1 = target.splat(-1, ti.i32)
            for k in range(first, last):
                found0 = target.splat(0.0)
                found1 = target.splat(0.0)
                if spheres[candidates[k] * SPHERE_COMPONENTS + SIDE] > 0.0:
                    found0 = sphere_in_front(target, x0, y0, spheres, candidates[k], 1.0)
                    found1 = sphere_in_front(target, x1, y1, spheres, candidates[k], 1.0)
                else:
                    found0 = sphere_in_front(target, x0, y0, spheres, candidates[k], -1.0)
                    found1 = sphere_in_front(target, x1, y1, spheres, candidates[k], -1.0)
                mine = target.splat(first_id + candidates[k], ti.i32)
                nearer0 = found0 > best0
                best0 = ti.select(nearer0, found0, best0)
                id0 = ti.select(nearer0, mine, id0)
                nearer1 = found1 > best1
                best1 = ti.select(nearer1, found1, best1)
                id1 = ti.select(nearer1, mine, id1)
            own = primitives[i] + target.splat(first_id, ti.i32)
            visible = (id0 == own) & (longest[i] > 0.0)
            ids[i] = ti.select(visible, id0, target.splat(-1, ti.i32))
            ids[part + i] = ti.select(visible, id1, target.splat(-1, ti.i32))

    return kernel


def see_planes(target):
    """All planes, [first, last) of the table."""
    numbers, integers, scalars = target.numbers, target.integers, target.scalars

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        first: ti.i32,
        last: ti.i32,
        first_id: ti.i32,
        cx: ti.f32,
        cy: ti.f32,
        inverse_fx: ti.f32,
        inverse_fy: ti.f32,
        planes: scalars,
        points_x: numbers,
        points_y: numbers,
        inverse_depth: numbers,
        ids: integers,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            x = (points_x[i] - cx) * inverse_fx
            y = (points_y[i] - cy) * inverse_fy
            best = inverse_depth[i]
            best_id = ids[i]
            for k in range(first, last):
                inverse = plane_in_front(target, x, y, planes, k)
                nearer = inverse > best
                best = ti.select(nearer, inverse, best)
                best_id = ti.select(nearer, target.splat(first_id + k, ti.i32), best_id)
            inverse_depth[i] = best
            ids[i] = best_id

    return kernel


def see_triangles(target):
    """Triangles, for three points of each number: those that may be seen from it are candidates [offsets[i],
    offsets[i + 1]), in the order of the tile's.
    """
    numbers, integers, scalars, indices = target.numbers, target.integers, target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        first_id: ti.i32,
        cx: ti.f32,
        cy: ti.f32,
        inverse_fx: ti.f32,
        inverse_fy: ti.f32,
        stride: ti.i32,
        part: ti.i32,
        triangles: scalars,
        offsets: indices,
        candidates: indices,
        inner_x: numbers,
        inner_y: numbers,
        outer_x: numbers,
        outer_y: numbers,
        inside_x: numbers,
        inside_y: numbers,
        inverse_depth: numbers,
        ids: integers,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            x0 = (inner_x[i] - cx) * inverse_fx
            y0 = (inner_y[i] - cy) * inverse_fy
            x1 = (outer_x[i] - cx) * inverse_fx
            y1 = (outer_y[i] - cy) * inverse_fy
            x2 = (inside_x[i] - cx) * inverse_fx
            y2 = (inside_y[i] - cy) * inverse_fy
            best0 = inverse_depth[i]
            best1 = inverse_depth[part + i]
            best2 = inverse_depth[2 * part + i]
            id0 = ids[i]
            id1 = ids[part + i]
            id2 = ids[2 * part + i]
            for k in range(offsets[i], offsets[i + 1]):
                f = candidates[k]
                c = triangle_components(triangles, stride, f)
                mine = target.splat(first_id + f, ti.i32)
                found0 = inverse_of(c, x0, y0)
                nearer0 = found0 > best0
                best0 = ti.select(nearer0, found0, best0)
                id0 = ti.select(nearer0, mine, id0)
                found1 = inverse_of(c, x1, y1)
                nearer1 = found1 > best1
                best1 = ti.select(nearer1, found1, best1)
                id1 = ti.select(nearer1, mine, id1)
                found2 = inverse_of(c, x2, y2)
                nearer2 = found2 > best2
                best2 = ti.select(nearer2, found2, best2)
                id2 = ti.select(nearer2, mine, id2)
            inverse_depth[i] = best0
            inverse_depth[part + i] = best1
            inverse_depth[2 * part + i] = best2
            ids[i] = id0
            ids[part + i] = id1
            ids[2 * part + i] = id2

    def inverse_of(c, x, y):
        return triangle_in_front(target, c, x, y)

    return kernel


def triangle_in_front(target, c, x, y):
    """1/z of a triangle along the rays (x, y, 1), 0 where they miss."""
    e0 = c[0] * x + (c[1] * y + c[2])
    e1 = c[3] * x + (c[4] * y + c[5])
    e2 = c[6] * x + (c[7] * y + c[8])
    inverse = c[9] * x + (c[10] * y + c[11])
    return keep(ti.select((e0 >= 0.0) & (e1 >= 0.0) & (e2 >= 0.0), inverse, target.splat(0.0)))
