"""Prepare a mesh: vertices into the camera frame; triangles into edge functions, planes and screen bounds.

Structure of arrays: component c of item i lies at c * stride + i, stride a multiple of 16, so that a packet takes
consecutive items. The kernels here count `stride` in numbers (packets), `vertex_stride` in vertices.
"""

import taichi as ti

from kernels.geometry.triangle import edge_roundings, edges_of_triangle, plane_of_triangle
from kernels.numbers import Vec3, ceil, floor, maximum, minimum, where
from kernels.numbers.traced import Traced, element

# Components of a prepared triangle.
EDGES, NORMAL, OFFSET, INVERSE_OFFSET, TRIANGLE_COMPONENTS = 0, 9, 12, 13, 14
# A pixel centre this close [px] outside a triangle's bounds is still tried: more than the rounding of a projection.
BOUNDS_MARGIN = 0.01


def prepare_vertices(target):
    """vertices_camera = T_camera_mesh vertices, for numbers [begin, end) of each component."""
    numbers, scalars = target.numbers, target.scalars

    @ti.kernel
    def kernel(
        begin: ti.i32, end: ti.i32, stride: ti.i32, T_camera_mesh: scalars, vertices: numbers, vertices_camera: numbers
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            for row in ti.static(range(3)):
                vertices_camera[row * stride + i] = (
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
        for array, reach in zip(bounds, (BOUNDS_MARGIN, Traced(margin)), strict=True):
            for c, bound in enumerate(screen_bounds(corners, visible, size, intrinsics, reach)):
                element(array, c * stride + i)._assign(bound.splat(target.lanes).expression)

    return kernel


def screen_bounds(corners, visible, size, intrinsics, margin):
    """First and last column and row (x0, y0, x1, y1) whose pixel centres are at most `margin` outside the
    triangle's; x0 > x1 where there are none.

    A triangle that crosses the camera plane, or nearly, is given the whole image.
    """
    fx, fy, cx, cy = (Traced(a) for a in intrinsics)
    a, b, c = corners
    nearest = minimum(minimum(a.z, b.z), c.z)
    farthest = maximum(maximum(a.z, b.z), c.z)
    in_front = farthest > 0.0
    crosses = nearest <= 1e-4 * farthest
    inverse = [1.0 / where(crosses, 1.0, corner.z) for corner in corners]
    result = []
    for axis, focal, centre in (("x", fx, cx), ("y", fy, cy)):
        p, q, r = (getattr(corner, axis) * i * focal + centre for corner, i in zip(corners, inverse, strict=True))
        last = Traced(size["xy".index(axis)]) - 1.0
        low = ceil(maximum(minimum(minimum(p, q), r) - margin, 0.0))
        high = floor(minimum(maximum(maximum(p, q), r) + margin, last))
        result.append((where(crosses, 0.0, low), where(crosses, last, high)))
    (x0, x1), (y0, y1) = result
    # Beyond the last pixel: an interval that is empty, and stays so when it is turned into tiles.
    empty = 1e6
    seen = visible & in_front & (x0 <= x1) & (y0 <= y1)
    return where(seen, x0, empty), where(seen, y0, empty), where(seen, x1, -1.0), where(seen, y1, -1.0)
