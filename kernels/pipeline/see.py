"""The nearest surface along rays through given image points: visibility beside silhouettes.

As pipeline/visibility.py, for a list of points [px] of one tile instead of its pixel centres. `numbers` of points are
[begin, end); the tile's candidates are entries [first, last) of the group's tile lists.
"""

import taichi as ti

from kernels.numbers.traced import keep
from kernels.pipeline.visibility import (
    SIDE,
    SPHERE_COMPONENTS,
    Scalars,
    plane_in_front,
    row_start,
    sphere_in_front,
    triangle_components,
)

# A point this far [px] outside the bounds of a triangle, which are those of pixels, cannot lie in it.
REACH = 0.56


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
    """Triangles among the tile's candidates."""
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
        stride: ti.i32,
        triangles: scalars,
        bounds: scalars,
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
            across = extent(points_x[i])
            down = extent(points_y[i])
            best = inverse_depth[i]
            best_id = ids[i]
            for k in range(first, last):
                f = candidates[k]
                if (
                    bounds[f] - REACH <= across[1]
                    and bounds[2 * stride + f] + REACH >= across[0]
                    and bounds[stride + f] - REACH <= down[1]
                    and bounds[3 * stride + f] + REACH >= down[0]
                ):
                    c = triangle_components(triangles, stride, f)
                    s = row_start(c, y)
                    e0 = c[0] * x + s[0]
                    e1 = c[3] * x + s[1]
                    e2 = c[6] * x + s[2]
                    inverse = c[9] * x + s[3]
                    nearer = (e0 >= 0.0) & (e1 >= 0.0) & (e2 >= 0.0) & (inverse > best)
                    best = ti.select(nearer, inverse, best)
                    best_id = ti.select(nearer, target.splat(first_id + f, ti.i32), best_id)
            inverse_depth[i] = best
            ids[i] = best_id

    def extent(expression):
        """(lowest, highest) lane."""
        lanes = target.lanes_of(expression)
        low = high = lanes[0]
        for lane in lanes[1:]:
            low, high = keep(ti.min(low, lane)), keep(ti.max(high, lane))
        return Scalars([low, high])

    return kernel
