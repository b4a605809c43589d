// Block-Jacobi preconditioned conjugate gradients.
#include "solver/conjugate_gradients.hpp"

#include <algorithm>
#include <cmath>

namespace diffrt::solver {

ConjugateGradients::ConjugateGradients(Index size)
    : blocks_(size, kBlock), residual_(size), direction_(size), preconditioned_(size), product_(size) {}

void ConjugateGradients::factor_blocks(const Sparse& A) {
  for (Index start = 0; start < A.cols(); start += kBlock) {
    const Index n = std::min(kBlock, A.cols() - start);
    auto block = blocks_.block(start, 0, n, n);
    block.setZero();
    for (Index j = 0; j < n; ++j) {
      for (Sparse::InnerIterator entry(A, start + j); entry; ++entry) {
        if (entry.row() >= start + j && entry.row() < start + n)
          block(entry.row() - start, j) = entry.value();
      }
    }
    // Cholesky, in place. A block that is singular but for rounding gets pivots of that size.
    for (Index j = 0; j < n; ++j) {
      double pivot = block(j, j);
      for (Index k = 0; k < j; ++k) pivot -= block(j, k) * block(j, k);
      block(j, j) = std::sqrt(std::max(pivot, 1e-14));
      for (Index i = j + 1; i < n; ++i) {
        double sum = block(i, j);
        for (Index k = 0; k < j; ++k) sum -= block(i, k) * block(j, k);
        block(i, j) = sum / block(j, j);
      }
    }
  }
}

void ConjugateGradients::precondition(const Vector& r, Vector& z) const {
  z = r;
  for (Index start = 0; start < r.size(); start += kBlock) {
    const Index n = std::min(kBlock, r.size() - start);
    const auto factor = blocks_.block(start, 0, n, n).triangularView<Eigen::Lower>();
    auto part = z.segment(start, n);
    factor.solveInPlace(part);
    factor.transpose().solveInPlace(part);
  }
}

void ConjugateGradients::solve(const Sparse& A, Vector& y) {
  factor_blocks(A);
  residual_ = y;
  y.setZero();
  precondition(residual_, preconditioned_);
  direction_ = preconditioned_;
  double energy = residual_.dot(preconditioned_);
  const double target = kTolerance * kTolerance * energy;
  for (Index k = 0; k < 2 * y.size() && energy > target; ++k) {
    product_.noalias() = A.selfadjointView<Eigen::Lower>() * direction_;
    const double curvature = direction_.dot(product_);
    if (!(curvature > 0)) return;
    const double length = energy / curvature;
    y += length * direction_;
    residual_ -= length * product_;
    precondition(residual_, preconditioned_);
    const double next = residual_.dot(preconditioned_);
    direction_ = preconditioned_ + (next / energy) * direction_;
    energy = next;
  }
}

}  // namespace diffrt::solver
