// LeastSquaresProblem: what a problem need not say itself.
#include <algorithm>
#include <cmath>

#include "diffrt/least_squares.hpp"

namespace diffrt {

void LeastSquaresProblem::plus(Span<const double> theta, Span<const double> delta, Span<double> out) const {
  for (std::size_t i = 0; i < theta.size(); ++i) out[i] = theta[i] + delta[i];
}

void LeastSquaresProblem::tangent_row(Span<const double>, std::size_t i, Span<double> row) const {
  std::fill(row.begin(), row.end(), 0.0);
  row[i] = 1;
}

bool LeastSquaresProblem::magnitudes(Span<const double> theta, Span<double> sizes) const {
  std::transform(theta.begin(), theta.end(), sizes.begin(), [](double x) { return std::abs(x); });
  return false;
}

bool LeastSquaresProblem::gradient_scatter(Span<const double>, Span<double>) { return false; }

}  // namespace diffrt
