"""The body of a .ply file: rows of elements, as text or binary, of which some properties are wanted.

Both kinds are a sequence of units (words, bytes) of which a number takes one or more. Where all rows are as long as
the first, which they mostly are, what is wanted is read at one go; else the rows are walked one by one, to note where
each list begins. What the header promises is compared with what is there before anything is made of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from diffrt_aot._arguments import FloatArray, IntArray
from diffrt_aot.errors import SceneFileError

from .words import floats, integers, show

#: Indices of all rows, one after another; how many each row has; and where a row stands, for errors.
IndexLists = tuple[IntArray, IntArray, Callable[[int], str]]


@dataclass(frozen=True)
class Property:
    """A number, or a list of numbers with its length in front; types are NumPy's, such as i4."""

    name: str
    type: str
    count_type: str | None = None


@dataclass(frozen=True)
class Element:
    """`count` rows of the same properties."""

    name: str
    count: int
    properties: list[Property]


@dataclass(frozen=True)
class _Cells:
    """One property in all rows: where its numbers begin, and how many there are; a range and an int if regular."""

    starts: Sequence[int]
    counts: Sequence[int] | int

    def units(self, size: int) -> IntArray:
        """Return where each of the numbers is, of `size` units each."""
        counts = np.broadcast_to(np.asarray(self.counts, np.int64), len(self.starts))
        first = np.cumsum(counts) - counts
        within = np.arange(int(counts.sum())) - np.repeat(first, counts)
        return np.repeat(np.asarray(self.starts, np.int64), counts) + size * within


