#include "solver/panel_factor.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <immintrin.h>

#include "runtime/isa.hpp"

namespace diffrt::solver {
namespace {

#define DIFFRT_INLINE inline __attribute__((always_inline))

constexpr int kColumns = 4;  // of a product at a time
constexpr int kStrip =
    8;  // columns of a panel that are factored at a time: as many as rows are rounded up to

template <class V>
DIFFRT_INLINE void load(V& to, const double* from) {
  std::memcpy(&to, from, sizeof to);
}

template <class V>
DIFFRT_INLINE void store(double* to, const V& from) {
  std::memcpy(to, &from, sizeof from);
}

// C = (C if `add`, else 0) - B B', of `Vectors` vectors of rows and kColumns columns, of which `columns` are
// stored. `down`, `across`: where the rows of B are that these rows and columns stand for.
template <class V, int Vectors, bool Add>
DIFFRT_INLINE void subtract_tile(double* C, long c, int columns, const double* down, const double* across,
                                 long b, int depth) {
  constexpr int lanes = sizeof(V) / sizeof(double);
  V sums[kColumns][Vectors] = {};
  for (int k = 0; k < depth; ++k, down += b, across += b) {
    for (int v = 0; v < Vectors; ++v) {
      V rows;
      load(rows, down + v * lanes);
      for (int t = 0; t < kColumns; ++t) sums[t][v] += rows * across[t];
    }
  }
#pragma GCC unroll 4
  for (int t = 0; t < kColumns; ++t, C += c) {
    if (t >= columns) break;
    for (int v = 0; v < Vectors; ++v) {
      V before = {};
      if (Add) load(before, C + v * lanes);
      store(C + v * lanes, before - sums[t][v]);
    }
  }
}

// C[i, j] -= sum over k < depth of B[i, k] B[j, k], for i >= j, i < rows, j < columns. C and B are stored by
// columns of `c` and `b` numbers. Above the diagonal, and up to a whole number of vectors of rows, C becomes
// anything. Not `Add`: as if C had been zero.
template <class V, bool Add>
DIFFRT_INLINE void subtract_products(double* C, long c, int rows, int columns, const double* B, long b,
                                     int depth) {
  constexpr int lanes = sizeof(V) / sizeof(double);
  for (int j = 0; j < columns; j += kColumns) {
    const int across = std::min(kColumns, columns - j);
    int i = j - j % lanes;
    for (; i + lanes < rows; i += 2 * lanes)
      subtract_tile<V, 2, Add>(C + j * c + i, c, across, B + i, B + j, b, depth);
    if (i < rows) subtract_tile<V, 1, Add>(C + j * c + i, c, across, B + i, B + j, b, depth);
  }
}

// The first `columns` columns of a panel become L's.
template <class V, int Columns>
DIFFRT_INLINE bool factor_strip(double* panel, long stride, int rows) {
  constexpr int lanes = sizeof(V) / sizeof(double);
  double L[Columns][Columns], inverse[Columns];
#pragma GCC unroll 8
  for (int j = 0; j < Columns; ++j) {
#pragma GCC unroll 8
    for (int i = j; i < Columns; ++i) L[i][j] = panel[j * stride + i];
  }
#pragma GCC unroll 8
  for (int j = 0; j < Columns; ++j) {
    if (!(L[j][j] > 0 && L[j][j] <= std::numeric_limits<double>::max())) return false;
    inverse[j] = 1 / std::sqrt(L[j][j]);
    for (int i = j + 1; i < Columns; ++i) L[i][j] *= inverse[j];
    for (int t = j + 1; t < Columns; ++t) {
      for (int i = t; i < Columns; ++i) L[i][t] -= L[i][j] * L[t][j];
    }
  }
  for (int i = 0; i < rows; i += lanes) {
    V x[Columns];
#pragma GCC unroll 8
    for (int j = 0; j < Columns; ++j) {
      load(x[j], panel + j * stride + i);
#pragma GCC unroll 8
      for (int k = 0; k < j; ++k) x[j] -= x[k] * L[j][k];
      x[j] *= inverse[j];
      store(panel + j * stride + i, x[j]);
    }
  }
  return true;
}

template <class V>
DIFFRT_INLINE bool factor_strip(double* panel, long stride, int rows, int columns) {
  switch (columns) {
    case 1:
      return factor_strip<V, 1>(panel, stride, rows);
    case 2:
      return factor_strip<V, 2>(panel, stride, rows);
    case 3:
      return factor_strip<V, 3>(panel, stride, rows);
    case 4:
      return factor_strip<V, 4>(panel, stride, rows);
    case 5:
      return factor_strip<V, 5>(panel, stride, rows);
    case 6:
      return factor_strip<V, 6>(panel, stride, rows);
    case 7:
      return factor_strip<V, 7>(panel, stride, rows);
    default:
      return factor_strip<V, kStrip>(panel, stride, rows);
  }
}

template <class V>
DIFFRT_INLINE bool factor(double* panel, int width, int below, double* own) {
  const int rows = width + below;
  const long stride = padded(rows);
  for (int start = 0; start < width; start += kStrip) {
    const int columns = std::min(kStrip, width - start);
    double* const strip = panel + start * stride + start;
    subtract_products<V, true>(strip, stride, rows - start, columns, panel + start, stride, start);
    if (!factor_strip<V>(strip, stride, rows - start, columns)) return false;
  }
  subtract_products<V, false>(own, padded(below), below, below, panel + width, stride, width);
  return true;
}

// x becomes L^-1 x, of the rows of the panel's triangle, and what is below them has the product of those with
// L's rows there subtracted.
template <class V>
DIFFRT_INLINE void solve_down(const double* panel, int width, int below, double* x) {
  constexpr int lanes = sizeof(V) / sizeof(double);
  const int rows = width + below;
  const long stride = padded(rows);
  for (int j = 0; j < width; ++j, panel += stride) {
    x[j] /= panel[j];
    int i = j + 1;
    for (; i < rows && i % lanes != 0; ++i) x[i] -= panel[i] * x[j];
    for (; i < rows; i += lanes) {
      V sum, column;
      load(sum, x + i), load(column, panel + i);
      store(x + i, sum - column * x[j]);
    }
  }
}

// The rows of the panel's triangle become those of L'^-1 x, where what is below them is known.
template <class V>
DIFFRT_INLINE void solve_up(const double* panel, int width, int below, double* x) {
  constexpr int lanes = sizeof(V) / sizeof(double);
  const int rows = width + below;
  const long stride = padded(rows);
  for (int j = width - 1; j >= 0; --j) {
    const double* const column = panel + j * stride;
    double sum = x[j];
    V sums = {};
    int i = j + 1;
    for (; i < rows && i % lanes != 0; ++i) sum -= column[i] * x[i];
    for (; i + lanes <= rows; i += lanes) {
      V values, known;
      load(values, column + i), load(known, x + i);
      sums += values * known;
    }
    for (; i < rows; ++i) sum -= column[i] * x[i];
    for (int lane = 0; lane < lanes; ++lane) sum -= sums[lane];
    x[j] = sum / column[j];
  }
}

// `add_run(to, from, count)` adds so many numbers.
template <class AddRun>
DIFFRT_INLINE void add_columns(const Run* runs, std::size_t first, std::size_t last, std::size_t end,
                               const double* left, long left_stride, int start, double* to, long stride,
                               AddRun&& add_run) {
  for (std::size_t across = first; across < last; ++across) {
    for (int j = runs[across].first; j < runs[across].last; ++j) {
      const double* const from = left + j * left_stride;
      double* const column = to + (j + runs[across].shift - start) * stride;
      for (std::size_t down = across; down < end; ++down) {
        const Run run = runs[down];
        const int begin = down == across ? j : run.first;
        add_run(column + (begin + run.shift - start), from + begin, run.last - begin);
      }
    }
  }
}

using Two = double __attribute__((vector_size(16)));
using Four = double __attribute__((vector_size(32)));
using Eight = double __attribute__((vector_size(64)));

#define DIFFRT_V3 __attribute__((target("avx2,fma")))
#define DIFFRT_V4 __attribute__((target("avx512f,avx512vl,avx512dq,fma")))

bool factor_v2(double* panel, int width, int below, double* own) {
  return factor<Two>(panel, width, below, own);
}
DIFFRT_V3 bool factor_v3(double* panel, int width, int below, double* own) {
  return factor<Four>(panel, width, below, own);
}
DIFFRT_V4 bool factor_v4(double* panel, int width, int below, double* own) {
  return factor<Eight>(panel, width, below, own);
}
void add_v2(const Run* runs, std::size_t first, std::size_t last, std::size_t end, const double* left,
            long left_stride, int start, double* to, long stride) {
  add_columns(runs, first, last, end, left, left_stride, start, to, stride,
              [](double* column, const double* from, int count) {
                for (int i = 0; i < count; ++i) column[i] += from[i];
              });
}
// Most runs are those of one vertex: a masked vector each, and no loop that ends when nobody expects it.
DIFFRT_V4 void add_v4(const Run* runs, std::size_t first, std::size_t last, std::size_t end,
                      const double* left, long left_stride, int start, double* to, long stride) {
  add_columns(runs, first, last, end, left, left_stride, start, to, stride,
              [](double* column, const double* from, int count) DIFFRT_V4 {
                for (; count > 0; count -= 8, column += 8, from += 8) {
                  const auto some = static_cast<__mmask8>(count < 8 ? (1 << count) - 1 : 255);
                  _mm512_mask_storeu_pd(
                      column, some,
                      _mm512_add_pd(_mm512_maskz_loadu_pd(some, column), _mm512_maskz_loadu_pd(some, from)));
                }
              });
}
void down_v2(const double* panel, int width, int below, double* x) {
  solve_down<Two>(panel, width, below, x);
}
DIFFRT_V3 void down_v3(const double* panel, int width, int below, double* x) {
  solve_down<Four>(panel, width, below, x);
}
DIFFRT_V4 void down_v4(const double* panel, int width, int below, double* x) {
  solve_down<Eight>(panel, width, below, x);
}
void up_v2(const double* panel, int width, int below, double* x) { solve_up<Two>(panel, width, below, x); }
DIFFRT_V3 void up_v3(const double* panel, int width, int below, double* x) {
  solve_up<Four>(panel, width, below, x);
}
DIFFRT_V4 void up_v4(const double* panel, int width, int below, double* x) {
  solve_up<Eight>(panel, width, below, x);
}

}  // namespace

PanelArithmetic panel_arithmetic() {
  switch (runtime::active_level().name.back()) {
    case '4':
      return {factor_v4, add_v4, down_v4, up_v4};
    case '3':
      return {factor_v3, add_v2, down_v3, up_v3};
    default:
      return {factor_v2, add_v2, down_v2, up_v2};
  }
}

}  // namespace diffrt::solver
