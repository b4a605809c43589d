"""Sums of products of planes, on a GPU: what the normal equations of a compiled model are made of, from its rows.

Planes are taken SIDE by SIDE at a time: a block of their products is what a thread keeps in registers, for its share of
the items; neighbours read what lies side by side. Then RUN shares at a time are added (`run_sums`), and the host adds
what is left, in float64. In single precision few numbers are added up before they join others.
"""

import taichi as ti

from kernels.pipeline.normal_equations import Accumulators

SIDE = 4
# Numbers that are added up before they join others.
RUN = 32
# Of a block in `blocks`: SIDE planes, SIDE planes, and that of their weights.
PLANE_BLOCK = 2 * SIDE + 1


def plane_products(target):
    """sums[((block * SIDE + a) * SIDE + b) * n + share]: sum of w x_a x_b over every n-th item from `share` on, with
    n = 2^share_bits; [begin, end) are block * n + share.

    `planes` and `weights` are `stride` apart. Where a weight is 0 the planes are not looked at.
    """
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        items: ti.i32,
        stride: ti.i32,
        share_bits: ti.i32,
        blocks: indices,
        planes: scalars,
        weights: scalars,
        sums: scalars,
    ):
        for i in range(begin, end):
            first = (i >> share_bits) * PLANE_BLOCK
            share = i & ((1 << share_bits) - 1)
            places = [blocks[first + k] * stride for k in ti.static(range(PLANE_BLOCK))]
            totals = Accumulators(target, SIDE * SIDE)
            count = (items - share + (1 << share_bits) - 1) >> share_bits
            for run in range((count + RUN - 1) // RUN):
                some = Accumulators(target, SIDE * SIDE)
                for turn in range(run * RUN, ti.min((run + 1) * RUN, count)):
                    item = (turn << share_bits) + share
                    weight = weights[places[2 * SIDE] + item]
                    if weight != 0.0:
                        left = [weight * planes[places[a] + item] for a in ti.static(range(SIDE))]
                        right = [planes[places[SIDE + b] + item] for b in ti.static(range(SIDE))]
                        for a in ti.static(range(SIDE)):
                            for b in ti.static(range(SIDE)):
                                some[SIDE * a + b] += left[a] * right[b]
                for k in ti.static(range(SIDE * SIDE)):
                    totals[k] += some[k]
            for k in ti.static(range(SIDE * SIDE)):
                sums[(((i >> share_bits) * SIDE * SIDE + k) << share_bits) + share] = totals[k]

    return kernel


def run_sums(target):
    """sums[i] = the sum of the i-th RUN of `numbers`."""
    scalars = target.scalars

    @ti.kernel
    def kernel(begin: ti.i32, end: ti.i32, numbers: scalars, sums: scalars):
        for i in range(begin, end):
            total = 0.0
            for k in range(RUN):
                total += numbers[i * RUN + k]
            sums[i] = total

    return kernel
