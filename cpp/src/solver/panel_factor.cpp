#include "solver/panel_factor.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/isa.hpp"

namespace diffrt::solver {
namespace {

#define DIFFRT_INLINE inline __attribute__((always_inline))

constexpr int kColumns = 4;  // of C at a time, each in two vectors
constexpr int kStrip = 8;    // columns of a panel that are factored one by one

// C[i, j] -= sum over k < depth of B[i, k] B[j, k], for i >= j, i < rows, j < columns. C and B are stored by
// columns of `c` and `b` numbers. Above the diagonal C becomes anything.
template <class V>
DIFFRT_INLINE void subtract_products(double* C, long c, int rows, int columns, const double* B, long b,
                                     int depth) {
  constexpr int lanes = sizeof(V) / sizeof(double), height = 2 * lanes;
  for (int j = 0; j < columns; j += kColumns) {
    const int across = std::min(kColumns, columns - j);
    for (int i = j; i < rows; i += height) {
      V sums[kColumns][2] = {};
      const double *down = B + i, *other = B + j;
      if (across == kColumns) {
        for (int k = 0; k < depth; ++k, down += b, other += b) {
          V first, second;
          std::memcpy(&first, down, sizeof first), std::memcpy(&second, down + lanes, sizeof second);
          for (int t = 0; t < kColumns; ++t) {
            sums[t][0] += first * other[t];
            sums[t][1] += second * other[t];
          }
        }
      } else {
        for (int k = 0; k < depth; ++k, down += b, other += b) {
          V first, second;
          std::memcpy(&first, down, sizeof first), std::memcpy(&second, down + lanes, sizeof second);
          for (int t = 0; t < across; ++t) {
            sums[t][0] += first * other[t];
            sums[t][1] += second * other[t];
          }
        }
      }
      for (int t = 0; t < across; ++t) {
        double* to = C + (j + t) * c + i;
        double buffer[height];
        std::memcpy(buffer, sums[t], sizeof buffer);
        const int count = std::min(height, rows - i);
        for (int s = 0; s < count; ++s) to[s] -= buffer[s];
      }
    }
  }
}

template <class V>
DIFFRT_INLINE bool factor(double* panel, int width, int below, double* own) {
  const int rows = width + below;
  for (int start = 0; start < width; start += kStrip) {
    const int end = std::min(start + kStrip, width);
    for (int j = start; j < end; ++j) {
      double* column = panel + static_cast<long>(j) * rows;
      if (!(column[j] > 0)) return false;
      const double inverse = 1 / std::sqrt(column[j]);
      for (int i = j; i < rows; ++i) column[i] *= inverse;
      for (int t = j + 1; t < end; ++t) {
        double* other = panel + static_cast<long>(t) * rows;
        const double factor = column[t];
        for (int i = t; i < rows; ++i) other[i] -= factor * column[i];
      }
    }
    subtract_products<V>(panel + static_cast<long>(end) * rows + end, rows, rows - end, width - end,
                         panel + static_cast<long>(start) * rows + end, rows, end - start);
  }
  subtract_products<V>(own, below, below, below, panel + width, rows, width);
  return true;
}

using Two = double __attribute__((vector_size(16)));
using Four = double __attribute__((vector_size(32)));
using Eight = double __attribute__((vector_size(64)));

bool factor_v2(double* panel, int width, int below, double* own) {
  return factor<Two>(panel, width, below, own);
}
__attribute__((target("avx2,fma"))) bool factor_v3(double* panel, int width, int below, double* own) {
  return factor<Four>(panel, width, below, own);
}
__attribute__((target("avx512f,avx512vl,avx512dq,fma"))) bool factor_v4(double* panel, int width, int below,
                                                                        double* own) {
  return factor<Eight>(panel, width, below, own);
}

}  // namespace

bool factor_panel(double* panel, int width, int below, double* own) {
  switch (runtime::active_level().name.back()) {
    case '4':
      return factor_v4(panel, width, below, own);
    case '3':
      return factor_v3(panel, width, below, own);
    default:
      return factor_v2(panel, width, below, own);
  }
}

}  // namespace diffrt::solver
