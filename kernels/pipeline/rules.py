"""Boundary rules: the value of a crossed pixel from its two sides, and how it depends on them.

Channel c of number i at c * stride + i. The rule's own derivative, by area, f_in and f_out, is found by AD, so that a
rule is nothing but the function of its value (kernels/silhouettes/rules.py).
"""

import taichi as ti

from kernels.numbers import partial_of, seed, value_of
from kernels.numbers.traced import element
from kernels.silhouettes.rules import Boundary


def rules(target, rule):
    """One kernel per named rule."""
    numbers = target.numbers

    @ti.kernel
    def kernel(
        begin: ti.i32,
        end: ti.i32,
        channels: ti.i32,
        stride: ti.i32,
        area: numbers,
        inside: numbers,
        outside: numbers,
        values: numbers,
        by_area: numbers,
        by_inside: numbers,
        by_outside: numbers,
    ):
        ti.loop_config(serialize=target.serial)
        for i in range(begin, end):
            for c in range(channels):
                j = c * stride + i
                run(area[i], inside[j], outside[j], (values, by_area, by_inside, by_outside), j)

    def run(area, inside, outside, results, j):
        values = apply_rule(rule, *(target.packet(x) for x in (area, inside, outside)))
        for result, number in zip(results, values, strict=True):
            if isinstance(number, float):
                number = target.packet(target.splat(number))
            element(result, j)._assign(number.expression)

    return kernel


def apply_rule(rule, area, inside, outside):
    """A rule's value and its derivatives by area, inside and outside; those that are constant are floats."""
    seeds = [seed(x, name) for x, name in ((area, "area"), (inside, "inside"), (outside, "outside"))]
    area, inside, outside = seeds
    shown = rule(Boundary(inside, outside, area))
    return [value_of(shown)] + [partial_of(shown, name) for name in ("area", "inside", "outside")]
