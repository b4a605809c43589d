"""Which pixels the silhouettes of spheres and planes cross, and how.

`lines` intersects a silhouette with the lines between the rows of pixels: the runtime reads off which pixels it may
cross. `cross` gives the `Crossing` of each pair (pixel, primitive) of some tiles, as components c of number i at c *
stride + i, and the points from which one looks and at which one evaluates.
"""

import taichi as ti

from kernels.cameras.pinhole import pinhole_direction
from kernels.geometry.plane import conic_of_plane
from kernels.geometry.sphere import conic_of_sphere
from kernels.numbers import Dual, Vec3, clip, partial_of, seed, where
from kernels.numbers.traced import Traced, element
from kernels.pipeline.target import TILE, TILE_BITS
from kernels.pipeline.visibility import PLANE_COMPONENTS, SPHERE_COMPONENTS
from kernels.silhouettes.conic import FAR, Conic, cross_conic, interval_inside
from kernels.silhouettes.ellipse import cross_ellipse
from kernels.silhouettes.gentle import cross_gentle
from kernels.silhouettes.spread import mean_root

# Components of a crossing. `CENTRE` is positive where the pixel's centre is covered: q there, or of a mesh the distance
# [px] to the silhouette. `LONGEST` is 0 where nothing crosses; `SPREAD` and its slope by the area are those of the
# surface in front (kernels/silhouettes/spread.py). Image points (x, y) [px]:
# `INNER` and `OUTER` lie beside the silhouette, `INSIDE` and `OUTSIDE` are the centroids of both parts. Each node has
# x, y, weight.
AREA, MOMENT, CENTRE, LONGEST, SPREAD, SPREAD_SLOPE = 0, 1, 3, 4, 5, 6
INNER, OUTER, INSIDE, OUTSIDE, NODES = 7, 9, 11, 13, 15
# How far [px] beside a silhouette one looks: more than what single precision makes of an image point.
STEP = 0.02
# Of a part of a pixel smaller than this, single precision does not tell how the centroid moves.
LEAST_AREA = 1e-4
# Kinds of silhouettes: gently curved, a small ellipse, one that reaches the camera plane.
KINDS = ("gentle", "small", "open")
KIND_NODES = (4, 32, 8)
# Where the nodes of arcs begin that few pixels have.
RARE_ARCS = {"gentle": (2,), "small": (16, 24), "open": ()}
CROSSING_COMPONENTS = NODES + 3 * max(KIND_NODES)


def load_sphere(target, table, k):
    """Centre and radius of sphere k, a scalar index."""
    x, y, z, radius = (Traced(element(table, k * SPHERE_COMPONENTS + c)) for c in range(4))
    return Vec3(x, y, z), radius


def sphere_conic(target, table, k, direction, fx, fy):
    center, radius = load_sphere(target, table, k)
    return conic_of_sphere(direction, center, radius, fx, fy)


def plane_conic(target, table, k, direction, fx, fy):
    x, y, z, offset = (Traced(element(table, k * PLANE_COMPONENTS + c)) for c in range(4))
    return conic_of_plane(direction, Vec3(x, y, z), where(offset > 0.0, 1.0, -1.0), fx, fy)


def lines(target, shape, branched):
    """Where lines of the image meet the region in front of a primitive: columns [px], low and high; low >= high where
    not.

    Line number j of those that are wanted lies at y = first_y + j [px]. `begin`, `end` and `offset` count numbers.
    """
    numbers, scalars = target.numbers, target.scalars

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        primitive: ti.i32,
        first_y: ti.f32,
        middle_x: ti.f32,
        offset: ti.i32,
        fx: ti.f32,
        fy: ti.f32,
        cx: ti.f32,
        cy: ti.f32,
        table: scalars,
        low: numbers,
        high: numbers,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            y = target.lane_numbers() + (first_y + ti.cast(i * target.lanes, ti.f32))
            run(offset + i, primitive, y, middle_x, (fx, fy, cx, cy), table, low, high)

    def run(i, primitive, y, middle_x, intrinsics, table, low, high):
        fx, fy, cx, cy = (Traced(a) for a in intrinsics)
        x = Traced(middle_x)
        direction = pinhole_direction(x, target.packet(y), fx, fy, cx, cy)
        conic = shape(target, table, primitive, direction, fx, fy)
        branch = conic.branch if branched else None
        ends = interval_inside(conic.value, conic.gradient[0], 0.5 * conic.hessian[0], branch, (0.0, 0.0), (1.0, 0.0))
        for array, end in zip((low, high), ends, strict=True):
            element(array, i)._assign((clip(end, -FAR, FAR) + x).splat(target.lanes).expression)

    return kernel


