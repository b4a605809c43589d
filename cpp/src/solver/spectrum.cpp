// Null directions: how near to singular, and in which directions.
#include "solver/spectrum.hpp"

#include <cmath>

namespace diffrt::solver {

double eigenvalue_noise(double precision, Index fullest) {
  return 16 * precision * std::sqrt(static_cast<double>(fullest));
}

Index fullest_column(const Sparse& A) {
  Index most = 0;
  for (Index j = 0; j < A.cols(); ++j)
    most = std::max<Index>(most, A.outerIndexPtr()[j + 1] - A.outerIndexPtr()[j]);
  return most;
}

namespace {

// `apply`: v = A^-1 v.
template <class V, class Apply>
double inverse_iteration(V& v, Apply&& apply) {
  // An irregular start (multiples of the golden ratio, modulo 1), so that no plausible null direction is
  // orthogonal to it.
  for (Index i = 0; i < v.size(); ++i) {
    v[i] = 0.25 + std::fmod(0.6180339887498949 * static_cast<double>(i + 1), 1.0);
  }
  v.normalize();
  double growth = 1;
  for (int k = 0; k < 4; ++k) {
    apply();
    growth = v.norm();
    if (!std::isfinite(growth)) return 0;
    v /= growth;
  }
  return 1 / growth;
}

}  // namespace

double smallest_eigenvalue(const Eigen::Ref<const Matrix>& L, Eigen::Ref<Vector> v, Eigen::Ref<Vector> w) {
  return inverse_iteration(v, [&] {
    w = v;
    L.triangularView<Eigen::Lower>().solveInPlace(w);
    L.triangularView<Eigen::Lower>().transpose().solveInPlace(w);
    v = w;
  });
}

double smallest_eigenvalue(const Cholesky& factor, Index n) {
  Vector v(n);
  return inverse_iteration(v, [&] { factor.solve(v); });
}

void decompose(const Eigen::Ref<const Matrix>& A, EigenSolver& solver) { solver.compute(A); }

std::vector<int> sparsify(Matrix& basis) {
  std::vector<int> rows;
  // Reduce: in turn, the largest entry of the columns not yet used becomes the only one of its row.
  for (Index used = 0; used < basis.cols(); ++used) {
    Index row = 0, column = 0;
    basis.rightCols(basis.cols() - used).cwiseAbs().maxCoeff(&row, &column);
    basis.col(used).swap(basis.col(used + column));
    basis.col(used) /= basis(row, used);
    rows.push_back(static_cast<int>(row));
    for (Index j = 0; j < basis.cols(); ++j) {
      if (j != used) basis.col(j) -= basis(row, j) * basis.col(used);
    }
  }
  for (Index j = 0; j < basis.cols(); ++j) {
    const double largest = basis.col(j).cwiseAbs().maxCoeff();
    basis.col(j) = (basis.col(j).array().abs() < 1e-6 * largest).select(0, basis.col(j));
  }
  return rows;
}

void orient(Matrix& basis) {
  for (Index j = 0; j < basis.cols(); ++j) {
    const double largest = basis.col(j).cwiseAbs().maxCoeff();
    Index first = 0;  // of the entries as large as the largest, so that a tie is not decided by rounding
    while (std::abs(basis(first, j)) < 0.999999 * largest) ++first;
    if (basis(first, j) < 0) basis.col(j) = -basis.col(j);
    basis.col(j).normalize();
  }
}

}  // namespace diffrt::solver
