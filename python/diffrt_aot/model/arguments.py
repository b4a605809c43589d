"""What the arguments of a model are, said by their annotations.

    @model
    def sphere(pixel: Pixel, radius: Free, center: Free[3], focal: Constant, principal: Constant[2]): ...

    Pixel          the domain is an image: pixel.column, pixel.row
    Item           the domain is a range: item.index
    Free[n]        parameters, columns of J
    Pose           T_a_b, a 4 x 4 matrix, rigid; its 6 columns of J move it by T exp(delta)
    FreeTable[n]   a table of rows of parameters, of which an item reads a few: table[index] is n numbers
    Constant[n]    numbers of the call
    PerItem[n]     an array with n numbers for each item: a photo's pixel, a measured point
    PerItemFree[n] the same, and the partials by them come out: a boundary rule
    PerItemIndex   a whole number for each item
    Table[n]       a table of rows, read at an index: table[index] is n numbers
    Image          an array (height, width), read at whole numbers, image[row, column], or between, image.at(x, y)

Without [n] it is one number; [n, m] is a matrix. Reading beyond a table gives NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import graph as g
from .functions import clip, floor, maximum, minimum, number, whole
from .graph import WHOLE, Node, choose, compare, constant, make, name_of, refuse

#: Numbers in a row of a table: a row before the first is before the table, however far an index may be.
LARGEST_ROW = 511


@dataclass(frozen=True)
class Declared:
    """An annotation: the kind of an argument, and its shape."""

    name: str
    kind: str
    shape: tuple[int, ...] = ()
    takes_shape: bool = True

    def __getitem__(self, shape: Any) -> Declared:
        if not self.takes_shape or self.shape:
            what = "has its shape already" if self.shape else "takes no shape"
            refuse(f"{self!r}[{shape!r}]: {self.name} {what}")
        sizes = shape if isinstance(shape, tuple) else (shape,)
        for n in sizes or (None,):
            if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 1:
                refuse(f"{self.name}[{shape!r}]: a shape is of whole numbers above 0, as {self.name}[3]")
        if math.prod(sizes) > (LARGEST_ROW if self.kind in ("table", "free_table") else 65536):
            refuse(f"{self.name}[{shape!r}]: too many numbers; take a Table or an Image for what is long")
        return Declared(self.name, self.kind, tuple(map(int, sizes)))

    def __call__(self, *_: Any, **__: Any) -> Any:
        refuse(
            f"{self.name} is an annotation, and not called: write `x: {self.name}`, or {self.name}[3] for three numbers"
        )

    def __repr__(self) -> str:
        return self.name + (f"[{', '.join(map(str, self.shape))}]" if self.shape else "")


Pixel = Declared("Pixel", "pixel", takes_shape=False)
Item = Declared("Item", "item", takes_shape=False)
Free = Declared("Free", "free")
Pose = Declared("Pose", "pose", takes_shape=False)
FreeTable = Declared("FreeTable", "free_table")
Constant = Declared("Constant", "constant")
PerItem = Declared("PerItem", "per_item")
PerItemFree = Declared("PerItemFree", "per_item_free")
PerItemIndex = Declared("PerItemIndex", "per_item_index")
Table = Declared("Table", "table")
Image = Declared("Image", "image", takes_shape=False)


# --- what a model's function is given for them


def shaped(values: list[Node], shape: tuple[int, ...]) -> Any:
    """One number, or an array of them."""
    if not shape:
        return values[0]
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(shape)


class PixelArgument:
    """The pixel of an image that the model is evaluated at."""

    @property
    def column(self) -> Node:
        """x, from 0."""
        return make("column")

    @property
    def row(self) -> Node:
        """y, from 0."""
        return make("row")


class ItemArgument:
    """The item of a range that the model is evaluated at."""

    @property
    def index(self) -> Node:
        """Its number, from 0; exact up to 2^24."""
        return make("column")


def _index(place: Any, name: str) -> Node:
    if isinstance(place, (tuple, slice, list, np.ndarray)) or place is None:
        refuse(f"{name}: is read at one whole number, {name}[index]; got {name_of(place)}")
    index = g.lift(place, f"{name}[...]", WHOLE)
    if index.op == "whole_constant" and index.data < 0:
        refuse(
            f"{name}[{index.data}]: rows count from 0, and how many there are is not known while the model is traced"
        )
    return index


def _no_iteration(name: str, what: str) -> Any:
    refuse(f"{name}: how many {what} there are is not known while the model is traced: read {name}[index]")


class TableArgument:
    """A table of rows."""

    def __init__(self, name: str, slot: int, shape: tuple[int, ...]) -> None:
        self._name, self._slot, self._shape = name, slot, shape

    @property
    def rows(self) -> Node:
        """How many there are."""
        return make("uniform", (), ("size", 2 * self._slot))

    def __getitem__(self, place: Any) -> Any:
        index, n = _index(place, self._name), math.prod(self._shape)
        values = [make("gather", (g.whole_affine(index, n, k),), self._slot) for k in range(n)]
        return shaped(values, self._shape)

    def __iter__(self) -> Any:
        _no_iteration(self._name, "rows")

    def __len__(self) -> int:
        refuse(f"len: how many rows {self._name} has is not known while the model is traced: take {self._name}.rows")


class FreeTableArgument:
    """A table of rows of parameters. Each different index is a block: n slots of its own."""

    def __init__(self, program: Any, argument: int, name: str, slot: int, shape: tuple[int, ...]) -> None:
        self._program, self._argument, self._name, self._slot, self._shape = program, argument, name, slot, shape
        self._known: dict[int, list[Node]] = {}

    @property
    def rows(self) -> Node:
        """How many there are."""
        return make("uniform", (), ("size", 2 * self._slot))

    def __getitem__(self, place: Any) -> Any:
        index, n = _index(place, self._name), math.prod(self._shape)
        if index.id not in self._known:
            first = self._program.add_block(self._argument, index, n)
            self._known[index.id] = [make("selected", (index,), (self._slot, k, first + k)) for k in range(n)]
        return shaped(self._known[index.id], self._shape)

    def __iter__(self) -> Any:
        _no_iteration(self._name, "rows")

    def __len__(self) -> int:
        refuse(f"len: how many rows {self._name} has is not known while the model is traced: take {self._name}.rows")


class ImageArgument:
    """An image of the call."""

    def __init__(self, name: str, slot: int) -> None:
        self._name, self._slot = name, slot

    @property
    def height(self) -> Node:
        return make("uniform", (), ("size", 2 * self._slot))

    @property
    def width(self) -> Node:
        return make("uniform", (), ("size", 2 * self._slot + 1))

    def __getitem__(self, place: Any) -> Node:
        """image[row, column], whole numbers; beyond the border NaN. Its derivative is 0."""
        if not isinstance(place, tuple) or len(place) != 2:
            refuse(f"{self._name}: is read at a row and a column, {self._name}[row, column]; got {name_of(place)}")
        row, column = (_index(p, self._name) for p in place)
        inside = g.truth(True)
        for index, size in ((row, self.height), (column, self.width)):
            x = number(index)
            inside = g.both(inside, g.both(compare("ge", x, constant(0.0)), compare("lt", x, size)))
        return choose(inside, self._read(row, column), constant(math.nan))

    def at(self, x: Any, y: Any) -> Node:
        """Between pixels: bilinear, at column x and row y, and differentiable by both.

        (0, 0) is the middle of the first pixel. Beyond the border it is the value at the border, with derivative 0
        across.
        """
        right, below = self.width - 1.0, self.height - 1.0
        x, y = clip(g.lift(x, "at: x"), 0.0, right), clip(g.lift(y, "at: y"), 0.0, below)
        # At the last column it lies between the last two, with weights 0 and 1; of one column, between it and itself.
        left, top = (minimum(floor(z), maximum(end - 1.0, 0.0)) for z, end in ((x, right), (y, below)))
        u, v = x - left, y - top
        i, j = whole(left), whole(top)
        i1, j1 = (g.whole_sum(k, whole(minimum(1.0, end))) for k, end in ((i, right), (j, below)))
        a, b, c, d = self._read(j, i), self._read(j, i1), self._read(j1, i), self._read(j1, i1)
        upper, lower = a + u * (b - a), c + u * (d - c)
        result: Node = upper + v * (lower - upper)
        return result

    def _read(self, row: Node, column: Node) -> Node:
        return make("gather", (make("whole_madd", (row, whole(self.width), column), None, WHOLE),), self._slot)

    def __iter__(self) -> Any:
        _no_iteration(self._name, "rows")

    def __len__(self) -> int:
        refuse(f"len: how large {self._name} is is not known while the model is traced: take {self._name}.height")
