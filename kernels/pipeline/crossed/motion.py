"""How crossed pixels depend on objects whose silhouettes cross them, by the silhouettes' motion: pipeline/
silhouette_rows.py, over the entries, and the pieces of edges, of all tiles.
"""

import taichi as ti

from kernels.cameras.pinhole import pinhole_direction
from kernels.numbers import partial_of
from kernels.numbers.traced import Traced, element, keep
from kernels.pipeline.crossed import layout as at
from kernels.pipeline.crossed.mix import jump_of
from kernels.pipeline.crossings import KIND_NODES, NODES
from kernels.pipeline.edges import PIECE_NODES
from kernels.pipeline.normal_equations import Accumulators
from kernels.pipeline.rows import CAMERA_SLOTS
from kernels.pipeline.silhouette_rows import camera_of, load_edge, load_plane, load_sphere

# Nodes of an entry by its kind.
ENTRY_NODES = (*KIND_NODES, KIND_NODES[0])
SMOOTH_SLOTS, EDGE_SLOTS = 4, 6


def move_entries(target, camera):
    """Rows of the visible entries of spheres and planes among [begin, end): partial by slot k of channel c at (c *
    planes + k) * capacity + e; the camera's slots last, those that do not exist are left alone.
    """
    scalars, indices = target.scalars, target.indices
    total = SMOOTH_SLOTS + (CAMERA_SLOTS if camera else 0)

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
        channels: ti.i32,
        planes_of_row: ti.i32,
        entry_capacity: ti.i32,
        spheres: scalars,
        planes: scalars,
        entries: indices,
        crossings: scalars,
        partials: scalars,
        mixes: scalars,
        rows: scalars,
    ):
        ti.loop_config(serialize=target.serial)
        for e in range(begin, end):
            if e < entry_capacity:
                kind = entries[at.ENTRY_KIND * entry_capacity + e]
                if kind >= 0 and kind <= at.KIND_HORIZON and entries[at.ENTRY_ACTIVE * entry_capacity + e] != 0:
                    owner = entries[at.ENTRY_OWNER * entry_capacity + e]
                    pixel = entries[at.ENTRY_PIXEL * entry_capacity + e]
                    x = ti.cast(at.column_of(pixel, tiles_x), ti.f32)
                    y = ti.cast(at.row_of(pixel, tiles_x), ti.f32)
                    nodes = 0
                    for k in ti.static(range(len(ENTRY_NODES))):
                        if kind == k:
                            nodes = ENTRY_NODES[k]
                    for c in range(channels):
                        jump = jump_of(c, entry_capacity, e, planes_of_row + 3, crossings, partials, mixes)
                        row = Accumulators(target, total)
                        for k in range(nodes):
                            first = (NODES + 3 * k) * entry_capacity + e
                            if kind == at.KIND_HORIZON:
                                add(
                                    load_plane,
                                    planes,
                                    owner - sphere_count,
                                    (x, y),
                                    (fx, fy, cx, cy),
                                    crossings,
                                    first,
                                    entry_capacity,
                                    jump,
                                    row,
                                )
                            else:
                                add(
                                    load_sphere,
                                    spheres,
                                    owner,
                                    (x, y),
                                    (fx, fy, cx, cy),
                                    crossings,
                                    first,
                                    entry_capacity,
                                    jump,
                                    row,
                                )
                        put(row, rows, c, planes_of_row, entry_capacity, e)

    def add(load, table, k, pixel, intrinsics, crossings, first, capacity, jump, row):
        add_node(load(target, table, [k]), pixel, intrinsics, crossings, first, capacity, jump, row)

    add_node, put = _accumulation(target, SMOOTH_SLOTS, camera)
    return kernel


