"""Prepare a mesh: vertices into the camera frame; triangles into edge functions, planes and screen bounds.

Structure of arrays: component c of item i lies at c * stride + i, stride a multiple of 16, so that a packet takes
consecutive items. The kernels here count `stride` in numbers (packets), `vertex_stride` in vertices.
"""

import taichi as ti

from kernels.geometry.triangle import edge_roundings, edges_of_triangle, plane_of_triangle
from kernels.numbers import Vec3, absolute, ceil, floor, maximum, minimum, rarely, where
from kernels.numbers.traced import Traced, element

# Components of a prepared triangle.
EDGES, NORMAL, OFFSET, INVERSE_OFFSET, TRIANGLE_COMPONENTS = 0, 9, 12, 13, 14
# A pixel centre this close [px] outside a triangle's bounds is still tried: more than the rounding of a projection.
BOUNDS_MARGIN = 0.01
# As parts of a triangle's largest coordinate: how near the camera's plane its corners are no longer projected; and more
# than rounding, and what `edge_roundings` adds, move its edges by.
NEAR, ROUNDING = 2.0**-8, 2.0**-17
# A slope, or a column, beyond all images.
FAR_OUT = 1e9


def prepare_vertices(target):
    """vertices_camera = T_camera_mesh vertices, for numbers [begin, end) of each component.

    They go to numbers from `first` on in components of `camera_stride` numbers, which may hold other meshes', too.
    """
    numbers, scalars = target.numbers, target.scalars

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        stride: ti.i32,
        first: ti.i32,
        camera_stride: ti.i32,
        T_camera_mesh: scalars,
        vertices: numbers,
        vertices_camera: numbers,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            for row in ti.static(range(3)):
                vertices_camera[row * camera_stride + first + i] = (
                    T_camera_mesh[4 * row] * vertices[i]
                    + T_camera_mesh[4 * row + 1] * vertices[stride + i]
                    + T_camera_mesh[4 * row + 2] * vertices[2 * stride + i]
                    + T_camera_mesh[4 * row + 3]
                )

    return kernel


def prepare_triangles(target):
    """Edge functions, plane, and bounds [px, inclusive] of triangles, for numbers [begin, end) of each component.

    `bounds` are those of the pixel centres in a triangle, `wide_bounds` of the pixels within `margin` [px] of it.

    The edge functions take no fused multiply-add: swapping an edge's ends must negate them exactly, or light leaks
    between neighbours. A triangle that cannot be seen (behind the camera, edge-on, off the image, between pixel
    centres) has empty bounds.
    """
    scalars, indices, numbers = target.scalars, target.indices, target.numbers

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        stride: ti.i32,
        vertex_stride: ti.i32,
        width: ti.f32,
        height: ti.f32,
        fx: ti.f32,
        fy: ti.f32,
        cx: ti.f32,
        cy: ti.f32,
        margin: ti.f32,
        faces: indices,
        vertices_camera: scalars,
        triangles: numbers,
        bounds: numbers,
        wide_bounds: numbers,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            prepare(
                i,
                stride,
                vertex_stride,
                (width, height),
                (fx, fy, cx, cy),
                margin,
                faces,
                vertices_camera,
                triangles,
                (bounds, wide_bounds),
            )

    def prepare(i, stride, vertex_stride, size, intrinsics, margin, faces, vertices_camera, triangles, bounds):
        corners = []
        for corner in range(3):
            first = (stride * corner + i) * target.lanes
            ids = [element(faces, first + k) for k in range(target.lanes)]
            corners.append(
                Vec3(*(target.gather(vertices_camera, [axis * vertex_stride + k for k in ids]) for axis in range(3)))
            )
        normal, offset = plane_of_triangle(*corners)
        edges, roundings = edges_of_triangle(*corners), edge_roundings(*corners)
        toward = where(offset > 0.0, 1.0, -1.0)
        # Narrower than its edges' rounding a triangle would be seen along its line, beyond its ends.
        visible = abs(offset) > 1e-37
        for rounding, corner in zip(roundings, corners, strict=True):
            visible = visible & (abs(offset) > rounding * abs(corner.z))
        inverse = where(visible, 1.0 / where(visible, offset, 1.0), 0.0)
        components = []
        for edge, rounding in zip(edges, roundings, strict=True):
            x, y, z = edge * toward
            components += [x, y, z + rounding]
        components += [*normal, offset, inverse]
        for c, component in enumerate(components):
            element(triangles, c * stride + i)._assign(component.expression)
        spans = image_spans(corners, intrinsics)
        for array, reach in zip(bounds, (BOUNDS_MARGIN, Traced(margin)), strict=True):
            for c, bound in enumerate(screen_bounds(spans, visible, size, reach)):
                element(array, c * stride + i)._assign(bound.splat(target.lanes).expression)

    return kernel