class Body(ABC):
    """Rows that are read one element after another."""

    def __init__(self, end: int, begin: int) -> None:
        self._end, self._next = end, begin

    def read_scalars(self, element: Element, wanted: list[int]) -> FloatArray:
        """Return the numbers at the positions `wanted` of each row, (count, wanted)."""
        cells = self._walk(element)
        columns = [self._floats(cells[at], element.properties[at].type) for at in wanted]
        return np.stack(columns, axis=1)

    def read_lists(self, element: Element, wanted: int) -> IndexLists:
        """Return the lists at the position `wanted` of each row."""
        cells = self._walk(element)[wanted]
        counts = np.broadcast_to(np.asarray(cells.counts, np.int64), element.count)
        indices = self._integers(cells, element.properties[wanted].type)
        return indices, counts, lambda row: self._place(cells.starts[row])

    def skip(self, element: Element) -> None:
        """Pass over an element."""
        self._walk(element)

    def finish(self) -> None:
        """Refuse a file that goes on."""
        if not self._is_blank():
            raise SceneFileError(f"{self._place(self._next)}: goes on where its header says that all has been read")

    def _walk(self, element: Element) -> list[_Cells]:
        """Return where each property is, and go to the next element."""
        if not element.count or not element.properties:
            return [_Cells(range(0), 0) for _ in element.properties]
        row, end = self._walk_row(element, 0, self._next)
        stride = end - self._next
        if stride * element.count <= self._end - self._next:
            regular = [_Cells(range(at, at + stride * element.count, stride), count) for at, count in row]
            if all(self._same_counts(c, p) for c, p in zip(regular, element.properties, strict=True)):
                self._next += stride * element.count
                return regular
        elif not any(prop.count_type for prop in element.properties):
            raise self._cut(element, (self._end - self._next) // stride)
        starts: list[list[int]] = [[] for _ in element.properties]
        counts: list[list[int]] = [[] for _ in element.properties]
        for number in range(element.count):
            row, self._next = self._walk_row(element, number, self._next)
            for column, (at, count) in enumerate(row):
                starts[column].append(at)
                counts[column].append(count)
        return [_Cells(*cells) for cells in zip(starts, counts, strict=True)]

    def _walk_row(self, element: Element, number: int, at: int) -> tuple[list[tuple[int, int]], int]:
        row = []
        for prop in element.properties:
            count = 1
            if prop.count_type:
                size = self._size(prop.count_type)
                if at + size > self._end:
                    raise self._cut(element, number)
                count = self._count(at, prop.count_type)
                if count < 0:
                    raise SceneFileError(f"{self._place(at)}: {element.name} {number} has a list of {count} numbers")
                at += size
            row.append((at, count))
            at += count * self._size(prop.type)
        if at > self._end:
            raise self._cut(element, number)
        return row, at

    def _same_counts(self, cells: _Cells, prop: Property) -> bool:
        if prop.count_type is None:
            return True
        assert isinstance(cells.starts, range)
        size, every = self._size(prop.count_type), cells.starts
        return self._all_equal(_Cells(range(every.start - size, every.stop - size, every.step), 1), prop.count_type)

    def _cut(self, element: Element, number: int) -> SceneFileError:
        return SceneFileError(
            f"ends within {element.name} {number} of the {element.count} that its header says; was the file cut?"
        )

    @abstractmethod
    def _size(self, kind: str) -> int:
        """Return how many units a number takes."""

    @abstractmethod
    def _count(self, at: int, kind: str) -> int:
        """Return the integer at a unit."""

    @abstractmethod
    def _all_equal(self, cells: _Cells, kind: str) -> bool:
        """Return whether the numbers of regular cells are the same."""

    @abstractmethod
    def _floats(self, cells: _Cells, kind: str) -> FloatArray: ...

    @abstractmethod
    def _integers(self, cells: _Cells, kind: str) -> IntArray: ...

    @abstractmethod
    def _place(self, at: int) -> str:
        """Return what errors call a unit's place."""

    @abstractmethod
    def _is_blank(self) -> bool:
        """Return whether nothing but padding is left."""


class AsciiBody(Body):
    """Words between blanks; line breaks are not counted on."""

    def __init__(self, data: bytes, begin: int) -> None:
        self._data, self._begin = data, begin
        self._words = data[begin:].split()
        super().__init__(len(self._words), 0)

    def _size(self, kind: str) -> int:
        return 1

    def _count(self, at: int, kind: str) -> int:
        try:
            return int(self._words[at])
        except ValueError:
            raise SceneFileError(f"{self._place(at)}: expected a count, got {show(self._words[at])}") from None

    def _all_equal(self, cells: _Cells, kind: str) -> bool:
        return len(set(self._cell_words(cells))) == 1

    def _floats(self, cells: _Cells, kind: str) -> FloatArray:
        return floats(self._cell_words(cells), self._place_within(cells))

    def _integers(self, cells: _Cells, kind: str) -> IntArray:
        return integers(self._cell_words(cells), self._place_within(cells))

    def _cell_words(self, cells: _Cells) -> list[bytes]:
        if isinstance(cells.starts, range) and cells.counts == 1:
            return self._words[cells.starts.start : cells.starts.stop : cells.starts.step]
        return [self._words[i] for i in cells.units(1).tolist()]

    def _place_within(self, cells: _Cells) -> Callable[[int], str]:
        return lambda i: self._place(int(cells.units(1)[i]))

    def _place(self, at: int) -> str:
        number = 1 + len(self._data[: self._begin].splitlines())
        for line in self._data[self._begin :].splitlines():
            at -= len(line.split())
            if at < 0:
                break
            number += 1
        return f"line {number}"

    def _is_blank(self) -> bool:
        return self._next == self._end


class BinaryBody(Body):
    """Bytes, in the given order: "<" or ">"."""

    def __init__(self, data: bytes, begin: int, order: str) -> None:
        self._data, self._order = data, order
        super().__init__(len(data), begin)

    def _size(self, kind: str) -> int:
        return int(kind[1])

    def _count(self, at: int, kind: str) -> int:
        order: Literal["little", "big"] = "little" if self._order == "<" else "big"
        return int.from_bytes(self._data[at : at + self._size(kind)], order, signed=kind[0] == "i")

    def _all_equal(self, cells: _Cells, kind: str) -> bool:
        counts = self._numbers(cells, kind)
        return bool((counts == counts[0]).all())

    def _floats(self, cells: _Cells, kind: str) -> FloatArray:
        return self._numbers(cells, kind).astype(np.float64)

    def _integers(self, cells: _Cells, kind: str) -> IntArray:
        return self._numbers(cells, kind).astype(np.int64)

    def _numbers(self, cells: _Cells, kind: str) -> npt.NDArray[Any]:
        dtype, size = np.dtype(self._order + kind), self._size(kind)
        if isinstance(cells.starts, range) and isinstance(cells.counts, int):
            shape, strides = (len(cells.starts), cells.counts), (cells.starts.step, size)
            return np.ndarray(shape, dtype, self._data, cells.starts.start, strides).reshape(-1)
        each = np.frombuffer(self._data, np.uint8)[cells.units(size)[:, None] + np.arange(size)]
        numbers: npt.NDArray[Any] = each.view(dtype).reshape(-1)
        return numbers

    def _place(self, at: int) -> str:
        return f"byte {at}"

    def _is_blank(self) -> bool:
        return not self._data[self._next :].strip(b"\0 \t\r\n")
