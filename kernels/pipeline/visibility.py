"""The nearest surface of each pixel: inverse depth and primitive id, tile by tile.

The largest inverse depth wins; of equals, the one that came first. Ids run over the whole scene: a group of primitives
(all spheres, all planes, one mesh) has the ids from first_id on. -1 is the background, with inverse depth 0.
"""

import taichi as ti

from kernels.geometry.plane import inverse_depth_plane
from kernels.geometry.sphere import inverse_depth_sphere
from kernels.numbers import Vec3
from kernels.numbers.traced import Traced, element, keep
from kernels.pipeline.bin import TOGETHER, area_of
from kernels.pipeline.prepare import EDGES, INVERSE_OFFSET, NORMAL
from kernels.pipeline.target import STEPS, TILE, TILE_BITS, pixel_x, pixel_y

# Components of a prepared sphere (centre, radius, 1 / (c.c - r^2), side) and plane (normal, offset, 1 / offset), in
# whole rows (pipeline/target.py).
SPHERE_COMPONENTS, RADIUS, INVERSE_GAP, SIDE = 8, 3, 4, 5
PLANE_COMPONENTS = 8
# Pixels in the bounds of a triangle from which on a GPU looks at it tile by tile, and how its rows are shared out else.
LARGE = 256
QUARTERS = 4
# What ids are taken from where the lowest is to win, and 0 means none.
LAST = 2**31 - 1


def clear_visibility(target):
    """Every pixel sees the background."""
    numbers, integers = target.numbers, target.integers

    @ti.kernel
    def kernel(begin: ti.i32, end: ti.i32, first_tile: ti.i32, inverse_depth: numbers, ids: integers):
        ti.loop_config(serialize=target.serial)
        for step in range(begin, end):
            first = (step - first_tile * target.steps) * target.run
            for p in range(first, first + target.run):
                inverse_depth[p] = target.splat(0.0)
                ids[p] = target.splat(-1, ti.i32)

    return kernel


def load_vector(table, first):
    """Three consecutive scalars of a table."""
    return Vec3(*(Traced(element(table, first + axis)) for axis in range(3)))


def load_scalar(table, index):
    """One scalar of a table."""
    return Traced(element(table, index))


def sphere_in_front(target, x, y, spheres, k, side):
    """Inverse depth of sphere k, along the rays (x, y, 1). `side` is a constant: each has code of its own."""
    return disc_in_front(target, sphere_components(spheres, k), x, y, side)


def visible_spheres(target):
    """Spheres, over each tile's candidates: on a GPU, where they are the first to be looked at."""
    numbers, integers, scalars, indices = target.numbers, target.integers, target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        first_tile: ti.i32,
        tiles_x: ti.i32,
        first_id: ti.i32,
        cx: ti.f32,
        cy: ti.f32,
        inverse_fx: ti.f32,
        inverse_fy: ti.f32,
        spheres: scalars,
        offsets: indices,
        candidates: indices,
        inverse_depth: numbers,
        ids: integers,
    ):
        ti.loop_config(serialize=target.serial)
        for step in range(begin, end):
            tile = target.tile(step)
            for row in range(target.first_row(step), target.end_row(step)):
                y = (pixel_y(tile, tiles_x, row) - cy) * inverse_fy
                for q in range(target.first_across(step), target.end_across(step)):
                    x = (pixel_x(target, tile, tiles_x, q) - cx) * inverse_fx
                    p = (tile - first_tile) * target.block + row * target.across + q
                    best = target.splat(0.0)
                    best_id = target.splat(-1, ti.i32)
                    for k in range(offsets[tile], offsets[tile + 1]):
                        inverse = target.splat(0.0)
                        if spheres[candidates[k] * SPHERE_COMPONENTS + SIDE] > 0.0:
                            inverse = sphere_in_front(target, x, y, spheres, candidates[k], 1.0)
                        else:
                            inverse = sphere_in_front(target, x, y, spheres, candidates[k], -1.0)
                        nearer = inverse > best
                        best = ti.select(nearer, inverse, best)
                        best_id = ti.select(nearer, target.splat(first_id + candidates[k], ti.i32), best_id)
                    inverse_depth[p] = best
                    ids[p] = best_id

    return kernel


