"""`residuals` and `background_residuals` of tiles that lie within the image, of one channel without weights: what was
observed is read where it lies. On the CPU.

In most tiles every pixel has a residual of ordinary size, and little is to be done for each. The sum of all squares
says whether that is so: it is a number, and no larger than LARGEST^2. Else the tile is done once more, with care for
each pixel, and so are those after it until every pixel of one has a residual: where a sensor found nothing it mostly
found nothing beside it either.
"""

import taichi as ti

from kernels.losses import least_squares
from kernels.numbers import maximum, minimum, where
from kernels.numbers.traced import Traced, element, keep
from kernels.pipeline.residuals import LARGEST, is_finite
from kernels.pipeline.target import STEPS, TILE


@ti.data_oriented
class Totals:
    """Sums inside a kernel of terms of which some may be the same."""

    def __init__(self, target, count):
        self.target, self.sums, self.places = target, [keep(target.splat(0.0)) for _ in range(count)], range(count)

    def add(self, terms):
        """One term to each."""
        self.places = [next(j for j, other in enumerate(terms) if other is term) for term in terms]
        for k in sorted(set(self.places)):
            self.sums[k]._assign(self.sums[k] + terms[k].expression)

    def over_lanes(self):
        """The sums as scalars."""
        distinct = sorted(set(self.places))
        found = self.target.sums_of_lanes([self.sums[k] for k in distinct])
        return [found[distinct.index(k)] for k in self.places]


class Pixels:
    """What both kernels do, once `care` is chosen."""

    def __init__(self, target, loss):
        self.target, self.loss = target, loss

    def begin(self, first, tile, sums):
        """Whether care is to be taken from the start: 1 or 0."""
        count = element(sums, 3 * ti.max(tile - 1, first) + 1)  # of the tile before
        return keep(ti.cast((tile > first) & (count < STEPS), ti.i32))

    def seen(self, observed, pixel):
        """The number that starts with a pixel of the image."""
        return self.target.scalars_to_number([keep(element(observed, pixel + k)) for k in range(self.target.lanes)])

    def add(self, care, totals, shown, seen, place, results, scale, alpha):
        """Results are residual, weight and cost, or the cost alone."""
        r = shown - seen
        if care:
            valid = (r * r >= 0.0) & is_finite(seen)
            r = where(valid, maximum(minimum(r, LARGEST), -LARGEST), 0.0)
        square = r * r
        cost, weight = self.loss(square, Traced(scale), Traced(alpha))
        if self.loss is least_squares:
            weight = 1.0  # so that there is but one sum
        totals.add((cost, where(valid, 1.0, 0.0) if care else square, weight * square))
        if care:
            cost, weight = where(valid, cost, -1.0), where(valid, weight, 0.0)
        values = (r, self.target.packet(self.target.splat(weight)) if isinstance(weight, float) else weight, cost)
        for result, value in zip(results, values[-len(results) :], strict=True):
            element(result, place)._assign(value.expression)

    def finish(self, care, totals, sums, tile):
        """Stores the sums. Returns whether that has to be done again, with care."""
        cost, number, squares = totals.over_lanes()
        for k, total in enumerate((keep(0.5 * cost), number if care else float(STEPS), squares)):
            element(sums, 3 * tile + k)._assign(total)
        return 0 if care else keep(1 - ti.cast(number <= LARGEST * LARGEST, ti.i32))


def residuals_dense(target, loss):
    """`observed` is the image from the first pixel of tile `first_tile` on, with rows side by side, `stride` apart."""
    numbers, scalars = target.numbers, target.scalars
    pixels = Pixels(target, loss)

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        first_tile: ti.i32,
        stride: ti.i32,
        scale: ti.f32,
        alpha: ti.f32,
        rendered: numbers,
        observed: scalars,
        residual: numbers,
        weight: numbers,
        costs: numbers,
        sums: scalars,
    ):
        ti.loop_config(serialize=True)
        for tile in range(begin, end):
            careful = pixels.begin(begin, tile, sums)
            for care in ti.static((0, 1)):
                if careful == care:
                    totals = Totals(target, 3)
                    for row in range(TILE):
                        for q in ti.static(range(target.across)):
                            p = ((tile - first_tile) * TILE + row) * target.across + q
                            seen = pixels.seen(observed, (tile - first_tile) * TILE + row * stride + q * target.lanes)
                            shown = target.packet(rendered[p])
                            pixels.add(care, totals, shown, seen, p, (residual, weight, costs), scale, alpha)
                    careful = pixels.finish(care, totals, sums, tile)

    return kernel


def background_residuals_dense(target, loss):
    """The same of tiles that see nothing and show `background`, of which nobody needs more than the costs."""
    numbers, scalars = target.numbers, target.scalars
    pixels = Pixels(target, loss)

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        first_tile: ti.i32,
        stride: ti.i32,
        scale: ti.f32,
        alpha: ti.f32,
        background: ti.f32,
        observed: scalars,
        costs: numbers,
        sums: scalars,
    ):
        ti.loop_config(serialize=True)
        for tile in range(begin, end):
            careful = pixels.begin(begin, tile, sums)
            for care in ti.static((0, 1)):
                if careful == care:
                    totals = Totals(target, 3)
                    shown = target.packet(target.splat(background))
                    for row in range(TILE):
                        for q in ti.static(range(target.across)):
                            p = ((tile - first_tile) * TILE + row) * target.across + q
                            seen = pixels.seen(observed, (tile - first_tile) * TILE + row * stride + q * target.lanes)
                            pixels.add(care, totals, shown, seen, p, (costs,), scale, alpha)
                    careful = pixels.finish(care, totals, sums, tile)

    return kernel
