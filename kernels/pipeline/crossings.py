"""Which pixels of a tile the silhouettes of spheres and planes cross, and how: detect, then cross.

`detect` appends (pixel, primitive) pairs to a list, for pixels that the silhouette may cross: those between its
intersections with the lines above and below each row of pixels. `cross` gives the `Crossing` of each pair, as components
c of number i at c * stride + i; where nothing crosses, the nodes' weights are 0.
"""

import taichi as ti

from kernels.cameras.pinhole import pinhole_direction
from kernels.geometry.plane import conic_of_plane
from kernels.geometry.sphere import conic_of_sphere
from kernels.numbers import Dual, Vec3, ceil, clip, floor, maximum, minimum, partial_of, seed, where
from kernels.numbers.traced import Traced, element
from kernels.pipeline.target import TILE
from kernels.pipeline.visibility import PLANE_COMPONENTS, SPHERE_COMPONENTS
from kernels.silhouettes.conic import FAR, Conic, _interval, cross_conic
from kernels.silhouettes.ellipse import cross_ellipse
from kernels.silhouettes.spread import mean_root

# Components of a crossing; `CENTRE` is q at the pixel's centre, `WEIGHT` the sum of the nodes' weights, 0 where nothing
# crosses; `SPREAD` and its slope by the area are those of the surface in front (kernels/silhouettes/spread.py); each node
# has x, y and weight.
AREA, MOMENT, EDGE, OUTWARD, CENTRE, WEIGHT, SPREAD, SPREAD_SLOPE, NODES = 0, 1, 3, 5, 7, 8, 9, 10, 11
# Kinds of silhouettes: gently curved, a small ellipse, one that reaches the camera plane.
KINDS = ("gentle", "small", "open")
KIND_NODES = (8, 32, 8)
# How far [px] a silhouette may bulge beyond its intersections with two lines one pixel apart.
BULGE = (0.02, 0.2, 0.2)
CROSSING_COMPONENTS = NODES + 3 * max(KIND_NODES)


@ti.data_oriented
class Spans:
    """Columns for each row, that a kernel may index as [row, which] with constants."""

    def __init__(self, numbers):
        self.numbers = numbers

    def __getitem__(self, place):
        row, which = place
        return ti.cast(self.numbers[which].lane(row), ti.i32)


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


