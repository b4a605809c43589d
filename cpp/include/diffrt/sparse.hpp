// A sparse matrix, by compressed rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace diffrt {

// Row i has the entries columns[k], values[k] for row_starts[i] <= k < row_starts[i + 1], columns ascending.
// A symmetric matrix has both of its triangles, so that its rows are its columns, too. An entry may be zero:
// what is stored follows from what depends on what, not from values.
struct SparseMatrix {
  std::vector<std::int64_t> row_starts;  // rows + 1
  std::vector<std::int32_t> columns;
  std::vector<double> values;

  std::size_t rows() const { return row_starts.empty() ? 0 : row_starts.size() - 1; }
};

}  // namespace diffrt