def image_spans(corners, intrinsics):
    """(least, greatest) column and row [px] of what can be seen of a triangle; least > greatest behind the camera."""
    fx, fy, cx, cy = (Traced(a) for a in intrinsics)
    nearest, farthest = (f(f(corners[0].z, corners[1].z), corners[2].z) for f in (minimum, maximum))
    extent = absolute(corners[0].x)
    for component in [x for corner in corners for x in corner][1:]:
        extent = maximum(extent, absolute(component))
    near = extent * NEAR
    crosses = nearest < near
    inverse = [1.0 / where(crosses, 1.0, corner.z) for corner in corners]
    slopes = []
    for axis in "xy":
        p, q, r = (getattr(corner, axis) * i for corner, i in zip(corners, inverse, strict=True))
        slopes += [minimum(minimum(p, q), r), maximum(maximum(p, q), r)]
    in_front = farthest > 0.0
    x0, x1, y0, y1 = rarely(crosses & in_front, lambda: clipped_slopes(corners, near, extent), slopes)
    return (
        (where(in_front, x0 * fx + cx, FAR_OUT), x1 * fx + cx),
        (where(in_front, y0 * fy + cy, FAR_OUT), y1 * fy + cy),
    )


def clipped_slopes(corners, near, extent):
    """Least and greatest x/z, least and greatest y/z of what is in front of the camera's plane.

    The part with z > near is bounded by its corners, and by where it meets z = near. The part between -near and near,
    which contains those, has x from `least` to `greatest`: if both are positive it is seen at slopes from least / near
    on, however large; if both are negative, up to greatest / near; else at any. y likewise.
    """
    edges = list(zip(corners, (*corners[1:], corners[0]), strict=True))
    result = []
    for axis in "xy":
        low, high, least, greatest = FAR_OUT, -FAR_OUT, extent, -extent
        for corner in corners:
            x, z = getattr(corner, axis), corner.z
            beyond = z > near
            inverse = 1.0 / where(beyond, z, 1.0)
            slope = x * inverse
            slack = extent * ROUNDING * inverse * (absolute(slope) + 1.0)
            low = minimum(where(beyond, slope - slack, FAR_OUT), low)
            high = maximum(where(beyond, slope + slack, -FAR_OUT), high)
            inside = absolute(z) <= near
            least, greatest = minimum(where(inside, x, least), least), maximum(where(inside, x, greatest), greatest)
        for a, b in edges:
            for plane in (near, -near):
                cut = ((a.z < plane) & (b.z >= plane)) | ((a.z >= plane) & (b.z < plane))
                along = (plane - a.z) / where(cut, b.z - a.z, 1.0)
                x = getattr(a, axis) + along * (getattr(b, axis) - getattr(a, axis))
                least, greatest = minimum(where(cut, x, least), least), maximum(where(cut, x, greatest), greatest)
        slack = extent * ROUNDING
        least, greatest = least - slack, greatest + slack
        inner, outer = least / near, greatest / near
        inner, outer = inner - absolute(inner) * (ROUNDING / NEAR), outer + absolute(outer) * (ROUNDING / NEAR)
        low = minimum(where(least > 0.0, inner, -FAR_OUT), low)
        high = maximum(where(greatest < 0.0, outer, FAR_OUT), high)
        result += [low, high]
    return result


def screen_bounds(spans, visible, size, margin):
    """First and last column and row (x0, y0, x1, y1) whose pixel centres are at most `margin` outside the
    triangle's; x0 > x1 where there are none.
    """
    result = []
    for (least, greatest), length in zip(spans, size, strict=True):
        result.append(ceil(maximum(least - margin, 0.0)))
        result.append(floor(minimum(greatest + margin, Traced(length) - 1.0)))
    x0, x1, y0, y1 = result
    # Beyond the last pixel: an interval that is empty, and stays so when it is turned into tiles.
    empty = 1e6
    seen = visible & (x0 <= x1) & (y0 <= y1)
    return where(seen, x0, empty), where(seen, y0, empty), where(seen, x1, -1.0), where(seen, y1, -1.0)
