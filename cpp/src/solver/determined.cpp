#include "solver/determined.hpp"

#include "solver/ldlt.hpp"
#include "solver/null_space.hpp"

namespace diffrt::solver {
namespace {

// Parts up to this size, or so full, are dense.
constexpr Index kSmall = 256;
constexpr double kFull = 0.15;

class DensePart : public DeterminedPart {
 public:
  DensePart(Span<const int> part, const Matrix& A, double null_threshold, double largest)
      : DeterminedPart(part) {
    const Index n = A.rows();
    null.resize(n, 0);
    const Eigen::LLT<Matrix> cholesky(A);
    Vector v(n), w(n);
    const double clearly_regular = 10 * null_threshold * static_cast<double>(n);
    if (cholesky.info() == Eigen::Success &&
        smallest_eigenvalue(cholesky.matrixLLT(), v, w) > clearly_regular) {
      inverse_ = cholesky.solve(Matrix::Identity(n, n));
      return;
    }
    EigenSolver eigen;
    decompose(A, eigen);
    const Vector& values = eigen.eigenvalues();
    const double zero = null_threshold * std::max(values[n - 1], largest);
    Index nulls = 0;
    while (nulls < n && !(values[nulls] > zero)) ++nulls;
    Matrix basis = eigen.eigenvectors().leftCols(nulls);
    const auto rest = eigen.eigenvectors().rightCols(n - nulls);
    inverse_ = rest * values.tail(n - nulls).cwiseInverse().asDiagonal() * rest.transpose();
    sparsify(basis);
    orient(basis);
    null = basis.sparseView();
  }
  double entry(Index i, Index j) const override { return inverse_(i, j); }
  Matrix apply(const Matrix& X) const override { return inverse_ * X; }

 private:
  Matrix inverse_;
};

// A^+ of a large part, from the factor of a part of it that is regular. With V an orthonormal basis of the
// null space and L its eigenvalues, A - V L V' is singular exactly; as many rows and columns are left out of
// it as V has, so that the rest can be inverted, Z' = Z + Y K Y' (Woodbury), and then A^+ = (1 - V V') Z' (1
// - V V').
class SparsePart : public DeterminedPart {
 public:
  // `zero`: eigenvalues up to it count as zero.
  SparsePart(Span<const int> part, const Sparse& A, double zero) : DeterminedPart(part) {
    NullSpace space = null_space(A, zero);
    const Index n = A.cols(), k = space.vectors.cols();
    V_ = space.vectors;
    Matrix basis = V_;
    std::vector<char> left_out(count(n), 0);
    for (const int row : sparsify(basis)) left_out[count(row)] = 1;
    orient(basis);
    null = basis.sparseView();
    local_.assign(count(n), -1);
    for (Index i = 0; i < n; ++i) {
      if (left_out[count(i)]) continue;
      local_[count(i)] = static_cast<int>(kept_.size());
      kept_.push_back(static_cast<int>(i));
    }
    regular_ = submatrix(A, kept_);
    factor_.arrange(regular_);
    if (!factor_.compute(regular_)) {  // rounding: the least that makes it definite
      for (Index j = 0; j < regular_.cols(); ++j) regular_.coeffRef(j, j) += zero;
      factor_.compute(regular_);
    }
    if (k == 0) return;
    Y_ = solve(V_);
    const Matrix L = space.values.asDiagonal(), Q = V_.transpose() * Y_;
    K_ = L * (Matrix::Identity(k, k) - Q * L).fullPivLu().inverse();
    G_ = Y_ + Y_ * (K_ * Q);
    W_ = V_.transpose() * G_;
  }

  double entry(Index i, Index j) const override {
    if (at_.cols() == 0 && regular_.cols() > 0) {
      Ldlt ldlt;
      ldlt.arrange(regular_);
      ldlt.compute(regular_);
      at_ = ldlt.inverse_at(regular_);
    }
    const int a = local_[count(i)], b = local_[count(j)];
    const double z = a < 0 || b < 0 ? 0 : at_.coeff(std::max(a, b), std::min(a, b));
    if (V_.cols() == 0) return z;
    const auto Yi = Y_.row(i), Yj = Y_.row(j), Vi = V_.row(i), Vj = V_.row(j);
    return z + Yi.dot(Yj * K_.transpose()) - Vi.dot(G_.row(j)) - G_.row(i).dot(Vj) +
           Vi.dot(Vj * W_.transpose());
  }

  Matrix apply(const Matrix& X) const override {
    if (V_.cols() == 0) return solve(X);
    const Matrix Yx = Y_.transpose() * X, Vx = V_.transpose() * X, Gx = G_.transpose() * X;
    return solve(X) + Y_ * (K_ * Yx) - V_ * Gx - G_ * Vx + V_ * (W_ * Vx);
  }