def detect(target, shape, kind):
    """Pairs of one primitive: a sphere of a kind, or a plane. The tile's pixels are numbered row by row."""
    scalars, indices = target.scalars, target.indices
    rows = target.lanes

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        left: ti.i32,
        top: ti.i32,
        columns: ti.i32,
        lines: ti.i32,
        low_x: ti.f32,
        low_y: ti.f32,
        high_x: ti.f32,
        high_y: ti.f32,
        fx: ti.f32,
        fy: ti.f32,
        cx: ti.f32,
        cy: ti.f32,
        table: scalars,
        pixels: indices,
        primitives: indices,
        count: indices,
    ):
        ti.loop_config(serialize=target.serial)
        for k in range(begin, end):
            n = count[0]
            for group in range(TILE // rows):
                y = target.lane_numbers() + ti.cast(top + group * rows, ti.f32)
                spans = find(k, left, y, (low_x, low_y, high_x, high_y), (fx, fy, cx, cy), table)
                for lane in ti.static(range(rows)):
                    row = group * rows + lane
                    if row < lines:
                        for x in range(
                            ti.max(spans[lane, 0] - left, 0), ti.min(spans[lane, 1] - left, columns - 1) + 1
                        ):
                            pixels[n] = row * TILE + x
                            primitives[n] = k
                            n += 1
                        for x in range(
                            ti.max(spans[lane, 2] - left, 0), ti.min(spans[lane, 3] - left, columns - 1) + 1
                        ):
                            pixels[n] = row * TILE + x
                            primitives[n] = k
                            n += 1
            count[0] = n

    def find(k, left, y, bounds, intrinsics, table):
        """Columns (first, last) and (second, final) of each row; empty where first > last."""
        fx, fy, cx, cy = (Traced(a) for a in intrinsics)
        y = target.packet(y)
        x0 = Traced(ti.cast(left, ti.f32)) + 0.5 * TILE
        above, below = (intersect(k, x0, y + offset, (fx, fy, cx, cy), table) for offset in (-0.5, 0.5))
        (a0, b0), (a1, b1) = above, below
        hit0, hit1 = b0 > a0, b1 > a1
        both, one = hit0 & hit1, hit0 | hit1
        bulge = BULGE[kind]
        low_x, low_y, high_x, high_y = (Traced(b) for b in bounds)
        # Where neither line meets it, it may lie between them.
        within = (y >= low_y - 1.0) & (y <= high_y + 1.0)
        none_low, none_high = where(within, low_x - 1.0, FAR), where(within, high_x + 1.0, -FAR)
        outer_low, outer_high = where(hit0, a0, a1), where(hit0, b0, b1)
        first = where(both, minimum(a0, a1) - bulge, where(one, outer_low - bulge, none_low))
        last = where(both, maximum(a0, a1) + bulge, where(one, outer_high + bulge, none_high))
        second = where(both, minimum(b0, b1) - bulge, FAR)
        final = where(both, maximum(b0, b1) + bulge, -FAR)
        first, last = floor(clip(first, -FAR, FAR) + 0.5), ceil(clip(last, -FAR, FAR) - 0.5)
        second, final = maximum(floor(clip(second, -FAR, FAR) + 0.5), last + 1.0), ceil(clip(final, -FAR, FAR) - 0.5)
        return Spans([x.splat(rows) for x in (first, last, second, final)])

    def intersect(k, x0, y, intrinsics, table):
        """(low, high) of the columns in which the line at y lies in the region."""
        fx, fy, cx, cy = intrinsics
        direction = pinhole_direction(x0, y, fx, fy, cx, cy)
        conic = shape(target, table, k, direction, fx, fy)
        branch = conic.branch if KINDS[kind] == "open" else None
        low, high = _interval(
            conic.value, conic.gradient[0], 0.5 * conic.hessian[0], branch, (0.0, 0.0), (1.0, 0.0)
        )
        return low + x0, high + x0

    return kernel


def cross(target, shape, kind):
    """The Crossing of each pair: numbers [begin, end) of pairs."""
    numbers, scalars, indices = target.numbers, target.scalars, target.indices
    function = cross_ellipse if KINDS[kind] == "small" else cross_conic

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
        table: scalars,
        pixels: indices,
        primitives: indices,
        crossings: numbers,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            run(i, left, top, stride, (fx, fy, cx, cy), table, pixels, primitives, crossings)

    def run(i, left, top, stride, intrinsics, table, pixels, primitives, crossings):
        fx, fy, cx, cy = (Traced(a) for a in intrinsics)
        x, y = pixel_centres(target, i, left, top, pixels)
        direction = pinhole_direction(x, y, fx, fy, cx, cy)
        first = [element(primitives, i * target.lanes + k) for k in range(target.lanes)]
        conic = gather_conic(target, shape, table, first, direction, fx, fy)
        if KINDS[kind] != "open":
            conic = Conic(conic.value, conic.gradient, conic.hessian)
        result = function(conic)
        weight = sum((node[2] for node in result.nodes[1:]), result.nodes[0][2])
        values = [result.area, *result.moment, *result.edge_point, *result.outward, conic.value, weight]
        spread = mean_root(seed(result.area, "area")) if shape is sphere_conic else Dual(result.area * 0.0 + 1.0, {})
        slope = partial_of(spread, "area")
        values += [spread.value, slope if isinstance(slope, Traced) else spread.value * 0.0 + slope]
        values += [number for node in result.nodes for number in node]
        for c, value in enumerate(values):
            element(crossings, c * stride + i)._assign(value.splat(target.lanes).expression)

    return kernel


def pixel_centres(target, i, left, top, pixels):
    """x and y [px] of the pixels of number i of a list."""
    indices = [element(pixels, i * target.lanes + k) for k in range(target.lanes)]
    x = target.scalars_to_number([ti.cast(left + p % TILE, ti.f32) for p in indices])
    y = target.scalars_to_number([ti.cast(top + p // TILE, ti.f32) for p in indices])
    return x, y


def gather_conic(target, shape, table, ids, direction, fx, fy):
    """The conic of the primitive of each lane."""
    if shape is sphere_conic:
        x, y, z, radius = (target.gather(table, [k * SPHERE_COMPONENTS + c for k in ids]) for c in range(4))
        return conic_of_sphere(direction, Vec3(x, y, z), radius, fx, fy)
    x, y, z, offset = (target.gather(table, [k * PLANE_COMPONENTS + c for k in ids]) for c in range(4))
    return conic_of_plane(direction, Vec3(x, y, z), where(offset > 0.0, 1.0, -1.0), fx, fy)
