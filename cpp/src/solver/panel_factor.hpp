// Dense arithmetic of a panel of Cholesky's, in vectors as wide as the processor has.
#pragma once

namespace diffrt::solver {

// A panel: the lower triangle of `width` columns, and `below` rows under it, in columns of width + below
// numbers. It becomes L; from `own`, the lower triangle of a below x below matrix in columns of `below`
// numbers, the product of L's rows under the triangle with themselves is taken away. False if a pivot is not
// positive. kBehindPanel numbers behind the panel are read, and come to nothing.
inline constexpr int kBehindPanel = 16;
bool factor_panel(double* panel, int width, int below, double* own);

}  // namespace diffrt::solver
