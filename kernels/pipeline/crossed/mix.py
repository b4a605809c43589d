"""What crossed pixels show: their entries, mixed by the rules.

One entry in a pixel: the pixel shows the rule's value. Several: centre + sum (value - near), near being what an entry
has on the side of the pixel's centre, kept within the range of all that is mixed. Against a background without a value,
NaN, there is nothing to mix, nor in a pixel whose centre sees no value.
"""

import taichi as ti

from kernels.numbers.traced import element
from kernels.pipeline.crossed import layout as at
from kernels.pipeline.crossings import AREA, CENTRE, LEAST_AREA, MOMENT, SPREAD_SLOPE
from kernels.pipeline.edges import AS_NEAR
from kernels.pipeline.rules import apply_rule
from kernels.silhouettes.rules import RULES

# Of an entry and channel: the rule's value, and its derivatives by the area and by what is shown inside and outside.
VALUE, BY_AREA, BY_INSIDE, BY_OUTSIDE, MIX_COMPONENTS = range(5)
# A sum this little beyond the range, relative to its ends, is within it.
ROUNDING = 1e-6


def mix_pixels(target):
    """Crossed pixels [begin, end): their channels in the blocks of `rendered`, the derivatives of each entry's part in
    `mixes` (component k of channel c at (MIX_COMPONENTS c + k) * capacity + e), and which channels no longer depend on
    what the centre sees.
    """
    scalars, indices = target.scalars, target.indices

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        channels: ti.i32,
        crossed_capacity: ti.i32,
        entry_capacity: ti.i32,
        backgrounds: scalars,
        crossings: scalars,
        entries: indices,
        samples: scalars,
        mixes: scalars,
        rendered: scalars,
        crossed: indices,
    ):
        ti.loop_config(serialize=target.serial)
        for j in range(begin, end):
            if j < crossed_capacity:
                n = entry_capacity
                pixel = crossed[at.CROSSED_PIXEL * crossed_capacity + j]
                first = crossed[at.CROSSED_FIRST_ENTRY * crossed_capacity + j]
                last = first + crossed[at.CROSSED_ENTRIES * crossed_capacity + j]
                tile = pixel // at.TILE_PIXELS
                dropped = 0
                for c in range(channels):
                    place = (tile * channels + c) * at.TILE_PIXELS + pixel % at.TILE_PIXELS
                    shown = rendered[place]
                    valued = shown * shown >= 0.0
                    against = backgrounds[c] * backgrounds[c] >= 0.0
                    count = 0
                    only = 0.0
                    total = shown
                    low = shown
                    high = shown
                    for e in range(first, last):
                        inside = samples[2 * c * n + e]
                        outside = samples[(2 * c + 1) * n + e]
                        there = valued and (against or entries[(at.ENTRY_SAMPLE + 1) * n + e] >= 0)
                        if there and entries[at.ENTRY_ACTIVE * n + e] != 0:
                            rule(
                                entries[at.ENTRY_RULE * n + e],
                                crossings[AREA * n + e],
                                inside,
                                outside,
                                mixes,
                                c,
                                n,
                                e,
                            )
                            only = mixes[(at_mix(c, VALUE)) * n + e]
                            count += 1
                            total += only - ti.select(
                                centre_inside(crossings, entries, n, e, shown, inside, outside), inside, outside
                            )
                            low = ti.min(low, ti.min(inside, outside))
                            high = ti.max(high, ti.max(inside, outside))
                        else:
                            silence(mixes, c, n, e)
                    slack = ROUNDING * ti.max(-low, high)
                    if count == 1:
                        rendered[place] = only
                        dropped |= 1 << c
                    elif count > 1 and not total * total >= 0.0:
                        # A rule has no value.
                        for e in range(first, last):
                            silence(mixes, c, n, e)
                        rendered[place] = total
                        dropped |= 1 << c
                    elif count > 1 and total >= low - slack and total <= high + slack:
                        rendered[place] = ti.max(low, ti.min(total, high))
                        for e in range(first, last):
                            there = against or entries[(at.ENTRY_SAMPLE + 1) * n + e] >= 0
                            if there and entries[at.ENTRY_ACTIVE * n + e] != 0:
                                inside = samples[2 * c * n + e]
                                outside = samples[(2 * c + 1) * n + e]
                                on_side = centre_inside(crossings, entries, n, e, shown, inside, outside)
                                near = at_mix(c, ti.select(on_side, BY_INSIDE, BY_OUTSIDE))
                                mixes[near * n + e] = mixes[near * n + e] - 1.0
                    elif count > 1:
                        # Beyond all that is mixed: the bound, and its derivative.
                        bound = ti.select(total < low, low, high)
                        found = shown == bound
                        if not found:
                            dropped |= 1 << c
                        for e in range(first, last):
                            silence(mixes, c, n, e)
                            there = against or entries[(at.ENTRY_SAMPLE + 1) * n + e] >= 0
                            if there and entries[at.ENTRY_ACTIVE * n + e] != 0:
                                if not found and samples[2 * c * n + e] == bound:
                                    found = True
                                    mixes[at_mix(c, BY_INSIDE) * n + e] = 1.0
                                if not found and samples[(2 * c + 1) * n + e] == bound:
                                    found = True
                                    mixes[at_mix(c, BY_OUTSIDE) * n + e] = 1.0
                        rendered[place] = bound
                crossed[at.CROSSED_DROPPED * crossed_capacity + j] = dropped

    @ti.func
    def rule(which, area, inside, outside, mixes: ti.template(), c, capacity, e):
        for r in ti.static(range(len(RULES))):
            if which == r:
                put(r, area, inside, outside, mixes, c, capacity, e)

    def put(r, area, inside, outside, mixes, c, capacity, e):
        values = apply_rule(RULES[r], *(target.packet(x) for x in (area, inside, outside)))
        for k, value in enumerate(values):
            if isinstance(value, float):
                value = target.packet(target.splat(value))
            element(mixes, (MIX_COMPONENTS * c + k) * capacity + e)._assign(value.expression)

    return kernel


