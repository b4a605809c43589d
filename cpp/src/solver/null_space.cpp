#include "solver/null_space.hpp"

#include <cmath>

#include "solver/ldlt.hpp"

namespace diffrt::solver {
namespace {

constexpr int kPowers = 60, kIterations = 100;
constexpr double kConverged = 1e-11;

// Numbers in [-1, 1] that look like chance, the same each time.
Matrix irregular(Index rows, Index columns) {
  Matrix X(rows, columns);
  std::uint64_t state = 1;
  for (Index k = 0; k < X.size(); ++k) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    X.data()[k] = static_cast<double>(state >> 11) * 0x1p-52 - 1;
  }
  return X;
}

// By the power method, from below.
double largest_eigenvalue(const Sparse& A) {
  Vector x = irregular(A.cols(), 1).normalized(), y(x.size());
  double value = 0;
  for (int k = 0; k < kPowers; ++k) {
    y.noalias() = A * x;
    value = x.dot(y);
    const double length = y.norm();
    if (!(length > 0)) break;
    x = y / length;
  }
  return value;
}

Sparse shifted(const Sparse& A, double shift) {
  Sparse out = A;
  for (Index j = 0; j < out.cols(); ++j) out.coeffRef(j, j) += shift;
  return out;
}

void orthonormalise(Matrix& X) {
  const Eigen::HouseholderQR<Matrix> qr(X);
  X = qr.householderQ() * Matrix::Identity(X.rows(), X.cols());
}

}  // namespace

NullSpace null_space(const Sparse& A, double null_threshold, double largest) {
  const Index n = A.cols();
  const double zero = null_threshold * std::max(largest_eigenvalue(A), largest);
  NullSpace space;
  space.vectors.resize(n, 0);
  Cholesky factor;
  factor.arrange(A);
  if (factor.compute(shifted(A, -zero))) return space;
  Ldlt ldlt;
  ldlt.arrange(A);
  ldlt.compute(shifted(A, -zero));
  const Index nulls = (ldlt.pivots().array() <= 0).count();
  const Index width = std::min(n, nulls + std::max<Index>(8, std::min<Index>(nulls, 100)));

  // Where rounding has made A indefinite, by a little, a little more makes it definite again.
  for (double shift = std::max(zero / 8, 1e-16); !factor.compute(shifted(A, shift)) && shift < 1;) shift *= 2;
  Matrix X = irregular(n, width), image(n, width);
  EigenSolver ritz;
  for (int k = 0; k < kIterations; ++k) {
    factor.solve(X);
    orthonormalise(X);
    image.noalias() = A * X;
    decompose(X.transpose() * image, ritz);
    X = (X * ritz.eigenvectors()).eval();
    image = (image * ritz.eigenvectors()).eval();
    const auto values = ritz.eigenvalues().head(nulls);
    const double off =
        (image.leftCols(nulls) - X.leftCols(nulls) * values.asDiagonal()).colwise().norm().maxCoeff();
    if (off <= kConverged) break;
  }
  space.vectors = X.leftCols(nulls);
  space.values = ritz.eigenvalues().head(nulls);
  return space;
}

}  // namespace diffrt::solver
