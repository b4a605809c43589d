// Null directions: how near to singular, and in which directions.
#include "solver/spectrum.hpp"

#include <cmath>

namespace diffrt::solver {

double smallest_eigenvalue(const Eigen::Ref<const Matrix>& L, Vector& v, Vector& w) {
  // An irregular start (multiples of the golden ratio, modulo 1), so that no plausible null direction is
  // orthogonal to it.
  for (Index i = 0; i < v.size(); ++i) {
    v[i] = 0.25 + std::fmod(0.6180339887498949 * static_cast<double>(i + 1), 1.0);
  }
  v.normalize();
  double growth = 1;
  for (int k = 0; k < 4; ++k) {
    w = v;
    L.triangularView<Eigen::Lower>().solveInPlace(w);
    L.triangularView<Eigen::Lower>().transpose().solveInPlace(w);
    growth = w.norm();
    if (!std::isfinite(growth)) return 0;
    v = w / growth;
  }
  return 1 / growth;
}

void decompose(const Matrix& A, EigenSolver& solver) { solver.compute(A); }

void sparsify(Matrix& basis) {
  // Reduce: in turn, the largest entry of the columns not yet used becomes the only one of its row.
  for (Index used = 0; used < basis.cols(); ++used) {
    Index row = 0, column = 0;
    basis.rightCols(basis.cols() - used).cwiseAbs().maxCoeff(&row, &column);
    basis.col(used).swap(basis.col(used + column));
    basis.col(used) /= basis(row, used);
    for (Index j = 0; j < basis.cols(); ++j) {
      if (j != used) basis.col(j) -= basis(row, j) * basis.col(used);
    }
  }
  for (Index j = 0; j < basis.cols(); ++j) {
    const double largest = basis.col(j).cwiseAbs().maxCoeff();
    basis.col(j) = (basis.col(j).array().abs() < 1e-6 * largest).select(0, basis.col(j));
  }
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
