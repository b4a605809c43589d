#include "solver/null_space.hpp"

#include <cmath>

#include "solver/ldlt.hpp"

namespace diffrt::solver {
namespace {

constexpr int kPowers = 60, kIterations = 100;
constexpr double kConverged = 1e-11;

// Of parameters that are looked at together, and which part of what counts as zero A v may be: what is left
// out moves an eigenvalue m of the rest by |A v|^2 / m.
constexpr int kNeighbours = 12;
constexpr double kPart = 0.5;

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

NullSpace null_space(const Sparse& A, double zero) {
  const Index n = A.cols();
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

namespace {

// Columns [first, first + result) have the same structure, and follow one another.
int neighbours(const Sparse& A, int first) {
  const int* outer = A.outerIndexPtr();
  const int length = outer[first + 1] - outer[first];
  int width = 1;
  while (width < kNeighbours && first + width < A.cols()) {
    const int *own = A.innerIndexPtr() + outer[first], *next = A.innerIndexPtr() + outer[first + width];
    if (outer[first + width + 1] - outer[first + width] != length || !std::equal(own, own + length, next))
      break;
    ++width;
  }
  return width;
}

}  // namespace

LocalNulls local_nulls(const Sparse& A, double zero) {
  std::vector<Triplet> directions, others;
  int found = 0, left = 0, width = 0;
  EigenSolver eigen;
  for (int first = 0; first < A.cols(); first += width) {
    width = neighbours(A, first);
    const int start = A.outerIndexPtr()[first], length = A.outerIndexPtr()[first + 1] - start;
    const int* const rows = A.innerIndexPtr() + start;
    const Eigen::Map<const Matrix> columns(A.valuePtr() + start, length,
                                           width);  // without the rows that are zero
    decompose(columns.middleRows(std::lower_bound(rows, rows + length, first) - rows, width), eigen);
    Index nulls = 0;  // eigenvalues ascend
    while (nulls < width && (columns * eigen.eigenvectors().col(nulls)).norm() <= kPart * zero) ++nulls;
    const auto add = [&](const Matrix& basis, std::vector<Triplet>& to, int& count) {
      for (Index k = 0; k < basis.cols(); ++k, ++count) {
        for (int i = 0; i < width; ++i) {
          if (basis(i, k) != 0) to.emplace_back(first + i, count, basis(i, k));
        }
      }
    };
    if (nulls == 0) {
      add(Matrix::Identity(width, width), others, left);
      continue;
    }
    Matrix basis = eigen.eigenvectors().leftCols(nulls);
    sparsify(basis);
    orient(basis);
    add(basis, directions, found);
    add(eigen.eigenvectors().rightCols(width - nulls), others, left);
  }
  LocalNulls out{Sparse(A.rows(), found), Sparse(A.rows(), left)};
  out.directions.setFromTriplets(directions.begin(), directions.end());
  out.others.setFromTriplets(others.begin(), others.end());
  return out;
}

}  // namespace diffrt::solver