 private:
  // Z X: what is left out is zero.
  Matrix solve(const Matrix& X) const {
    Matrix kept(index(kept_.size()), X.cols()), out = Matrix::Zero(X.rows(), X.cols());
    for (std::size_t i = 0; i < kept_.size(); ++i) kept.row(index(i)) = X.row(kept_[i]);
    factor_.solve(kept);
    for (std::size_t i = 0; i < kept_.size(); ++i) out.row(kept_[i]) = kept.row(index(i));
    return out;
  }

  Matrix V_, Y_, K_, G_, W_;
  std::vector<int> kept_, local_;
  Sparse regular_;
  Cholesky factor_;
  mutable Sparse at_;  // Z where A has entries, made when it is first asked for
};

// A part some of whose null directions are those of few parameters: a vertex that may slide in a plane. They
// are found parameter by parameter, rather than among all, and what is left is determined by itself, in the
// coordinates Q that are orthogonal to them: A^+ = Q (Q'AQ)^+ Q'.
class RotatedPart : public DeterminedPart {
 public:
  RotatedPart(Span<const int> part, Sparse Q, const Sparse& local, std::unique_ptr<DeterminedPart> rest)
      : DeterminedPart(part), Q_(std::move(Q)), rows_(Q_.transpose()), rest_(std::move(rest)) {
    const Sparse others = Q_ * rest_->null;
    std::vector<Triplet> entries;
    const auto add = [&](const Sparse& columns, int first) {
      for (int j = 0; j < columns.cols(); ++j) {
        for (Sparse::InnerIterator entry(columns, j); entry; ++entry)
          entries.emplace_back(static_cast<int>(entry.row()), first + j, entry.value());
      }
    };
    add(local, 0);
    add(others, static_cast<int>(local.cols()));
    null.resize(size(), local.cols() + others.cols());
    null.setFromTriplets(entries.begin(), entries.end());
  }
  double entry(Index i, Index j) const override {
    double sum = 0;
    for (Sparse::InnerIterator a(rows_, i); a; ++a) {
      for (Sparse::InnerIterator b(rows_, j); b; ++b)
        sum += a.value() * b.value() * rest_->entry(a.row(), b.row());
    }
    return sum;
  }
  Matrix apply(const Matrix& X) const override { return Q_ * rest_->apply(rows_ * X); }

 private:
  Sparse Q_, rows_;
  std::unique_ptr<DeterminedPart> rest_;
};

std::unique_ptr<DeterminedPart> sparse_part(Span<const int> part, const Sparse& A, double zero) {
  const LocalNulls found = local_nulls(A, zero);
  if (found.directions.cols() == 0) return std::make_unique<SparsePart>(part, A, zero);
  const Sparse rest = found.others.transpose() * A * found.others;
  std::vector<int> members(count(rest.cols()));
  for (std::size_t i = 0; i < members.size(); ++i) members[i] = static_cast<int>(i);
  return std::make_unique<RotatedPart>(part, found.others, found.directions,
                                       std::make_unique<SparsePart>(members, rest, zero));
}

}  // namespace

Determined::Determined(const Sparse& A, const Mask& free, double null_threshold, Index dense_limit) {
  const Vector diagonal = A.diagonal();
  double largest = 0;
  for (Index i = 0; i < A.cols(); ++i) {
    if (free[count(i)]) largest = std::max(largest, diagonal[i]);
  }
  // What moves nothing is connected with nothing.
  const auto moves = [&](int i) { return free[count(i)] && diagonal[i] > 0; };
  const Parts connected(
      A, [&](int i, int k) { return moves(i) && moves(A.innerIndexPtr()[k]); },
      [&](int i) { return free[count(i)] != 0; });
  for (std::size_t k = 0; k < connected.size(); ++k) {
    const Span<const int> part = connected[k];
    const Index n = index(part.size());
    const Sparse own = submatrix(A, part);
    const bool full =
        static_cast<double>(own.nonZeros()) > kFull * static_cast<double>(n) * static_cast<double>(n);
    if (n == 1 || n <= std::min(kSmall, dense_limit) || (n <= dense_limit && full)) {
      parts_.push_back(std::make_unique<DensePart>(part, Matrix(own), null_threshold, largest));
    } else {
      parts_.push_back(sparse_part(part, own, null_threshold * std::max(largest_eigenvalue(own), largest)));
    }
    rank_ += n - parts_.back()->null.cols();
  }
}

}  // namespace diffrt::solver
