// Dense arithmetic of a panel of Cholesky's, in vectors as wide as the processor has.
#pragma once

#include <cstddef>

namespace diffrt::solver {

// Columns are stored so many numbers apart if they have n: what is between is anything.
constexpr int padded(int n) { return (n + 7) / 8 * 8; }

// Rows below a panel, [first, last), that follow one another in its parent, too.
struct Run {
  int first, last;
  int shift;  // to where they are there
};

// A panel: the lower triangle of `width` columns, and `below` rows under it, in columns of padded(width +
// below) numbers.
struct PanelArithmetic {
  // It becomes L. `own` becomes the lower triangle of what is to be added to the columns that are `below`,
  // the product of L's rows under the triangle with themselves, negative, in columns of padded(below)
  // numbers. False if a pivot is not positive, or not finite. kBehindPanel numbers behind the panel are read,
  // and come to nothing.
  bool (*factor)(double* panel, int width, int below, double* own);
  // Adds what a panel left, in columns of `left_stride` numbers, to its parent: the columns of its runs
  // [first, last), the rows of those up to `end`. `to`: where the parent has row and column `start`.
  void (*add)(const Run* runs, std::size_t first, std::size_t last, std::size_t end, const double* left,
              long left_stride, int start, double* to, long stride);
  // One right-hand side: x has padded(width + below) numbers, of the panel's rows. By L, down: what is below
  // becomes less by L's rows there times the solution. By L', up: what is below is known.
  void (*solve_down)(const double* panel, int width, int below, double* x);
  void (*solve_up)(const double* panel, int width, int below, double* x);
};
inline constexpr int kBehindPanel = 16;

// For the processor at hand.
PanelArithmetic panel_arithmetic();

}  // namespace diffrt::solver
