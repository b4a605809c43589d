// LeastSquaresProblem: what a problem need not say itself.
#include <algorithm>
#include <cmath>

#include "diffrt/least_squares.hpp"
#include "memory.hpp"

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

namespace {

// The matrix without zeros.
void fill(SparseMatrix& matrix, std::size_t P) {
  if (matrix.rows() == P && matrix.values.size() == P * P) return;
  resize(matrix.values, P * P, "H, which is not given as a sparse one (sparse_normal_equations),");
  resize(matrix.columns, P * P,
         "the structure of H, which is not given as a sparse one (sparse_normal_equations),");
  matrix.row_starts.resize(P + 1);
  for (std::size_t i = 0; i <= P; ++i) matrix.row_starts[i] = static_cast<std::int64_t>(i * P);
  for (std::size_t k = 0; k < P * P; ++k) matrix.columns[k] = static_cast<std::int32_t>(k % P);
}

}  // namespace

Evaluation LeastSquaresProblem::sparse_normal_equations(Span<const double> theta, SparseMatrix& H,
                                                        Span<double> g) {
  fill(H, theta.size());
  return normal_equations(theta, {H.values.data(), H.values.size()}, g);
}

bool LeastSquaresProblem::sparse_gradient_scatter(Span<const double> theta, SparseMatrix& M) {
  fill(M, theta.size());
  return gradient_scatter(theta, {M.values.data(), M.values.size()});
}

void LeastSquaresProblem::tangent_entries(Span<const double> theta, std::size_t i,
                                          std::vector<TangentEntry>& entries) const {
  row_.resize(theta.size());
  tangent_row(theta, i, {row_.data(), row_.size()});
  entries.clear();
  for (std::size_t k = 0; k < row_.size(); ++k) {
    if (row_[k] != 0) entries.push_back({k, row_[k]});
  }
}

}  // namespace diffrt