def visible_discs(target):
    """Spheres in a run of tiles on the CPU: each visits the rows within its bounds, and their parts in the tiles there.

    The run's spheres are candidates [begin, end); its first pixel is at (left, top), and so many columns and lines are
    in the image. Every row of a sphere has the same packets: how often a loop turns is then easy to foresee. A tile's
    part of a row is visited as a whole: where its packets lie needs no division, and they wait for each other's square
    root together.
    """
    numbers, integers, scalars, indices = target.numbers, target.integers, target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        left: ti.i32,
        top: ti.i32,
        across: ti.i32,
        lines: ti.i32,
        stride: ti.i32,
        first_id: ti.i32,
        cx: ti.f32,
        cy: ti.f32,
        inverse_fx: ti.f32,
        inverse_fy: ti.f32,
        spheres: scalars,
        bounds: scalars,
        candidates: indices,
        inverse_depth: numbers,
        ids: integers,
    ):
        ti.loop_config(serialize=target.serial)
        for n in range(begin, end):
            k = candidates[n]
            c = sphere_components(spheres, k)
            mine = target.splat(first_id + k, ti.i32)
            q0 = ti.max(ti.cast(bounds[k], ti.i32) - left, 0)
            q1 = ti.min(ti.cast(bounds[2 * stride + k], ti.i32) - left, across - 1)
            r0 = ti.max(ti.cast(bounds[stride + k], ti.i32) - top, 0)
            r1 = ti.min(ti.cast(bounds[3 * stride + k], ti.i32) - top, lines - 1)
            if q0 <= q1:
                for row in range(r0, r1 + 1):
                    y = (ti.cast(top + row, ti.f32) - cy) * inverse_fy
                    for tile in range(q0 // TILE, q1 // TILE + 1):
                        first = tile * target.block + row * target.across
                        for q in ti.static(range(target.across)):
                            pixel = left + tile * TILE + q * target.lanes
                            x = (target.lane_numbers() + ti.cast(pixel, ti.f32) - cx) * inverse_fx
                            if c[SIDE] > 0.0:
                                look(first + q, c, mine, x, y, 1.0, inverse_depth, ids)
                            else:
                                look(first + q, c, mine, x, y, -1.0, inverse_depth, ids)

    def look(p, c, mine, x, y, side, inverse_depth, ids):
        inverse, before = keep(disc_in_front(target, c, x, y, side)), keep(element(inverse_depth, p))
        nearer = keep(inverse > before)
        element(inverse_depth, p)._assign(ti.select(nearer, inverse, before))
        element(ids, p)._assign(ti.select(nearer, mine, keep(element(ids, p))))

    return kernel


def sphere_components(spheres, k):
    """The components of sphere k, fetched once."""
    return Scalars([keep(element(spheres, k * SPHERE_COMPONENTS + c)) for c in range(SPHERE_COMPONENTS)])


def disc_in_front(target, c, x, y, side):
    """The same of a sphere whose components were fetched."""
    direction = Vec3(target.packet(x), Traced(y), 1.0)
    center, radius, inverse_gap = Vec3(*(Traced(c[k]) for k in range(3))), Traced(c[3]), Traced(c[4])
    return inverse_depth_sphere(direction, center, radius, inverse_gap, side).expression


def plane_in_front(target, x, y, planes, k):
    """Inverse depth of plane k, along the rays (x, y, 1)."""
    direction = Vec3(target.packet(x), Traced(y), 1.0)
    first = k * PLANE_COMPONENTS
    return inverse_depth_plane(direction, load_vector(planes, first), load_scalar(planes, first + 4)).expression


def visible_planes(target):
    """Planes, each over all tiles: they have no bounds."""
    numbers, integers, scalars = target.numbers, target.integers, target.scalars

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        first_tile: ti.i32,
        tiles_x: ti.i32,
        first_id: ti.i32,
        count: ti.i32,
        cx: ti.f32,
        cy: ti.f32,
        inverse_fx: ti.f32,
        inverse_fy: ti.f32,
        planes: scalars,
        inverse_depth: numbers,
        ids: integers,
    ):
        ti.loop_config(serialize=target.serial)
        for step in range(begin, end):
            tile = target.tile(step)
            for row in range(target.first_row(step), target.end_row(step)):
                y = (pixel_y(tile, tiles_x, row) - cy) * inverse_fy
                for q in range(target.first_across(step), target.end_across(step)):
                    x = (pixel_x(target, tile, tiles_x, q) - cx) * inverse_fx
                    p = (tile - first_tile) * target.block + row * target.across + q
                    best = target.splat(0.0)
                    best_id = target.splat(-1, ti.i32)
                    # Nobody cleared the blocks on a GPU.
                    if ti.static(target.serial) or first_id > 0:
                        best = inverse_depth[p]
                        best_id = ids[p]
                    for k in range(count):
                        inverse = plane_in_front(target, x, y, planes, k)
                        nearer = inverse > best
                        best = ti.select(nearer, inverse, best)
                        best_id = ti.select(nearer, target.splat(first_id + k, ti.i32), best_id)
                    inverse_depth[p] = best
                    ids[p] = best_id

    return kernel


