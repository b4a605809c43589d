// Entries of a sparse matrix.
#pragma once

#include <algorithm>

#include "diffrt/span.hpp"
#include "diffrt/sparse.hpp"

namespace diffrt {

// Where entry (i, j) is in columns and values, or -1.
inline std::ptrdiff_t find_entry(const SparseMatrix& M, std::size_t i, std::size_t j) {
  const std::int32_t *first = M.columns.data() + M.row_starts[i],
                     *last = M.columns.data() + M.row_starts[i + 1],
                     *found = std::lower_bound(first, last, static_cast<std::int32_t>(j));
  return found != last && *found == static_cast<std::int32_t>(j) ? found - M.columns.data() : -1;
}

inline double entry(const SparseMatrix& M, std::size_t i, std::size_t j) {
  const std::ptrdiff_t place = find_entry(M, i, j);
  return place < 0 ? 0.0 : M.values[static_cast<std::size_t>(place)];
}

// Calls body(column, value) for each entry of row i.
template <class F>
void for_each_entry(const SparseMatrix& M, std::size_t i, F&& body) {
  for (auto k = static_cast<std::size_t>(M.row_starts[i]); k < static_cast<std::size_t>(M.row_starts[i + 1]);
       ++k)
    body(static_cast<std::size_t>(M.columns[k]), M.values[k]);
}

// Of a symmetric one.
inline void clear_row_and_column(SparseMatrix& M, std::size_t i) {
  for (auto k = static_cast<std::size_t>(M.row_starts[i]); k < static_cast<std::size_t>(M.row_starts[i + 1]);
       ++k) {
    if (M.values[k] == 0) continue;
    M.values[k] = 0;
    M.values[static_cast<std::size_t>(find_entry(M, static_cast<std::size_t>(M.columns[k]), i))] = 0;
  }
}

// Row-major, square.
inline void to_dense(const SparseMatrix& M, Span<double> dense) {
  const std::size_t n = M.rows();
  std::fill(dense.begin(), dense.end(), 0.0);
  for (std::size_t i = 0; i < n; ++i)
    for_each_entry(M, i, [&](std::size_t j, double value) { dense[i * n + j] = value; });
}

}  // namespace diffrt
