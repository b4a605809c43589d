"""What is shown on both sides of silhouettes: pipeline/samples.py, over the entries of all tiles."""

import taichi as ti

from kernels.numbers.traced import element
from kernels.pipeline.crossed import layout as at
from kernels.pipeline.crossings import INNER, INSIDE, SPREAD
from kernels.pipeline.samples import sampler
from kernels.pipeline.surfaces import Tables


def sample_sides(target, output, surface, camera, seeded):
    """Both samples of entries [begin, end) that see a primitive with an id in [first_id, first_id + count).

    Samples lie two sides of `entry_capacity` numbers after each other; `channel` is the output's first, `slots` are
    those of a sample's partials, three of the image point and the spread among them.
    """
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        fx: ti.f32,
        fy: ti.f32,
        cx: ti.f32,
        cy: ti.f32,
        pivot_x: ti.f32,
        pivot_y: ti.f32,
        pivot_z: ti.f32,
        channel: ti.i32,
        slots: ti.i32,
        entry_capacity: ti.i32,
        first_id: ti.i32,
        count: ti.i32,
        stride: ti.i32,
        vertex_stride: ti.i32,
        table: scalars,
        faces: indices,
        vertices_camera: scalars,
        entries: indices,
        crossings: scalars,
        reference: scalars,
        samples: scalars,
        partials: scalars,
    ):
        ti.loop_config(serialize=target.serial)
        for e in range(begin, end):
            if e < entry_capacity and entries[at.ENTRY_KIND * entry_capacity + e] >= 0:
                for side in range(2):
                    seen = entries[(at.ENTRY_SAMPLE + side) * entry_capacity + e]
                    if seen >= first_id and seen < first_id + count:
                        spread = 1.0
                        if side == 0:
                            spread = crossings[SPREAD * entry_capacity + e]
                        run(
                            side * entry_capacity + e,
                            point(crossings, INSIDE + 2 * side, entry_capacity, e),
                            point(crossings, INNER + 2 * side, entry_capacity, e),
                            reference[side * entry_capacity + e],
                            spread,
                            seen,
                            (fx, fy, cx, cy),
                            (first_id, count),
                            Tables(table, stride, faces, vertices_camera, vertex_stride, (pivot_x, pivot_y, pivot_z)),
                            (samples, partials),
                            (channel, slots, 2 * entry_capacity),
                        )

    def point(crossings, component, capacity, e):
        return tuple(element(crossings, (component + axis) * capacity + e) for axis in range(2))

    run = sampler(target, output, surface, camera, seeded)
    return kernel
