// Dense arithmetic of a panel of Cholesky's, in vectors as wide as the processor has.
#pragma once

namespace diffrt::solver {

// Columns are stored so many numbers apart if they have n: what is between is anything.
constexpr int padded(int n) { return (n + 7) / 8 * 8; }

// A panel: the lower triangle of `width` columns, and `below` rows under it, in columns of padded(width +
// below) numbers. It becomes L. `own` becomes the lower triangle of what is to be added to the columns that
// are `below`, the product of L's rows under the triangle with themselves, negative, in columns of
// padded(below) numbers. False if a pivot is not positive, or not finite. kBehindPanel numbers behind the
// panel are read, and come to nothing.
inline constexpr int kBehindPanel = 16;
bool factor_panel(double* panel, int width, int below, double* own);

}  // namespace diffrt::solver
