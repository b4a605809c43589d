"""Residuals of a tile: r = rendered - observed, its robust weight, its cost w rho(r^2), and sums over the tile.

Blocks hold `channels` planes of a tile. A pixel has no residual where the rendered or the observed value is NaN, the
observed one infinite, or its weight not positive: r and weight are 0 there, and its cost is -1. A tile that sees
nothing has `background_residuals`, of which nobody needs more than the costs.

On a GPU each pixel and channel of the blocks is a step of `residuals`; the sums are made from what it leaves behind, in
two turns: `row_sums` over the rows of the blocks, `tile_sums` over the rows of a tile. So their order is fixed.
"""

import taichi as ti

from kernels.numbers import maximum, minimum, where
from kernels.numbers.traced import Traced, element, keep
from kernels.pipeline.target import TILE

LARGEST_FINITE = 3.4028234663852886e38
# A residual beyond it, of which the square would overflow, counts as this large [units of the image].
LARGEST = 1e18

# Sums of a tile: 1/2 sum w rho(r^2), number of residuals, sum of w rho'(r^2) r^2.
SUMS = ("cost", "count", "weighted_squares")


def residuals(target, loss):
    """One kernel per robust loss."""
    numbers, scalars = target.numbers, target.scalars

    @ti.kernel
    def tiles(
        begin: ti.i32,
        end: ti.i32,
        first_tile: ti.i32,
        channels: ti.i32,
        scale: ti.f32,
        alpha: ti.f32,
        rendered: numbers,
        observed: numbers,
        weights: numbers,
        residual: numbers,
        weight: numbers,
        costs: numbers,
        sums: scalars,
    ):
        ti.loop_config(serialize=True)
        for tile in range(begin, end):
            cost = target.splat(0.0)
            count = target.splat(0.0)
            squares = target.splat(0.0)
            for p in range(
                (tile - first_tile) * target.block * channels, (tile - first_tile + 1) * target.block * channels
            ):
                add(p, (cost, count, squares), rendered, observed, weights, (residual, weight, costs), scale, alpha)
            store_sums(target, sums, 3 * tile, (cost, count, squares))

    @ti.kernel
    def pixels(
        begin: ti.i32,
        end: ti.i32,
        first_tile: ti.i32,
        channels: ti.i32,
        scale: ti.f32,
        alpha: ti.f32,
        rendered: numbers,
        observed: numbers,
        weights: numbers,
        residual: numbers,
        weight: numbers,
        costs: numbers,
        sums: scalars,
    ):
        for step in range(begin, end):
            p = step - first_tile * target.steps * channels
            add(p, (), rendered, observed, weights, (residual, weight, costs), scale, alpha)

    def add(p, sums, rendered, observed, weights, results, scale, alpha):
        shown, seen, given = (target.packet(element(a, p)) for a in (rendered, observed, weights))
        difference = shown - seen
        # |difference|^2 >= 0 is how a packet asks whether it is a number. On a GPU `load_observation` has seen to what
        # is not finite.
        valid = (difference * difference >= 0.0) & (given > 0.0)
        if target.serial:
            valid = valid & is_finite(seen)
        r = maximum(minimum(where(valid, difference, 0.0), LARGEST), -LARGEST)
        w = where(valid, given, 0.0)
        rho, slope = loss(r * r, Traced(scale), Traced(alpha))
        robust, cost = w * slope, w * rho
        for result, value in zip(results, (r, robust, where(valid, cost, -1.0)), strict=True):
            element(result, p)._assign(value.expression)
        if sums:
            add_terms(sums, cost, valid, robust * r * r)

    return tiles if target.serial else pixels