def cross(target, shape, kind, with_nodes):
    """The Crossing of each pair: numbers [begin, end) of pairs. Without nodes it is a little less work."""
    numbers, rows, indices = target.numbers, target.rows, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        left: ti.i32,
        top: ti.i32,
        stride: ti.i32,
        fx: ti.f32,
        fy: ti.f32,
        cx: ti.f32,
        cy: ti.f32,
        table: rows,
        pixels: indices,
        primitives: indices,
        crossings: numbers,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            run(i, left, top, stride, (fx, fy, cx, cy), table, pixels, primitives, crossings)

    def run(i, left, top, stride, intrinsics, table, pixels, primitives, crossings):
        x, y = pixel_centres(target, i, left, top, pixels)
        ids = [element(primitives, i * target.lanes + k) for k in range(target.lanes)]
        for c, value in enumerate(crossing_of(target, shape, kind, with_nodes, table, ids, x, y, intrinsics)):
            element(crossings, c * stride + i)._assign(value.splat(target.lanes).expression)

    return kernel


def crossing_of(target, shape, kind, with_nodes, table, ids, x, y, intrinsics):
    """The components of the crossing of the pixels at (x, y) and the primitives of the lanes."""
    fx, fy, cx, cy = (Traced(a) for a in intrinsics)
    conic = gather_conic(target, shape, table, ids, pinhole_direction(x, y, fx, fy, cx, cy), fx, fy)
    if KINDS[kind] != "open":
        conic = Conic(conic.value, conic.gradient, conic.hessian)
    if KINDS[kind] == "small":
        # A packet's nodes are worth leaving out. One lane has the same kernel, and so the same values, either way.
        result = cross_ellipse(conic, with_nodes or target.lanes == 1)
    else:
        result = (cross_gentle if KINDS[kind] == "gentle" else cross_conic)(conic, with_nodes)
    spread = mean_root(seed(result.area, "area")) if shape is sphere_conic else Dual(result.area * 0.0 + 1.0, {})
    slope = spread.value * 0.0 + partial_of(spread, "area")
    beside = [STEP * n for n in result.outward]
    edge = [c + e for c, e in zip((x, y), result.edge_point, strict=True)]
    inner = [e - b for e, b in zip(edge, beside, strict=True)]
    outer = [e + b for e, b in zip(edge, beside, strict=True)]
    inside = centroid(result.area, (x, y), result.moment, 1.0, inner)
    outside = centroid(1.0 - result.area, (x, y), result.moment, -1.0, outer)
    values = [result.area, *result.moment, conic.value, result.longest, spread.value, slope]
    values += [*inner, *outer, *inside, *outside]
    return values + [number for node in result.nodes for number in node]


def centroid(area, centre, moment, sign, otherwise):
    """Of the part of a pixel with this area; where that is too small, another point."""
    there = area > LEAST_AREA
    inverse = sign / where(there, area, 1.0)
    return [where(there, c + m * inverse, o) for c, m, o in zip(centre, moment, otherwise, strict=True)]


def pixel_centres(target, i, left, top, pixels):
    """x and y [px] of the pixels of number i of a list: pixels of tiles in a row, the first of which is at (left, top).

    Pixel p is number p % STEPS of tile p // STEPS.
    """
    across, down = TILE - 1, (TILE - 1) << TILE_BITS
    return _centres(
        target,
        i,
        pixels,
        lambda p: left + ((p >> 2 * TILE_BITS) << TILE_BITS) + (p & across),
        lambda p: top + ((p & down) >> TILE_BITS),
    )


def pixel_centres_in_tile(target, i, left, top, pixels):
    """The same for pixels of one tile, as those of edges are: slivers of meshes feel how what follows is rounded."""
    return _centres(target, i, pixels, lambda p: left + p % TILE, lambda p: top + p // TILE)


def _centres(target, i, pixels, column, row):
    indices = [element(pixels, i * target.lanes + k) for k in range(target.lanes)]
    x = target.scalars_to_number([ti.cast(column(p), ti.f32) for p in indices])
    y = target.scalars_to_number([ti.cast(row(p), ti.f32) for p in indices])
    return x, y


def gather_conic(target, shape, table, ids, direction, fx, fy):
    """The conic of the primitive of each lane."""
    if shape is sphere_conic:
        x, y, z, radius = target.gather_row(table, ids, SPHERE_COMPONENTS, 4)
        return conic_of_sphere(direction, Vec3(x, y, z), radius, fx, fy)
    x, y, z, offset = target.gather_row(table, ids, PLANE_COMPONENTS, 4)
    return conic_of_plane(direction, Vec3(x, y, z), where(offset > 0.0, 1.0, -1.0), fx, fy)
