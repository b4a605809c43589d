// Rank, null directions and covariances of H over the free parameters.
#include "solver/uncertainty.hpp"

#include <cmath>

#include "solver/apparent.hpp"
#include "solver/spectrum.hpp"

namespace diffrt::solver {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// A parameter whose share in a null direction, in scaled coordinates, is below this is taken as determined:
// float kernels leave about 1e-7 / (gap between eigenvalues) of noise there.
constexpr double kShare = 1e-3;

// The largest number of parameters for which the covariance is put to the test, which takes its eigenvectors.
constexpr Index kMostTested = 300;

// The free parameters of the model, scaled to a unit diagonal, and what follows from their eigenvalues.
class FreePart {
 public:
  FreePart(const Model& model, const Mask& frozen, double null_threshold) : size_(model.size()) {
    for (Index i = 0; i < size_; ++i) {
      if (!frozen[count(i)]) free_.push_back(i);
    }
    const Index n = index(free_.size());
    scale_.resize(n);
    for (Index i = 0; i < n; ++i) scale_[i] = model.scale[free_[count(i)]];
    Matrix A(n, n);
    for (Index j = 0; j < n; ++j) {
      for (Index i = j; i < n; ++i) {
        const Index row = free_[count(i)], column = free_[count(j)];
        A(i, j) = A(j, i) = scale_[i] * model.H(row, column) * scale_[j];
      }
    }
    invert(A, null_threshold);
  }

  Index rank() const { return index(free_.size()) - null_.cols(); }

  // (J'WJ)^+ in the model's coordinates, zero where frozen.
  Matrix inverse() const {
    Matrix out = Matrix::Zero(size_, size_);
    for (Index j = 0; j < inverse_.cols(); ++j) {
      for (Index i = 0; i < inverse_.rows(); ++i) {
        out(free_[count(i)], free_[count(j)]) = scale_[i] * inverse_(i, j) * scale_[j];
      }
    }
    return out;
  }

  // Null directions as columns, in the model's coordinates; zero where frozen.
  Matrix null_directions() const {
    Matrix out = Matrix::Zero(size_, null_.cols());
    for (Index i = 0; i < null_.rows(); ++i) out.row(free_[count(i)]) = null_.row(i) * scale_[i];
    return out;
  }

  // Flags the parameters that take part in one.
  Mask undetermined() const {
    Mask flags(count(size_), 0);
    for (Index i = 0; i < null_.rows(); ++i) {
      flags[count(free_[count(i)])] = (null_.row(i).array().abs() > kShare).any();
    }
    return flags;
  }

 private:
  void invert(Matrix& A, double null_threshold) {
    const Index n = A.rows();
    null_.resize(n, 0);
    if (n == 0) return;
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
    Index nulls = 0;
    while (nulls < n && !(values[nulls] > null_threshold * values[n - 1])) ++nulls;
    null_ = eigen.eigenvectors().leftCols(nulls);
    const auto rest = eigen.eigenvectors().rightCols(n - nulls);
    inverse_ = rest * values.tail(n - nulls).cwiseInverse().asDiagonal() * rest.transpose();
    sparsify(null_);  // here, where no component is large for its unit only
    orient(null_);
  }

