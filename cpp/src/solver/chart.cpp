// Carrying the model between the tangent space and theta.
#include "solver/chart.hpp"

namespace diffrt::solver {

void Chart::update(const LeastSquaresProblem& problem, const Bounds& bounds, const Vector& theta) {
  curved_.clear();
  if (!bounds.any()) return;
  row_.resize(theta.size());
  const std::size_t size = count(theta.size());
  is_curved_.assign(size, 0);
  bool bounded = false;
  for (std::size_t i = 0; i < size; ++i) {
    problem.tangent_row(view(theta), i, view(row_));
    for (std::size_t j = 0; j < size; ++j) {
      if (row_[index(j)] == (i == j ? 1.0 : 0.0)) continue;
      is_curved_[i] = is_curved_[j] = true;
      bounded = bounded || bounds.on(i) || bounds.on(j);
    }
  }
  if (!bounded) return;
  for (std::size_t i = 0; i < size; ++i) {
    if (is_curved_[i]) curved_.push_back(index(i));
  }
  const Index n = index(curved_.size());
  A_.resize(n, n);
  for (Index i = 0; i < n; ++i) {
    problem.tangent_row(view(theta), count(curved_[count(i)]), view(row_));
    for (Index j = 0; j < n; ++j) A_(i, j) = row_[curved_[count(j)]];
  }
  inverse_.compute(A_);
}

// The rows of a matrix (or components of a vector) that are curved, and back.
void Chart::gather(const Matrix& from) {
  rows_.resize(index(curved_.size()), from.cols());
  for (std::size_t i = 0; i < curved_.size(); ++i) rows_.row(index(i)) = from.row(curved_[i]);
}

void Chart::scatter(Matrix& to) const {
  for (std::size_t i = 0; i < curved_.size(); ++i) to.row(curved_[i]) = rows_.row(index(i));
}

void Chart::to_theta(Model& model) {
  if (flat()) return;
  for (int side = 0; side < 2; ++side) {  // A^-T from the left, then, H being symmetric, from the other side
    gather(model.H);
    rows_ = inverse_.transpose().solve(rows_).eval();
    scatter(model.H);
    model.H.transposeInPlace();
  }
  Matrix g = model.g;
  gather(g);
  rows_ = inverse_.transpose().solve(rows_).eval();
  scatter(g);
  model.g = g;
}

void Chart::to_tangent(Matrix& H, Vector& g) {
  if (flat()) return;
  for (int side = 0; side < 2; ++side) {
    gather(H);
    rows_ = (A_.transpose() * rows_).eval();
    scatter(H);
    H.transposeInPlace();
  }
  Matrix column = g;
  gather(column);
  rows_ = (A_.transpose() * rows_).eval();
  scatter(column);
  g = column;
}

void Chart::step_to_tangent(Vector& d) {
  if (flat()) return;
  Matrix column = d;
  directions_to_tangent(column);
  d = column;
}

void Chart::directions_to_tangent(Matrix& columns) {
  if (flat() || columns.cols() == 0) return;
  gather(columns);
  rows_ = inverse_.solve(rows_).eval();
  scatter(columns);
}

void Chart::covariance_to_tangent(Matrix& C) {
  if (flat()) return;
  for (int side = 0; side < 2; ++side) {
    directions_to_tangent(C);
    C.transposeInPlace();
  }
}

}  // namespace diffrt::solver
