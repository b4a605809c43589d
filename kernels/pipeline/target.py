"""What a kernel is traced for: the architecture, the lanes of a number, and the array types that follow from them.

A kernel that works on tiles is one text for all machines. It loops over the steps of its tiles: on the CPU a step is a
tile, whose rows and numbers are inner loops; on a GPU it is a pixel, and those loops have one turn:

    for step in range(begin, end):
        tile = target.tile(step)
        for row in range(target.first_row(step), target.end_row(step)):
            for q in range(target.first_across(step), target.end_across(step)):

So `begin` and `end` count steps: the first tile starts with step `begin = tile * target.steps`.
"""

from dataclasses import dataclass
from functools import cached_property

import taichi as ti

from kernels.numbers.traced import Traced, element, keep, packet_type, splat

TILE = 16
TILE_BITS = TILE.bit_length() - 1
# Numbers that lie side by side in a table and are fetched at once.
ROW = 4
# Pixels of a tile: what a GPU's loops over tiles count.
STEPS = TILE * TILE


@dataclass(frozen=True)
class Target:
    """Architecture ("x64", "cuda", "vulkan") and lanes per number: 8 or 16 for packets, 1 for scalars."""

    arch: str
    lanes: int

    @property
    def serial(self):
        """On the CPU a kernel is a serial loop over [begin, end); the runtime splits the range. On a GPU each index
        is a thread.
        """
        return self.arch == "x64"

    @property
    def steps(self):
        """Steps of a tile: what an index of a loop over tiles stands for."""
        return 1 if self.serial else STEPS

    @property
    def run(self):
        """Numbers in a step."""
        return self.block // self.steps

    def tile(self, step):
        """The tile of a step."""
        return step if self.serial else step >> 2 * TILE_BITS

    def first_row(self, step):
        """The step's first row in its tile."""
        return 0 if self.serial else (step >> TILE_BITS) & (TILE - 1)

    def end_row(self, step):
        """One beyond the step's last row."""
        return TILE if self.serial else self.first_row(step) + 1

    def first_across(self, step):
        """The first of the step's numbers in a row."""
        return 0 if self.serial else step & (TILE - 1)

    def end_across(self, step):
        """One beyond the last of the step's numbers in a row."""
        return self.across if self.serial else self.first_across(step) + 1

    @property
    def across(self):
        """Numbers in one row of a tile."""
        return TILE // self.lanes

    @property
    def block(self):
        """Numbers in a tile."""
        return TILE * self.across

    @cached_property
    def numbers(self):
        """Array of numbers: packets where there are packets."""
        return ti.types.ndarray(dtype=packet_type(self.lanes), ndim=1)

    @cached_property
    def integers(self):
        """Array of whole numbers, as wide as `numbers`."""
        return ti.types.ndarray(dtype=packet_type(self.lanes, ti.i32), ndim=1)

    @cached_property
    def scalars(self):
        """Array of float32."""
        return ti.types.ndarray(dtype=ti.f32, ndim=1)

    @cached_property
    def rows(self):
        """Array of float32 that holds `ROW` or twice as many in a row: packets fetch `ROW` at a time."""
        return ti.types.ndarray(dtype=packet_type(ROW), ndim=1) if self.lanes > 1 else self.scalars

    @cached_property
    def indices(self):
        """Array of int32."""
        return ti.types.ndarray(dtype=ti.i32, ndim=1)

    def packet(self, expression):
        """A number of this target, ready for arithmetic."""
        return Traced(expression, self.lanes)

    def splat(self, expression, dtype=ti.f32):
        """A scalar in every lane, as a Taichi expression."""
        return splat(expression, self.lanes, dtype)

    def lane_numbers(self):
        """0, 1, 2, ... across the lanes."""
        return packet_type(self.lanes)([float(k) for k in range(self.lanes)]) if self.lanes > 1 else 0.0

    def lanes_of(self, expression):
        """The lanes of a packet as scalars."""
        return [keep(element(expression, k)) for k in range(self.lanes)] if self.lanes > 1 else [expression]

    def gather(self, array, indices):
        """array[index] of each lane, as a number."""
        return self.scalars_to_number([element(array, index) for index in indices])

    def gather_row(self, array, indices, length, count):
        """The first `count` numbers of each lane's row, rows of `length` float32 in an array of `rows`."""
        if self.lanes == 1:
            return [self.packet(element(array, indices[0] * length + c)) for c in range(count)]
        numbers = []
        for part in range(0, count, ROW):
            pieces = [keep(element(array, k * (length // ROW) + part // ROW)) for k in indices]
            numbers += [
                self.scalars_to_number([element(piece, c) for piece in pieces]) for c in range(min(ROW, count - part))
            ]
        return numbers

    def scalars_to_number(self, values):
        """One scalar for each lane, as a number."""
        return self.packet(packet_type(self.lanes)(values) if self.lanes > 1 else values[0])

    def gather_integers(self, array, indices):
        """array[index] of each lane, as scalars."""
        return [keep(element(array, index)) for index in indices]

    def sum_lanes(self, expression):
        """Sum over the lanes, always in the same order: pairs, then pairs of pairs."""
        values = self.lanes_of(expression)
        while len(values) > 1:
            values = [keep(a + b) for a, b in zip(values[::2], values[1::2], strict=True)]
        return values[0]

    def sums_of_lanes(self, expressions):
        """`sum_lanes` of several numbers: two at a time become one number with the sums of pairs of their lanes."""
        if self.lanes == 1:
            return list(expressions)
        results = []
        for first in range(0, len(expressions), self.lanes):
            numbers = [keep(e) for e in expressions[first : first + self.lanes]]
            count = len(numbers)
            width = self.lanes
            while width > 1:
                if len(numbers) % 2:
                    numbers.append(numbers[-1])
                numbers = [self._sums_of_pairs(a, b) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
                width //= 2
            results += [keep(element(numbers[0], k)) for k in range(count)]
        return results

    def _sums_of_pairs(self, a, b):
        """Lanes 0 + 1, 2 + 3, ... of a, then those of b."""
        even, odd = (
            packet_type(self.lanes)([element(number, k) for number in (a, b) for k in range(start, self.lanes, 2)])
            for start in (0, 1)
        )
        return keep(keep(even) + keep(odd))


def pixel_x(target, tile, tiles_x, q):
    """Column [px] of each lane of the q-th number in a tile's row."""
    return keep(target.lane_numbers() + ti.cast((tile % tiles_x) * TILE + q * target.lanes, ti.f32))


def pixel_y(tile, tiles_x, row):
    """Row [px] of a tile's row."""
    return keep(ti.cast((tile // tiles_x) * TILE + row, ti.f32))
