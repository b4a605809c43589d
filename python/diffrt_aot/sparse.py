"""Sparse matrices by compressed rows, for whoever has no SciPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ._arguments import FloatArray
from ._value import ByContent
from .errors import missing_dependency


@dataclass(frozen=True, eq=False)
class CompressedRows(ByContent):
    """A sparse matrix. Row i has values[k] in column columns[k], row_starts[i] <= k < row_starts[i + 1].

    row_starts  (rows + 1,) integers
    columns     (N,) int32, ascending in each row
    values      (N,) float64; some may be zero
    shape       (rows, columns)

    A symmetric matrix has both of its triangles, so that its rows are its columns, too.
    """

    row_starts: npt.NDArray[Any]
    columns: npt.NDArray[np.int32]
    values: FloatArray
    shape: tuple[int, int]

    def dense(self) -> FloatArray:
        """Return an array of that shape."""
        matrix = np.zeros(self.shape)
        matrix[self._rows(), self.columns] = self.values
        return matrix

    def diagonal(self) -> FloatArray:
        """Return the entries (i, i), as many as there are rows and columns."""
        diagonal = np.zeros(min(self.shape))
        rows = self._rows()
        own = rows == self.columns
        diagonal[rows[own]] = self.values[own]
        return diagonal

    def to_scipy(self) -> Any:
        """Return a scipy.sparse.csr_array over the same memory."""
        return self._to_scipy("CompressedRows.to_scipy")

    def symmetric_to_scipy(self, purpose: str) -> Any:
        """Return a scipy.sparse.csc_array, a copy, of a symmetric matrix; `purpose` is what needs scipy, for errors."""
        return self._to_scipy(purpose).T.copy()

    def _to_scipy(self, purpose: str) -> Any:
        try:
            from scipy.sparse import csr_array
        except ImportError as error:
            raise missing_dependency("scipy", purpose) from error
        return csr_array((self.values, self.columns, self.row_starts), shape=self.shape)

    def _rows(self) -> npt.NDArray[np.intp]:
        return np.repeat(np.arange(self.shape[0]), np.diff(self.row_starts))