@ti.func
def centre_inside(crossings: ti.template(), entries: ti.template(), capacity, e, shown, inside, outside):
    """Whether the pixel's centre, which shows `shown`, is on the covered side. So near to an edge of a mesh, the ray
    through the centre may find it on the other side.
    """
    centre = crossings[CENTRE * capacity + e]
    result = centre >= 0.0
    if ti.max(centre, -centre) < AS_NEAR and entries[at.ENTRY_KIND * capacity + e] == at.KIND_CHAIN:
        result = (shown - inside) * (shown - inside) <= (shown - outside) * (shown - outside)
    return result


@ti.func
def at_mix(c, k):
    """Which of the components of `mixes` is component k of channel c."""
    return MIX_COMPONENTS * c + k


@ti.func
def silence(mixes: ti.template(), c, capacity, e):
    """An entry that changes nothing."""
    for k in ti.static(range(MIX_COMPONENTS)):
        mixes[(MIX_COMPONENTS * c + k) * capacity + e] = 0.0


@ti.func
def jump_of(c, capacity, e, slots, crossings: ti.template(), samples_partials: ti.template(), mixes: ti.template()):
    """The jump along an entry's silhouette, linear in x and y: (constant, by x, by y).

    The row of an entry is by_area d(area) + by_inside (d f_in + grad f_in . d u_in + ...) + by_outside (...), with the
    centroids u_in = moment / area and u_out = -moment / (1 - area). All that moves with the silhouette is a boundary
    integral of this.
    """
    n = capacity
    area = crossings[AREA * n + e]
    rest = 1.0 - area
    moment_x = crossings[MOMENT * n + e]
    moment_y = crossings[(MOMENT + 1) * n + e]
    by_inside = mixes[at_mix(c, BY_INSIDE) * n + e]
    inside = ti.select(area > LEAST_AREA, by_inside / ti.max(area, LEAST_AREA), 0.0)
    outside = ti.select(rest > LEAST_AREA, mixes[at_mix(c, BY_OUTSIDE) * n + e] / ti.max(rest, LEAST_AREA), 0.0)
    point = 2 * (c * slots + slots - 3)
    in_x = inside * samples_partials[point * n + e]
    in_y = inside * samples_partials[(point + 2) * n + e]
    out_x = outside * samples_partials[(point + 1) * n + e]
    out_y = outside * samples_partials[(point + 3) * n + e]
    constant = mixes[at_mix(c, BY_AREA) * n + e]
    constant += by_inside * samples_partials[(point + 4) * n + e] * crossings[SPREAD_SLOPE * n + e]
    if area > LEAST_AREA:
        constant -= (in_x * moment_x + in_y * moment_y) / area
    if rest > LEAST_AREA:
        constant -= (out_x * moment_x + out_y * moment_y) / rest
    return constant, in_x - out_x, in_y - out_y