  Index size_;
  std::vector<Index> free_;
  Vector scale_;
  Matrix inverse_, null_;  // of the free part, scaled
};

std::vector<double> row_major(const Matrix& symmetric) {
  return {symmetric.data(), symmetric.data() + symmetric.size()};
}

// A parameter of which a null direction moves a share is not known at all, whatever the pseudo-inverse says.
void mark_undetermined(const Mask& undetermined, Matrix& covariance) {
  for (Index i = 0; i < covariance.rows(); ++i) {
    if (!undetermined[count(i)]) continue;
    covariance.row(i).setConstant(kNaN);
    covariance.col(i).setConstant(kNaN);
  }
  for (Index i = 0; i < covariance.rows(); ++i) {
    if (undetermined[count(i)]) covariance(i, i) = kInfinity;
  }
}

// Puts the covariance to the test, and takes from what is determined whatever does not pass: the direction,
// and the parameters of whose variance it makes up half.
void test_covariance(LeastSquaresProblem& problem, const SolveOptions& options, const Point& point,
                     const Matrix& bread, Mask& undetermined, Matrix& directions, SolveResult& result) {
  const Index P = bread.rows();
  const Vector theta = Eigen::Map<const Vector>(result.theta.data(), P);
  Vector sizes(P);
  if (!converged(result.status) && result.status != Status::stalled)
    return;  // elsewhere the cost has a slope
  if (P > kMostTested || !problem.magnitudes(view(theta), view(sizes)) || !(sizes.array() > 0).all()) return;
  Matrix covariance = result.residual_variance * bread;
  for (Index i = 0; i < P; ++i) {
    if (undetermined[count(i)]) covariance.row(i).setZero(), covariance.col(i).setZero();
  }
  if (!covariance.allFinite()) return;
  Matrix apparent =
      apparent_directions(problem, options.priors, theta, point, covariance, sizes, result.residual_variance);
  for (Index k = 0; k < apparent.cols(); ++k) {
    const Vector squares = apparent.col(k).cwiseAbs2();
    for (Index i = 0; i < P; ++i) {
      if (squares[i] > 0.5 * covariance(i, i)) undetermined[count(i)] = 1;
    }
  }
  orient(apparent);
  Matrix all(P, directions.cols() + apparent.cols());
  all << directions, apparent;
  directions = std::move(all);
  result.rank -= count(apparent.cols());
}

// The sandwich's filling: the data's scatter, and the prior rows with the unit variance they have by
// definition.
bool scatter(LeastSquaresProblem& problem, const std::vector<Prior>& priors, const Vector& theta, Matrix& M) {
  M.resize(theta.size(), theta.size());
  if (!problem.gradient_scatter(view(theta), view(M))) return false;
  Vector row(theta.size());
  for (const Prior& prior : priors) {
    problem.tangent_row(view(theta), prior.index, view(row));
    M.noalias() += row * row.transpose() / (prior.sigma * prior.sigma);
  }
  return true;
}

}  // namespace

void analyse(LeastSquaresProblem& problem, const SolveOptions& options, double null_threshold,
             const Model& model, const Point& point, const Mask& frozen, Chart& chart, SolveResult& result) {
  const FreePart free(model, frozen, null_threshold);
  result.analysed = true;
  result.rank = count(free.rank());

  Matrix directions = free.null_directions();
  chart.directions_to_tangent(directions);
  orient(directions);
  const auto store = [&] {
    const double* columns = directions.data();  // which are the rows of the result
    result.null_directions.assign(columns, columns + directions.size());
  };
  store();

  const double rows = static_cast<double>(result.count + options.priors.size());
  const double left_over = rows - static_cast<double>(result.rank);
  if (!(left_over > 0)) return;
  result.residual_variance = 2 * result.cost / left_over;

  Mask undetermined = free.undetermined();
  if (!chart.flat()) {
    for (Index i = 0; i < directions.rows(); ++i) {
      undetermined[count(i)] = undetermined[count(i)] || (directions.row(i).array().abs() > kShare).any();
    }
  }

  Matrix bread = free.inverse();
  chart.covariance_to_tangent(bread);
  test_covariance(problem, options, point, bread, undetermined, directions, result);
  store();
  Matrix covariance = result.residual_variance * bread;
  mark_undetermined(undetermined, covariance);
  result.covariance = row_major(covariance);

  Matrix M;
  const Vector theta = Eigen::Map<const Vector>(result.theta.data(), model.size());
  if (!scatter(problem, options.priors, theta, M)) return;
  covariance = (rows / left_over) * bread * M * bread;
  mark_undetermined(undetermined, covariance);
  result.covariance_sandwich = row_major(covariance);
}

}  // namespace diffrt::solver
