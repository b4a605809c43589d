"""What stands before and behind a launch of a user's model, on a GPU: a boundary rule's results, a loss's numbers.

A model's code writes planes: its value, and its partials by those of its numbers on which it depends. On the CPU that
is done in C++: cpp/src/renderer/silhouette_sides.cpp, cpp/src/module/loss_model.cpp.
"""

import taichi as ti

from kernels.pipeline.crossed import layout as at
from kernels.pipeline.crossed.mix import BY_AREA, BY_INSIDE, BY_OUTSIDE, MIX_COMPONENTS, VALUE
from kernels.pipeline.residuals import LARGEST_FINITE


def rule_results(target):
    """Entries [begin, end) of which the rule is number `rule`: planes of `results`, for one channel, become `mixes`.

    by_area, by_inside, by_outside: their planes, or -1. Where one is no finite number the rule has no value, `nothing`.
    """
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        rule: ti.i32,
        channel: ti.i32,
        by_area: ti.i32,
        by_inside: ti.i32,
        by_outside: ti.i32,
        entry_capacity: ti.i32,
        nothing: ti.f32,
        entries: indices,
        results: scalars,
        mixes: scalars,
    ):
        for e in range(begin, end):
            n = entry_capacity
            if e < n and entries[at.ENTRY_RULE * n + e] == rule:
                value = results[e]
                area = 0.0
                inside = 0.0
                outside = 0.0
                if by_area >= 0:
                    area = results[by_area * n + e]
                if by_inside >= 0:
                    inside = results[by_inside * n + e]
                # What is behind may be nothing, which does not move.
                if by_outside >= 0 and entries[(at.ENTRY_SAMPLE + 1) * n + e] >= 0:
                    outside = results[by_outside * n + e]
                if not (is_finite(value) and is_finite(area) and is_finite(inside) and is_finite(outside)):
                    value = nothing
                    area = 0.0
                    inside = 0.0
                    outside = 0.0
                first = MIX_COMPONENTS * channel
                mixes[(first + VALUE) * n + e] = value
                mixes[(first + BY_AREA) * n + e] = area
                mixes[(first + BY_INSIDE) * n + e] = inside
                mixes[(first + BY_OUTSIDE) * n + e] = outside

    return kernel


def loss_squares(target):
    """squares = residual^2."""
    scalars = target.scalars

    @ti.kernel
    def kernel(begin: ti.i32, end: ti.i32, residual: scalars, squares: scalars):
        for p in range(begin, end):
            squares[p] = residual[p] * residual[p]

    return kernel


def loss_results(target):
    """What least squares have left, w r^2 and w, become w rho and w rho'. `slope`: the plane of rho', or -1."""
    scalars = target.scalars

    @ti.kernel
    def kernel(
        begin: ti.i32, end: ti.i32, stride: ti.i32, slope: ti.i32, results: scalars, weight: scalars, costs: scalars
    ):
        for p in range(begin, end):
            if costs[p] >= 0.0:
                w = weight[p]
                rho = results[p]
                by_square = 0.0
                if slope >= 0:
                    by_square = results[slope * stride + p]
                # Rounding may leave a little less than 0. NaN stays.
                costs[p] = ti.select(rho < 0.0, 0.0, w * rho)
                weight[p] = ti.select(by_square < 0.0, 0.0, w * by_square)

    return kernel


@ti.func
def is_finite(x):
    return x <= LARGEST_FINITE and x >= -LARGEST_FINITE
