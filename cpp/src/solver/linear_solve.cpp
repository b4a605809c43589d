// Cholesky where it can, eigenvectors where H is singular and nothing damps it, conjugate gradients where the
// factor is too large.
#include "solver/linear_solve.hpp"

namespace diffrt::solver {
namespace {

// A part that is smaller, or fuller, than these is dense.
constexpr Index kSmall = 32;
constexpr double kFull = 0.15;

// Operations of a sparse factor beyond which conjugate gradients are tried: some ten seconds.
constexpr double kMostOperations = 1e11;

constexpr int kRest = -1;  // of a parameter that is in no dense part

// What keeps conjugate gradients from running off along the rounding errors of a singular matrix.
constexpr double kLeast = 1e-14;

}  // namespace

LinearSolver::LinearSolver(Index size, Index dense_limit)
    : dense_limit_(dense_limit), right_(size), v_(size), w_(size) {}

void LinearSolver::arrange(const Sparse& H) {
  const int *outer = H.outerIndexPtr(), *inner = H.innerIndexPtr();
  const auto starts = count(H.cols()) + 1, entries = count(H.nonZeros());
  const bool anew = forgotten_;
  forgotten_ = false;
  if (!(anew && extended_) && outer_.size() == starts && inner_.size() == entries &&
      std::equal(outer_.begin(), outer_.end(), outer) && std::equal(inner_.begin(), inner_.end(), inner))
    return;
  extended_ = !anew && extend(H);
  outer_.assign(outer, outer + starts);
  inner_.assign(inner, inner + entries);
  fullest_ = static_cast<double>(fullest_column(H));
  if (extended_) return;

  const Parts parts(
      H, [](int, int) { return true; }, [](int) { return true; });
  dense_.clear();
  std::vector<int> rest;
  std::size_t largest = 0;
  bool too_full = false;
  part_of_.assign(count(H.cols()), kRest);
  for (std::size_t k = 0; k < parts.size(); ++k) {
    const Span<const int> part = parts[k];
    double stored = 0;
    for (const int i : part) stored += outer[i + 1] - outer[i];
    const auto n = index(part.size());
    const bool full = stored > kFull * static_cast<double>(n * n);
    if (n <= std::min(kSmall, dense_limit_) || (n <= dense_limit_ && full)) {
      for (const int i : part) part_of_[count(i)] = static_cast<int>(dense_.size());
      dense_.emplace_back(part.begin(), part.end());
      largest = std::max(largest, part.size());
    } else {
      rest.insert(rest.end(), part.begin(), part.end());
      too_full = too_full || (full && n > dense_limit_);
    }
  }
  work_.resize(largest * largest);
  rest_ = std::move(rest);
  local_.assign(count(H.cols()), -1);
  for (std::size_t i = 0; i < rest_.size(); ++i) local_[count(rest_[i])] = static_cast<int>(i);
  arrange_rest(H);
  iterative_.reset();
  if (rest_.empty()) return;
  if (!too_full) factor_.arrange(A_);
  if (too_full || factor_.operations() > kMostOperations) iterative_.emplace(index(rest_.size()));
}

// H may have the entries that it had, and some more within the same parts: then they go where there is room.
bool LinearSolver::extend(const Sparse& H) {
  if (outer_.size() != count(H.cols()) + 1 || iterative_) return false;
  std::vector<std::pair<int, int>> further;
  for (int j = 0; j < H.cols(); ++j) {
    const int *old = inner_.data() + outer_[count(j)], *old_end = inner_.data() + outer_[count(j) + 1];
    const int *now = H.innerIndexPtr() + H.outerIndexPtr()[j],
              *end = H.innerIndexPtr() + H.outerIndexPtr()[j + 1];
    if (std::equal(old, old_end, now, end)) continue;
    for (; now != end; ++now) {
      if (old != old_end && *old == *now) {
        ++old;
        continue;
      }
      if (part_of_[count(*now)] != part_of_[count(j)]) return false;
      if (*now > j && part_of_[count(j)] == kRest)
        further.emplace_back(local_[count(*now)], local_[count(j)]);
    }
    if (old != old_end) return false;
  }
  if (rest_.empty()) return true;
  arrange_rest(H);
  if (!further.empty() && !factor_.extend(A_, further)) factor_.arrange(A_);
  return true;
}

void LinearSolver::arrange_rest(const Sparse& H) {
  places_.clear();
  std::vector<int> starts{0}, rows;
  for (std::size_t j = 0; j < rest_.size(); ++j) {
    // The members of a part ascend, so that these rows do, too.
    for (int k = H.outerIndexPtr()[rest_[j]]; k < H.outerIndexPtr()[rest_[j] + 1]; ++k) {
      const int i = local_[count(H.innerIndexPtr()[k])];
      if (i < static_cast<int>(j)) continue;
      rows.push_back(i);
      places_.push_back(k);
    }
    starts.push_back(static_cast<int>(rows.size()));
  }
  const Index n = index(rest_.size());
  A_.resize(n, n);
  A_.resizeNonZeros(index(rows.size()));
  std::copy(starts.begin(), starts.end(), A_.outerIndexPtr());
  std::copy(rows.begin(), rows.end(), A_.innerIndexPtr());
  rest_y_.resize(n);
}

LinearSolver::Block LinearSolver::assemble(Span<const int> part, const Model& model, const Mask& frozen,
                                           double lambda) {
  const Index n = index(part.size());
  Block A(work_.data(), n, n);
  const Sparse& H = *model.H;
  const int *outer = H.outerIndexPtr(), *inner = H.innerIndexPtr();
  const double* values = H.valuePtr();
  for (Index j = 0; j < n; ++j) {
    const int column = part[count(j)];
    A.col(j).tail(n - j).setZero();
    if (frozen[count(column)]) {
      A(j, j) = 1;
      continue;
    }
    // The rows of a column are members of its part, and both ascend.
    Index i = j;
    for (int k = outer[column]; k < outer[column + 1]; ++k) {
      const int row = inner[k];
      if (row < column) continue;
      while (part[count(i)] < row) ++i;
      if (!frozen[count(row)]) A(i, j) = model.scale[row] * values[k] * model.scale[column];
    }
    A(j, j) += lambda * model.damping[column];
  }
  return A;
}

void LinearSolver::assemble_rest(const Model& model, const Mask& frozen, double lambda) {
  const double* values = model.H->valuePtr();
  std::size_t k = 0;
  for (Index j = 0; j < A_.cols(); ++j) {
    const int column = rest_[count(j)];
    for (Sparse::InnerIterator entry(A_, j); entry; ++entry, ++k) {
      const int row = rest_[count(entry.row())];
      const bool fixed = frozen[count(row)] || frozen[count(column)];
      double& value = entry.valueRef();
      value = fixed ? 0 : model.scale[row] * values[places_[k]] * model.scale[column];
      if (row == column) value = fixed ? 1 : value + lambda * model.damping[column];
    }
  }
}

void LinearSolver::start(const Model& model, const Mask& frozen, Vector& y) {
  arrange(*model.H);
  for (Index i = 0; i < model.size(); ++i) y[i] = frozen[count(i)] ? 0 : -model.gradient[i];
}

void LinearSolver::gather(Span<const int> part, const Vector& y) {
  for (std::size_t i = 0; i < part.size(); ++i) right_[index(i)] = y[part[i]];
}

void LinearSolver::scatter(Span<const int> part, Vector& y) const {
  for (std::size_t i = 0; i < part.size(); ++i) y[part[i]] = right_[index(i)];
}

bool LinearSolver::damp_part(Span<const int> part, const Model& model, const Mask& frozen, double lambda,
                             Vector& y) {
  Eigen::Ref<Matrix> A = assemble(part, model, frozen, lambda);
  if (Eigen::LLT<Eigen::Ref<Matrix>>(A).info() != Eigen::Success) return false;
  gather(part, y);
  auto right = right_.head(A.cols());
  A.triangularView<Eigen::Lower>().solveInPlace(right);
  A.triangularView<Eigen::Lower>().transpose().solveInPlace(right);
  scatter(part, y);
  return true;
}

bool LinearSolver::damped(const Model& model, const Mask& frozen, double lambda, Vector& y) {
  start(model, frozen, y);
  for (const std::vector<int>& part : dense_) {
    if (!damp_part(part, model, frozen, lambda, y)) return false;
  }
  if (!rest_.empty()) {
    assemble_rest(model, frozen, iterative_ ? std::max(lambda, kLeast) : lambda);
    for (std::size_t i = 0; i < rest_.size(); ++i) rest_y_[index(i)] = y[rest_[i]];
    if (iterative_) {
      iterative_->solve(A_, rest_y_);
    } else {
      if (!factor_.compute(A_)) return false;
      factor_.solve(rest_y_);
    }
    for (std::size_t i = 0; i < rest_.size(); ++i) y[rest_[i]] = rest_y_[index(i)];
  }
  return y.allFinite();
}

void LinearSolver::undamped(const Model& model, const Mask& frozen, double null_threshold, Vector& y) {
  start(model, frozen, y);
  for (const std::vector<int>& part : dense_) solve_part(part, model, frozen, null_threshold, y);
  if (!rest_.empty()) {
    assemble_rest(model, frozen, iterative_ ? kLeast : 0);
    for (std::size_t i = 0; i < rest_.size(); ++i) rest_y_[index(i)] = y[rest_[i]];
    iterative_ ? iterative_->solve(A_, rest_y_) : solve_rest(null_threshold);
    for (std::size_t i = 0; i < rest_.size(); ++i) y[rest_[i]] = rest_y_[index(i)];
  }
  // Eigenvectors leave rounding errors there, which would take a parameter off its bound.
  for (Index i = 0; i < model.size(); ++i) y[i] = frozen[count(i)] ? 0 : y[i];
}

void LinearSolver::solve_part(Span<const int> part, const Model& model, const Mask& frozen,
                              double null_threshold, Vector& y) {
  Eigen::Ref<Matrix> A = assemble(part, model, frozen, 0);
  const Index n = A.cols();
  auto right = right_.head(n), v = v_.head(n), w = w_.head(n);
  const bool regular = Eigen::LLT<Eigen::Ref<Matrix>>(A).info() == Eigen::Success &&
                       smallest_eigenvalue(A, v, w) > 10 * null_threshold * fullest_;
  gather(part, y);
  if (regular) {
    A.triangularView<Eigen::Lower>().solveInPlace(right);
    A.triangularView<Eigen::Lower>().transpose().solveInPlace(right);
  } else {
    shortest(assemble(part, model, frozen, 0), null_threshold, right);
  }
  scatter(part, y);
}

void LinearSolver::shortest(const Block& A, double null_threshold, Eigen::Ref<Vector> y) {
  const Index n = A.cols();
  decompose(A, eigen_);
  const Vector& values = eigen_.eigenvalues();
  const double smallest = null_threshold * values[n - 1];
  auto v = v_.head(n);
  v.noalias() = eigen_.eigenvectors().transpose() * y;
  for (Index i = 0; i < n; ++i) v[i] = values[i] > smallest ? v[i] / values[i] : 0;
  y.noalias() = eigen_.eigenvectors() * v;
}

// A singular matrix is damped by what counts as zero: what it determines hardly moves, and nothing else runs
// off.
void LinearSolver::solve_rest(double null_threshold) {
  const bool regular =
      factor_.compute(A_) && smallest_eigenvalue(factor_, rest_y_.size()) > 10 * null_threshold * fullest_;
  for (double added = null_threshold; !regular;) {
    for (Index j = 0; j < A_.cols(); ++j) A_.coeffRef(j, j) += added;
    if (factor_.compute(A_) || !(added < 1)) break;
    added *= 10;
  }
  factor_.solve(rest_y_);
}

}  // namespace diffrt::solver
