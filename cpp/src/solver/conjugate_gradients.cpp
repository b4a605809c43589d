// Block-Jacobi preconditioned conjugate gradients.
#include "solver/conjugate_gradients.hpp"

#include <algorithm>
#include <cmath>

namespace diffrt::solver {

ConjugateGradients::ConjugateGradients(Index size)
    : blocks_(size, kBlock),
      residual_(size),
      direction_(size),
      preconditioned_(size),
      product_(size),
      scaled_(size) {}

void ConjugateGradients::factor_blocks(const Model& model, const Mask& frozen, double lambda) {
  for (Index start = 0; start < model.size(); start += kBlock) {
    const Index n = std::min(kBlock, model.size() - start);
    auto block = blocks_.block(start, 0, n, n);
    for (Index j = 0; j < n; ++j) {
      for (Index i = j; i < n; ++i) {
        const bool fixed = frozen[count(start + i)] || frozen[count(start + j)];
        block(i, j) =
            fixed ? 0 : model.scale[start + i] * model.H(start + i, start + j) * model.scale[start + j];
      }
      block(j, j) = frozen[count(start + j)] ? 1 : block(j, j) + lambda * model.damping[start + j];
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

void ConjugateGradients::solve(const Model& model, const Mask& frozen, double lambda, Vector& y) {
  lambda = std::max(lambda, 1e-14);  // keeps a singular system from running off along its rounding errors
  factor_blocks(model, frozen, lambda);
  y.setZero();
  residual_ = -model.gradient;
  for (Index i = 0; i < model.size(); ++i) {
    if (frozen[count(i)]) residual_[i] = 0;
  }
  precondition(residual_, preconditioned_);
  direction_ = preconditioned_;
  double energy = residual_.dot(preconditioned_);
  const double target = kTolerance * kTolerance * energy;
  for (Index k = 0; k < 2 * model.size() && energy > target; ++k) {
    scaled_ = model.scale.array() * direction_.array();
    product_.noalias() = model.H.selfadjointView<Eigen::Lower>() * scaled_;
    product_.array() =
        product_.array() * model.scale.array() + lambda * model.damping.array() * direction_.array();
    for (Index i = 0; i < model.size(); ++i) {
      if (frozen[count(i)]) product_[i] = 0;
    }
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