def move_pieces(target, free, camera):
    """The same of the pieces [begin, end) that belong to visible entries of one mesh which theta moves: its motion, or
    of free vertices the six coordinates of the edge's ends; and the pieces' blocks. `components` and `edge_numbers` are
    those of all meshes.
    """
    scalars, indices = target.scalars, target.indices
    total = EDGE_SLOTS + (CAMERA_SLOTS if camera else 0)

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        tiles_x: ti.i32,
        mesh: ti.i32,
        first_id: ti.i32,
        fx: ti.f32,
        fy: ti.f32,
        cx: ti.f32,
        cy: ti.f32,
        pivot_x: ti.f32,
        pivot_y: ti.f32,
        pivot_z: ti.f32,
        channels: ti.i32,
        planes_of_row: ti.i32,
        entry_capacity: ti.i32,
        piece_capacity: ti.i32,
        edge_stride: ti.i32,
        face_stride: ti.i32,
        vertex_stride: ti.i32,
        components: scalars,
        edge_numbers: indices,
        faces: indices,
        vertices_camera: scalars,
        entries: indices,
        crossings: scalars,
        partials: scalars,
        mixes: scalars,
        piece_numbers: indices,
        pieces: scalars,
        piece_rows: scalars,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            if i < piece_capacity:
                e = piece_numbers[at.PIECE_ENTRY * piece_capacity + i]
                if e >= 0:  # noqa: SIM102
                    if (
                        entries[at.ENTRY_MESH * entry_capacity + e] == mesh
                        and entries[at.ENTRY_ACTIVE * entry_capacity + e] != 0
                    ):
                        pixel = piece_numbers[at.PIECE_PIXEL * piece_capacity + i]
                        edge = piece_numbers[at.PIECE_EDGE * piece_capacity + i]
                        block = first_id
                        corner = -1
                        if ti.static(free):
                            half_edge = edge_numbers[at.EDGE_HALF_EDGE * edge_stride + edge]
                            block = first_id + half_edge // 3
                            corner = half_edge % 3
                        piece_numbers[at.PIECE_BLOCK * piece_capacity + i] = block
                        piece_numbers[at.PIECE_CORNER * piece_capacity + i] = corner
                        x = ti.cast(at.column_of(pixel, tiles_x), ti.f32)
                        y = ti.cast(at.row_of(pixel, tiles_x), ti.f32)
                        for c in range(channels):
                            jump = jump_of(c, entry_capacity, e, planes_of_row + 3, crossings, partials, mixes)
                            row = Accumulators(target, total)
                            add(
                                edge,
                                (components, edge_stride, edge_numbers),
                                (faces, face_stride),
                                (vertices_camera, vertex_stride),
                                (pivot_x, pivot_y, pivot_z),
                                (x, y),
                                (fx, fy, cx, cy),
                                pieces,
                                piece_capacity,
                                i,
                                jump,
                                row,
                            )
                            put(row, piece_rows, c, total, piece_capacity, i)

    def add(edge, edges, faces, vertices, pivot, pixel, intrinsics, pieces, capacity, i, jump, row):
        q_of = load_edge(target, free, [edge], edges, faces, vertices, pivot)
        for k in range(2):
            first = keep((PIECE_NODES + 3 * k) * capacity + i)
            add_node(q_of, pixel, intrinsics, pieces, first, capacity, jump, row)

    add_node, put = _accumulation(target, EDGE_SLOTS, camera)
    return kernel


def _accumulation(target, slots, camera):
    """The functions that add a node to a row, and write the row."""
    total = slots + (CAMERA_SLOTS if camera else 0)

    def add_node(q_of, pixel, intrinsics, nodes, first, capacity, jump, row):
        x, y, weight = (Traced(element(nodes, first + component * capacity)) for component in range(3))
        u, v = (Traced(p) + offset for p, offset in zip(pixel, (x, y), strict=True))
        q = q_of(pinhole_direction(u, v, *camera_of(intrinsics, slots, camera)))
        constant, by_x, by_y = (Traced(j) for j in jump)
        factor = weight * (constant + by_x * x + by_y * y)
        for k in range(total):
            row[k]._assign(row[k] + (partial_of(q, k) * factor).expression)

    def put(row, rows, c, planes, capacity, i):
        for k in range(total):
            plane = k if k < slots else planes - (total - k)
            element(rows, (c * planes + plane) * capacity + i)._assign(row[k])

    return add_node, put