def visible_triangles(target):
    """Triangles, over each tile's candidates from `offsets` to `ends`: each visits the packets within its bounds."""
    numbers, integers, scalars, indices = target.numbers, target.integers, target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        first_tile: ti.i32,
        tiles_x: ti.i32,
        first_id: ti.i32,
        stride: ti.i32,
        cx: ti.f32,
        cy: ti.f32,
        inverse_fx: ti.f32,
        inverse_fy: ti.f32,
        triangles: scalars,
        bounds: scalars,
        offsets: indices,
        ends: indices,
        candidates: indices,
        inverse_depth: numbers,
        ids: integers,
    ):
        ti.loop_config(serialize=target.serial)
        for tile in range(begin, end):
            left = (tile % tiles_x) * TILE
            top = (tile // tiles_x) * TILE
            for k in range(offsets[tile], ends[tile]):
                f = candidates[k]
                q0 = (ti.max(ti.cast(bounds[f], ti.i32), left) - left) // target.lanes
                q1 = (ti.min(ti.cast(bounds[2 * stride + f], ti.i32), left + TILE - 1) - left) // target.lanes
                r0 = ti.max(ti.cast(bounds[stride + f], ti.i32), top) - top
                r1 = ti.min(ti.cast(bounds[3 * stride + f], ti.i32), top + TILE - 1) - top
                c = triangle_components(triangles, stride, f)
                for row in range(r0, r1 + 1):
                    y = (pixel_y(tile, tiles_x, row) - cy) * inverse_fy
                    s = row_start(c, y)
                    for q in range(q0, q1 + 1):
                        x = (pixel_x(target, tile, tiles_x, q) - cx) * inverse_fx
                        p = (tile - first_tile) * target.block + row * target.across + q
                        e0, e1, e2, inverse = along_row(c, s, x)
                        # Comparisons, not min: minimum of packets becomes minnum, with extra work for NaN.
                        nearer = (e0 >= 0.0) & (e1 >= 0.0) & (e2 >= 0.0) & (inverse > inverse_depth[p])
                        inverse_depth[p] = ti.select(nearer, inverse, inverse_depth[p])
                        ids[p] = ti.select(nearer, target.splat(first_id + f, ti.i32), ids[p])

    return kernel


def nearest_triangles(target):
    """Small triangles, each over the pixels in its bounds: a GPU's way, whatever tiles they lie in.

    depths[p] becomes the largest inverse depth (its bits, which compare as it does), in a first turn; in a second,
    with `turn` 1, winners[p] LAST less the lowest id of those that have it; `largest` are the depths once more, then
    only read. Both are 0 before, and the same in whatever order triangles come. A triangle with LARGE
    or more pixels in its bounds is left to `large_triangles`. [begin, end) are (quarter, triangle), stride triangles
    each; a quarter is every fourth row.
    """
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        turn: ti.i32,
        tiles_x: ti.i32,
        first_id: ti.i32,
        stride: ti.i32,
        cx: ti.f32,
        cy: ti.f32,
        inverse_fx: ti.f32,
        inverse_fy: ti.f32,
        triangles: scalars,
        bounds: scalars,
        depths: indices,
        largest: indices,
        winners: indices,
    ):
        for i in range(begin, end):
            f = i % stride
            x0 = ti.cast(bounds[f], ti.i32)
            y0 = ti.cast(bounds[stride + f], ti.i32)
            x1 = ti.cast(bounds[2 * stride + f], ti.i32)
            y1 = ti.cast(bounds[3 * stride + f], ti.i32)
            row = y0 + i // stride
            if x0 <= x1 and row <= y1 and area_of(x0, y0, x1, y1) < LARGE:
                c = triangle_components(triangles, stride, f)
                for quarter in range((y1 - row) // QUARTERS + 1):
                    v = row + QUARTERS * quarter
                    s = row_start(c, (ti.cast(v, ti.f32) - cy) * inverse_fy)
                    for u in range(x0, x1 + 1):
                        x = (ti.cast(u, ti.f32) - cx) * inverse_fx
                        e0, e1, e2, inverse = along_row(c, s, x)
                        if e0 >= 0.0 and e1 >= 0.0 and e2 >= 0.0 and inverse > 0.0:
                            tile = (v >> TILE_BITS) * tiles_x + (u >> TILE_BITS)
                            p = tile * STEPS + (v & (TILE - 1)) * TILE + (u & (TILE - 1))
                            bits = ti.bit_cast(inverse, ti.i32)
                            if turn == 0:
                                ti.atomic_max(depths[p], bits)
                            elif largest[p] == bits:
                                ti.atomic_max(winners[p], LAST - (first_id + f))

    return kernel


def large_triangles(target):
    """Pixel by pixel: the winner of `nearest_triangles`, and the large triangles among the tile's candidates."""
    numbers, integers, scalars, indices = target.numbers, target.integers, target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        first_tile: ti.i32,
        tiles_x: ti.i32,
        first_id: ti.i32,
        stride: ti.i32,
        cx: ti.f32,
        cy: ti.f32,
        inverse_fx: ti.f32,
        inverse_fy: ti.f32,
        triangles: scalars,
        bounds: scalars,
        offsets: indices,
        candidates: indices,
        depths: scalars,
        winners: indices,
        inverse_depth: numbers,
        ids: integers,
    ):
        for step in range(begin, end):
            tile = target.tile(step)
            u = pixel_x(target, tile, tiles_x, target.first_across(step))
            v = pixel_y(tile, tiles_x, target.first_row(step))
            x = (u - cx) * inverse_fx
            y = (v - cy) * inverse_fy
            p = step - first_tile * target.steps
            best = 0.0
            best_id = -1
            if first_id > 0:
                best = inverse_depth[p]
                best_id = ids[p]
            if depths[p] > best:
                best = depths[p]
                best_id = LAST - winners[p]
            first = offsets[tile]
            count = offsets[tile + 1] - first
            for turn in range((count + TOGETHER - 1) // TOGETHER):
                some = [candidates[first + ti.min(turn * TOGETHER + k, count - 1)] for k in ti.static(range(TOGETHER))]
                hits = [in_large(bounds, stride, some[k], u, v) for k in ti.static(range(TOGETHER))]
                for k in ti.static(range(TOGETHER)):
                    if hits[k] and turn * TOGETHER + k < count:
                        f = some[k]
                        c = triangle_components(triangles, stride, f)
                        s = row_start(c, y)
                        e0, e1, e2, inverse = along_row(c, s, x)
                        first_of_equals = inverse == best and first_id + f < best_id
                        if e0 >= 0.0 and e1 >= 0.0 and e2 >= 0.0 and (inverse > best or first_of_equals):
                            best = inverse
                            best_id = first_id + f
            inverse_depth[p] = best
            ids[p] = best_id

    return kernel


def in_large(bounds, stride, f, u, v):
    """Whether a pixel lies in the bounds of triangle f, and that is large."""
    x0, y0, x1, y1 = (keep(element(bounds, c * stride + f)) for c in range(4))
    inside = (x0 <= u) & (u <= x1) & (y0 <= v) & (v <= y1)
    return keep(inside & (area_of(x0, y0, x1, y1) >= float(LARGE)))


@ti.data_oriented
class Scalars:
    """A fixed number of scalars that a kernel may index with a constant."""

    def __init__(self, values):
        self.values = [Traced(v).expression for v in values]

    def __getitem__(self, k):
        return self.values[k]


def triangle_components(triangles, stride, f):
    """The three edge functions and 1/z of triangle f, each as (a, b, c) of a x + b y + c."""
    inverse_offset = element(triangles, INVERSE_OFFSET * stride + f)
    edges = [element(triangles, (EDGES + c) * stride + f) for c in range(9)]
    return Scalars(edges + [element(triangles, (NORMAL + c) * stride + f) * inverse_offset for c in range(3)])


def row_start(c, y):
    """b y + c of each of the four functions, along one row."""
    return Scalars([c[3 * e + 1] * y + c[3 * e + 2] for e in range(4)])


def along_row(c, s, x):
    """The four functions at x, of a row that starts with `s`."""
    return [keep(c[3 * e] * x + s[e]) for e in range(4)]
