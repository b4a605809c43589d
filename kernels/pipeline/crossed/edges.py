"""Silhouette edges and the pixels that they may cross.

A thread per edge. `count_pieces` tells which edges are silhouettes and how many of them may cross each pixel;
`find_crossed` makes room for so many pieces; `place_pieces` walks over the same pixels again and puts the edges there,
in any order: `cross_pieces` sorts them.
"""

import taichi as ti

from kernels.pipeline.crossed import layout as at
from kernels.pipeline.edges import EDGE_BOUNDS, columns_of_edge, describe, rows_of_edge, side_of_faces
from kernels.pipeline.prepare import OFFSET


def count_pieces(target):
    """Edges [begin, end) of a mesh, the first of which is number `first_edge` of all meshes': their components, with
    empty bounds where they are no silhouettes; and adds them to the numbers of pieces of the pixels.
    """
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        tiles_x: ti.i32,
        width: ti.i32,
        height: ti.i32,
        fx: ti.f32,
        fy: ti.f32,
        cx: ti.f32,
        cy: ti.f32,
        first_edge: ti.i32,
        edge_stride: ti.i32,
        face_stride: ti.i32,
        vertex_stride: ti.i32,
        first_faces: indices,
        second_faces: indices,
        starts: indices,
        half_edges: indices,
        along: indices,
        faces: indices,
        vertices_camera: scalars,
        triangles: scalars,
        components: scalars,
        pixel_pieces: indices,
    ):
        ti.loop_config(serialize=target.serial)
        for e in range(begin, end):
            edge = first_edge + e
            sign = side_of_faces(
                e, first_faces, second_faces, starts, half_edges, along, triangles, OFFSET * face_stride
            )
            seen = 0
            if sign != 0.0:
                seen = describe(
                    half_edges[starts[e]],
                    sign,
                    (faces, face_stride),
                    (vertices_camera, vertex_stride),
                    (ti.cast(width, ti.f32), ti.cast(height, ti.f32), fx, fy, cx, cy),
                    triangles,
                    components,
                    edge_stride,
                    edge,
                )
            if seen == 0:
                components[EDGE_BOUNDS * edge_stride + edge] = 1.0
                components[(EDGE_BOUNDS + 2) * edge_stride + edge] = -1.0
            else:
                first, last = rows_of_edge(components, edge_stride, edge)
                for y in range(ti.max(first, 0), ti.min(last, height - 1) + 1):
                    left, right = columns_of_edge(components, edge_stride, edge, y)
                    for x in range(ti.max(left, 0), ti.min(right, width - 1) + 1):
                        ti.atomic_add(pixel_pieces[at.number_of(x, y, tiles_x)], 1)

    return kernel


def place_pieces(target):
    """Edges [begin, end) of all meshes: pieces of their pixels, from pixel_pieces[pixel] on."""
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        tiles_x: ti.i32,
        width: ti.i32,
        height: ti.i32,
        edge_stride: ti.i32,
        piece_capacity: ti.i32,
        components: scalars,
        pixel_pieces: indices,
        piece_numbers: indices,
    ):
        ti.loop_config(serialize=target.serial)
        for edge in range(begin, end):
            if components[EDGE_BOUNDS * edge_stride + edge] <= components[(EDGE_BOUNDS + 2) * edge_stride + edge]:
                first, last = rows_of_edge(components, edge_stride, edge)
                for y in range(ti.max(first, 0), ti.min(last, height - 1) + 1):
                    left, right = columns_of_edge(components, edge_stride, edge, y)
                    for x in range(ti.max(left, 0), ti.min(right, width - 1) + 1):
                        pixel = at.number_of(x, y, tiles_x)
                        place = ti.atomic_add(pixel_pieces[pixel], 1)
                        if place < piece_capacity:
                            piece_numbers[at.PIECE_PIXEL * piece_capacity + place] = pixel
                            piece_numbers[at.PIECE_FOUND * piece_capacity + place] = edge

    return kernel