def background_residuals(target, loss):
    """The same for tiles that see nothing: `background` has what each channel shows there. On the CPU."""
    numbers, scalars = target.numbers, target.scalars

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        first_tile: ti.i32,
        channels: ti.i32,
        scale: ti.f32,
        alpha: ti.f32,
        background: scalars,
        observed: numbers,
        weights: numbers,
        costs: numbers,
        sums: scalars,
    ):
        ti.loop_config(serialize=True)
        for tile in range(begin, end):
            cost = target.splat(0.0)
            count = target.splat(0.0)
            squares = target.splat(0.0)
            for c in range(channels):
                first = ((tile - first_tile) * channels + c) * target.block
                if background[c] * background[c] >= 0.0:
                    shown = target.splat(background[c])
                    for p in range(first, first + target.block):
                        add(p, (cost, count, squares), shown, observed, weights, costs, scale, alpha)
                else:  # NaN
                    for p in range(first, first + target.block):
                        costs[p] = target.splat(-1.0)
            store_sums(target, sums, 3 * tile, (cost, count, squares))

    def add(p, sums, shown, observed, weights, costs, scale, alpha):
        seen, given = (target.packet(element(a, p)) for a in (observed, weights))
        difference = target.packet(shown) - seen
        valid = is_finite(seen) & (given > 0.0)
        square = where(valid, minimum(difference * difference, LARGEST * LARGEST), 0.0)
        w = where(valid, given, 0.0)
        rho, slope = loss(square, Traced(scale), Traced(alpha))
        cost = w * rho
        element(costs, p)._assign(where(valid, cost, -1.0).expression)
        add_terms(sums, cost, valid, w * slope * square)

    return kernel


def is_finite(x):
    """Neither NaN nor infinite: a comparison with NaN is false."""
    return (x <= LARGEST_FINITE) & (x >= -LARGEST_FINITE)


def add_terms(sums, cost, valid, squares):
    """Adds a number of pixels to the three sums."""
    for total, term in zip(sums, (cost, where(valid, 1.0, 0.0), squares), strict=True):
        total._assign(total + term.expression)


def store_sums(target, sums, first, totals):
    """The three sums of a tile, from those of each lane."""
    cost, count, squares = target.sums_of_lanes(totals)
    for k, total in enumerate((keep(0.5 * cost), count, squares)):
        element(sums, first + k)._assign(total)


def row_sums(target):
    """rows[3 row + s]: the sums over a row of a block, TILE pixels of one channel; [begin, end) are rows."""
    scalars = target.scalars

    @ti.kernel
    def kernel(begin: ti.i32, end: ti.i32, residual: scalars, weight: scalars, costs: scalars, rows: scalars):
        for row in range(begin, end):
            cost = 0.0
            count = 0.0
            squares = 0.0
            for p in range(row * TILE, (row + 1) * TILE):
                if costs[p] >= 0.0:
                    cost += costs[p]
                    count += 1.0
                squares += weight[p] * residual[p] * residual[p]
            rows[3 * row] = 0.5 * cost
            rows[3 * row + 1] = count
            rows[3 * row + 2] = squares

    return kernel


def tile_sums(target):
    """sums[3 tile + s] as in `residuals`: [begin, end) are its places, `rows` those of the `channels` of a tile."""
    scalars = target.scalars

    @ti.kernel
    def kernel(begin: ti.i32, end: ti.i32, channels: ti.i32, rows: scalars, sums: scalars):
        for i in range(begin, end):
            total = 0.0
            first = (i // 3) * TILE * channels
            for row in range(first, first + TILE * channels):
                total += rows[3 * row + i % 3]
            sums[i] = total

    return kernel


def shared_row_sums(target):
    """Costs of residuals that exist in both, by rows: rows[3 row + s] is the sum before, their number, and the sum of
    what they became less. The difference is what matters, and is small.
    """
    scalars = target.scalars

    @ti.kernel
    def kernel(begin: ti.i32, end: ti.i32, before: scalars, now: scalars, rows: scalars):
        for row in range(begin, end):
            cost = 0.0
            count = 0.0
            less = 0.0
            for p in range(row * TILE, (row + 1) * TILE):
                if before[p] >= 0.0 and now[p] >= 0.0:
                    cost += before[p]
                    count += 1.0
                    less += before[p] - now[p]
            rows[3 * row] = 0.5 * cost
            rows[3 * row + 1] = count
            rows[3 * row + 2] = 0.5 * less

    return kernel


def square_gradients(target):
    """weight = (weight residual)^2: what the scatter of the gradient sums in place of w rho'."""
    scalars = target.scalars

    @ti.kernel
    def kernel(begin: ti.i32, end: ti.i32, residual: scalars, weight: scalars):
        for p in range(begin, end):
            gradient = weight[p] * residual[p]
            weight[p] = gradient * gradient

    return kernel
