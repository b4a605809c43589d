// Cholesky where it can, eigenvectors where H is singular and nothing damps it, conjugate gradients where P
// is large.
#include "solver/linear_solve.hpp"

namespace diffrt::solver {

LinearSolver::LinearSolver(Index size, bool dense, double null_threshold) : null_threshold_(null_threshold) {
  if (dense) {
    work_.resize(size, size);
    v_.resize(size);
    w_.resize(size);
  } else {
    iterative_.emplace(size);
  }
}

void LinearSolver::assemble(const Model& model, const Mask& frozen, double lambda) {
  for (Index j = 0; j < model.size(); ++j) {
    for (Index i = j; i < model.size(); ++i) {
      work_(i, j) =
          frozen[count(i)] || frozen[count(j)] ? 0 : model.scale[i] * model.H(i, j) * model.scale[j];
    }
    work_(j, j) = frozen[count(j)] ? 1 : work_(j, j) + lambda * model.damping[j];
  }
}

void LinearSolver::right_hand_side(const Model& model, const Mask& frozen, Vector& y) const {
  for (Index i = 0; i < model.size(); ++i) y[i] = frozen[count(i)] ? 0 : -model.gradient[i];
}

bool LinearSolver::factor() {
  const Eigen::LLT<Eigen::Ref<Matrix>> cholesky(work_);
  return cholesky.info() == Eigen::Success;
}

bool LinearSolver::damped(const Model& model, const Mask& frozen, double lambda, Vector& y) {
  if (iterative_) {
    iterative_->solve(model, frozen, lambda, y);
    return true;
  }
  assemble(model, frozen, lambda);
  if (!factor()) return false;
  right_hand_side(model, frozen, y);
  work_.triangularView<Eigen::Lower>().solveInPlace(y);
  work_.triangularView<Eigen::Lower>().transpose().solveInPlace(y);
  return y.allFinite();
}

void LinearSolver::undamped(const Model& model, const Mask& frozen, Vector& y) {
  if (iterative_) return iterative_->solve(model, frozen, 0, y);
  assemble(model, frozen, 0);
  // No eigenvalue of a matrix with a diagonal of at most 1 exceeds its size.
  const double clearly_regular = 10 * null_threshold_ * static_cast<double>(model.size());
  const bool regular = factor() && smallest_eigenvalue(work_, v_, w_) > clearly_regular;
  right_hand_side(model, frozen, y);
  if (regular) {
    work_.triangularView<Eigen::Lower>().solveInPlace(y);
    work_.triangularView<Eigen::Lower>().transpose().solveInPlace(y);
  } else {
    assemble(model, frozen, 0);
    shortest(y);
  }
}

void LinearSolver::shortest(Vector& y) {
  decompose(work_, eigen_);
  const Vector& values = eigen_.eigenvalues();
  const double smallest = null_threshold_ * values[values.size() - 1];
  v_.noalias() = eigen_.eigenvectors().transpose() * y;
  for (Index i = 0; i < v_.size(); ++i) v_[i] = values[i] > smallest ? v_[i] / values[i] : 0;
  y.noalias() = eigen_.eigenvectors() * v_;
}

}  // namespace diffrt::solver
