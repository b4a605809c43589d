// Sparse matrices of the solver, against dense ones: factors, what is determined, whole solves.
#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

#include "diffrt/least_squares.hpp"
#include "solver/cholesky.hpp"
#include "solver/determined.hpp"
#include "solver/ldlt.hpp"
#include "solver/normal_matrix.hpp"

namespace {

using namespace diffrt;
using solver::Index;
using solver::Matrix;
using solver::Sparse;
using solver::Vector;
using Numbers = std::vector<double>;

// Sum of squares of rows that each mix a few of n parameters, in blocks of `block`: neighbours on a grid, so
// that factors fill in as they do for meshes.
class Grid : public LeastSquaresProblem {
 public:
  // `loose`: of the parameters, how many no row speaks of. `gauges`: parts of the grid that only differences
  // see.
  // `slides`: of the parameters of a node only one sum is seen, as of a vertex in a plane.
  Grid(int across, int block, int loose, int gauges, bool sparse, bool slides = false) : sparse_(sparse) {
    std::mt19937 random(7);
    std::uniform_real_distribution<double> number(-1, 1);
    const int nodes = across * across;
    size_ = static_cast<std::size_t>(nodes * block + loose);
    for (int a = 0; a < nodes; ++a) {
      std::vector<int> others;
      if ((a + 1) % across != 0) others.push_back(a + 1);
      if (a + across < nodes) others.push_back(a + across);
      if ((a + 1) % across != 0 && a + across + 1 < nodes) others.push_back(a + across + 1);
      for (const int b : others) {
        for (int k = 0; k < 2 * block; ++k) {
          Row row;
          for (int i = 0; i < block; ++i) {
            const double x = number(random);
            row.entries.emplace_back(a * block + i, x);
            row.entries.emplace_back(b * block + i, i < gauges ? -x : number(random));
          }
          if (slides) slide(row, block);
          row.datum = number(random);
          rows_.push_back(row);
        }
      }
    }
  }

  std::size_t size() const override { return size_; }
  Evaluation cost(Span<const double> x) override {
    Evaluation out;
    for (const Row& row : rows_) out.cost += 0.5 * residual(row, x) * residual(row, x);
    out.count = rows_.size();
    return out;
  }
  Evaluation normal_equations(Span<const double> x, Span<double> H, Span<double> g) override {
    fill(
        x, g, [&](std::size_t i, std::size_t j, double h) { H[i * size_ + j] += h; }, H, true);
    return cost(x);
  }
  Evaluation sparse_normal_equations(Span<const double> x, SparseMatrix& H, Span<double> g) override {
    if (!sparse_) return LeastSquaresProblem::sparse_normal_equations(x, H, g);
    Numbers dense(size_ * size_);
    const Evaluation out = normal_equations(x, dense, g);
    H = compressed(dense);
    return out;
  }
  bool gradient_scatter(Span<const double> x, Span<double> M) override {
    for (double& m : M) m = 0;
    for (const Row& row : rows_) {
      const double r = residual(row, x);
      for (const auto& [i, a] : row.entries) {
        for (const auto& [j, b] : row.entries)
          M[static_cast<std::size_t>(i) * size_ + static_cast<std::size_t>(j)] += r * r * a * b;
      }
    }
    return true;
  }
  bool sparse_gradient_scatter(Span<const double> x, SparseMatrix& M) override {
    Numbers dense(size_ * size_);
    gradient_scatter(x, dense);
    M = compressed(dense);
    return true;
  }

 private:
  struct Row {
    std::vector<std::pair<int, double>> entries;
    double datum = 0;
  };
  static void slide(Row& row, int block) {
    const double shares[2] = {row.entries[0].second, row.entries[1].second};
    for (auto& [i, a] : row.entries) {
      const int node = i / block;
      a = shares[node == row.entries[0].first / block ? 0 : 1] * std::cos(1.0 + 3 * (i % block) + 0.7 * node);
    }
  }
  // A gentle nonlinearity.
  static double bent(double x) { return x + 0.05 * x * x * x; }
  double residual(const Row& row, Span<const double> x) const {
    double sum = 0;
    for (const auto& [i, a] : row.entries) sum += a * x[static_cast<std::size_t>(i)];
    return bent(sum) - row.datum;
  }
  template <class Add>
  void fill(Span<const double> x, Span<double> g, Add&& add, Span<double> H, bool) const {
    for (double& h : H) h = 0;
    for (double& v : g) v = 0;
    for (const Row& row : rows_) {
      double sum = 0;
      for (const auto& [i, a] : row.entries) sum += a * x[static_cast<std::size_t>(i)];
      const double slope = 1 + 0.15 * sum * sum, r = bent(sum) - row.datum;
      for (const auto& [i, a] : row.entries) {
        g[static_cast<std::size_t>(i)] += slope * a * r;
        for (const auto& [j, b] : row.entries)
          add(static_cast<std::size_t>(i), static_cast<std::size_t>(j), slope * slope * a * b);
      }
    }
  }
  SparseMatrix compressed(const Numbers& dense) const {
    SparseMatrix out;
    out.row_starts.push_back(0);
    for (std::size_t i = 0; i < size_; ++i) {
      for (std::size_t j = 0; j < size_; ++j) {
        if (dense[i * size_ + j] == 0) continue;
        out.columns.push_back(static_cast<std::int32_t>(j));
        out.values.push_back(dense[i * size_ + j]);
      }
      out.row_starts.push_back(static_cast<std::int64_t>(out.columns.size()));
    }
    return out;
  }

  std::vector<Row> rows_;
  std::size_t size_ = 0;
  bool sparse_;
};

// A symmetric matrix: a grid's, some nodes left out, and a few far connections.
Sparse grid_matrix(int across, int block, unsigned seed, double added) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> number(-1, 1);
  const int n = across * across * block;
  Matrix J = Matrix::Zero(3 * n, n);
  for (int row = 0; row < J.rows(); ++row) {
    const int a = static_cast<int>(random() % static_cast<unsigned>(across * across));
    int b = random() % 2 == 0 ? a + 1 : a + across;
    if (random() % 200 == 0) b = static_cast<int>(random());
    b = std::abs(b) % (across * across);
    for (int k = 0; k < block; ++k)
      J(row, a * block + k) = number(random), J(row, b * block + k) = number(random);
  }
  const Matrix H = J.transpose() * J + added * Matrix::Identity(n, n);
  const Vector scale = H.diagonal().array().max(1e-12).rsqrt();
  Sparse A = Matrix(scale.asDiagonal() * H * scale.asDiagonal()).sparseView();
  for (Index j = 0; j < n; ++j) A.coeffRef(j, j) += 0;  // a diagonal that is stored
  A.makeCompressed();
  return A;
}

}  // namespace

TEST_CASE("A sparse factor solves what a dense one solves") {
  for (const auto& [across, block] : {std::pair{1, 1}, {2, 1}, {3, 2}, {6, 3}, {9, 1}, {12, 3}, {10, 4}}) {
    for (unsigned seed = 0; seed < 5; ++seed) {
      CAPTURE(across);
      CAPTURE(block);
      CAPTURE(seed);
      const Sparse A = grid_matrix(across, block, seed, 0.1);
      const Sparse lower = A.triangularView<Eigen::Lower>();
      solver::Cholesky cholesky;
      solver::Ldlt ldlt;
      cholesky.arrange(lower);
      ldlt.arrange(lower);
      REQUIRE(cholesky.compute(lower));
      REQUIRE(ldlt.compute(lower));
      const Matrix inverse = Matrix(A).fullPivLu().inverse();
      Vector x = Vector::LinSpaced(A.cols(), -1, 2);
      const Vector expected = inverse * x;
      cholesky.solve(x);
      CHECK((x - expected).norm() <= 1e-11 * expected.norm());
      Matrix X = Matrix::Identity(A.cols(), A.cols());
      cholesky.solve(X);
      CHECK((X - inverse).norm() <= 1e-11 * inverse.norm());
      const Sparse at = ldlt.inverse_at(lower);
      for (Index j = 0; j < A.cols(); ++j) {
        for (Sparse::InnerIterator entry(at, j); entry; ++entry)
          CHECK(std::abs(entry.value() - inverse(entry.row(), j)) <= 1e-10 * inverse.norm());
      }
      // Other values of the same structure, and back; and what is not definite is told.
      Sparse other = lower;
      for (Index j = 0; j < A.cols(); ++j) other.coeffRef(j, j) += 1;
      REQUIRE(cholesky.compute(other));
      for (Index j = 0; j < A.cols(); ++j) other.coeffRef(j, j) = -0.01;
      CHECK_FALSE(cholesky.compute(other));
      other.coeffRef(0, 0) = std::nan("");
      CHECK_FALSE(cholesky.compute(other));
      other.coeffRef(0, 0) = HUGE_VAL;
      CHECK_FALSE(cholesky.compute(other));
      REQUIRE(cholesky.compute(lower));
      Vector again = Vector::LinSpaced(A.cols(), -1, 2);
      cholesky.solve(again);
      CHECK(again == x);
    }
  }
}

TEST_CASE("A factor takes further entries where it has filled in, and refuses others") {
  const int n = 64;
  std::vector<solver::Triplet> entries;
  for (int i = 0; i < n; ++i) entries.emplace_back(i, i, 4.0);
  for (int i = 1; i < n; ++i) entries.emplace_back(i, i - 1, -1.0);
  Sparse chain(n, n);
  chain.setFromTriplets(entries.begin(), entries.end());
  int taken = 0, refused = 0;
  for (int row = 2; row < n; ++row) {
    for (const int column : {0, row - 2}) {
      solver::Cholesky factor;
      factor.arrange(chain);
      std::vector<solver::Triplet> more = entries;
      more.emplace_back(row, column, 0.5);
      Sparse extended(n, n);
      extended.setFromTriplets(more.begin(), more.end());
      const bool fits = factor.extend(extended, {{row, column}});
      ++(fits ? taken : refused);
      const Sparse& A = fits ? extended : chain;
      REQUIRE(factor.compute(A));
      Vector x = Vector::LinSpaced(n, -1, 2);
      const Vector expected = Matrix(Matrix(A).selfadjointView<Eigen::Lower>()).fullPivLu().solve(x);
      factor.solve(x);
      CHECK((x - expected).norm() <= 1e-13);
    }
  }
  CHECK(taken > 0);
  CHECK(refused > 0);
}

TEST_CASE("What a sparse matrix determines is what the same, taken as dense, determines") {
  for (const int gauges : {0, 1, 2, 3}) {  // 3: none, but nodes of three parameters that slide
    Grid grid(13, gauges == 3 ? 3 : 2, 3, gauges % 3, true, gauges == 3);
    const std::size_t n = grid.size();
    Numbers theta(n, 0.1), H(n * n), g(n);
    grid.normal_equations(theta, H, g);
    const Matrix dense = Eigen::Map<const Matrix>(H.data(), static_cast<Index>(n), static_cast<Index>(n));
    const Vector scale = dense.diagonal().array().max(1e-12).rsqrt();
    Sparse A = Matrix(scale.asDiagonal() * dense * scale.asDiagonal()).sparseView();
    for (Index j = 0; j < A.cols(); ++j) A.coeffRef(j, j) += 0;
    A.makeCompressed();
    solver::Mask free(n, 1);
    free[5] = 0;
    const solver::Determined by_factor(A, free, 1e-10, 10), by_eigenvectors(A, free, 1e-10, 1000);
    CHECK(by_factor.rank() == by_eigenvectors.rank());
    REQUIRE(by_factor.parts().size() == by_eigenvectors.parts().size());
    for (std::size_t k = 0; k < by_factor.parts().size(); ++k) {
      const auto &a = *by_factor.parts()[k], &b = *by_eigenvectors.parts()[k];
      CAPTURE(gauges);
      CAPTURE(k);
      CHECK(a.members == b.members);
      REQUIRE(a.null.cols() == b.null.cols());
      const Matrix identity = Matrix::Identity(a.size(), a.size());
      const Matrix inverse = b.apply(identity);
      CHECK((a.apply(identity) - inverse).norm() <= 1e-8 * (1 + inverse.norm()));
      for (Index i = 0; i < a.size(); ++i)
        CHECK(std::abs(a.entry(i, i) - inverse(i, i)) <= 1e-8 * inverse.norm());
      if (a.null.cols() == 0) continue;
      // The same span.
      const Matrix found = a.null, expected = b.null;
      const Matrix q =
          Eigen::HouseholderQR<Matrix>(expected).householderQ() * Matrix::Identity(a.size(), found.cols());
      CHECK((found - q * (q.transpose() * found)).norm() <= 1e-7);
    }
  }
}

TEST_CASE("A sparse problem is solved as the same, given densely") {
  for (const int gauges : {0, 1}) {
    for (const Method method : {Method::levenberg_marquardt, Method::gauss_newton}) {
      CAPTURE(gauges);
      CAPTURE(method == Method::gauss_newton);
      Grid sparse(11, 3, 2, gauges, true), dense(11, 3, 2, gauges, false);
      const std::size_t n = dense.size();
      SolveOptions options;
      options.method = method;
      options.max_steps = 100;
      options.gradient_tolerance = 1e-12;
      options.priors = {Prior{4, 0.2, 0.5}, Prior{n - 1, 0.3, 0.1}};
      options.lower = Numbers(n, -0.4);
      options.upper = Numbers(n, 0.5);
      const SolveResult a = solve(sparse, Numbers(n, 0.1), options),
                        b = solve(dense, Numbers(n, 0.1), options);
      CAPTURE(name(a.status));
      CHECK(converged(a.status));
      CHECK(a.steps == b.steps);
      CHECK(a.held == b.held);
      CHECK(a.rank == b.rank);
      CHECK(a.H_sparse.values.size() < b.H_sparse.values.size() / 5);
      for (std::size_t i = 0; i < n; ++i)
        CHECK(a.theta[i] == doctest::Approx(b.theta[i]).epsilon(1e-7).scale(1e-2));
      for (std::size_t i = 0; i < n * n; ++i)
        CHECK(a.H[i] == doctest::Approx(b.H[i]).epsilon(1e-6).scale(1e-2));
      for (std::size_t i = 0; i < n; ++i) {
        const double x = a.covariance[i * (n + 1)], y = b.covariance[i * (n + 1)];
        CHECK(std::isinf(x) == std::isinf(y));
        if (!std::isinf(x)) CHECK(x == doctest::Approx(y).epsilon(1e-6));
        const double s = a.covariance_sandwich[i * (n + 1)], t = b.covariance_sandwich[i * (n + 1)];
        if (!std::isinf(s)) CHECK(s == doctest::Approx(t).epsilon(1e-6));
      }
    }
  }
}

TEST_CASE("Beyond dense_limit the same is had without matrices of P x P numbers") {
  Grid grid(11, 3, 2, 1, true);
  const std::size_t n = grid.size();
  SolveOptions options;
  const SolveResult whole = solve(grid, Numbers(n, 0.1), options);
  options.dense_limit = 20;
  const SolveResult result = solve(grid, Numbers(n, 0.1), options);
  CHECK(result.H.empty());
  CHECK(result.covariance.empty());
  CHECK_FALSE(result.analysed);
  CHECK_FALSE(result.rank.has_value());
  REQUIRE(result.uncertainty);
  const Uncertainty& uncertainty = *result.uncertainty;
  CHECK(uncertainty.rank() == *whole.rank);
  CHECK(uncertainty.null_directions().rows() == n - uncertainty.rank());
  CHECK(uncertainty.residual_variance() == doctest::Approx(whole.residual_variance));
  REQUIRE(uncertainty.standard_deviations().size() == n);
  for (std::size_t i = 0; i < n; ++i) {
    const double x = uncertainty.standard_deviations()[i], y = std::sqrt(whole.covariance[i * (n + 1)]);
    CHECK(std::isinf(x) == std::isinf(y));
    if (std::isinf(x)) continue;
    CHECK(x == doctest::Approx(y).epsilon(1e-6));
    CHECK(uncertainty.standard_deviations_sandwich()[i] ==
          doctest::Approx(std::sqrt(whole.covariance_sandwich[i * (n + 1)])).epsilon(1e-6));
  }
  try {
    uncertainty.covariance();
    FAIL("a covariance of more than dense_limit parameters");
  } catch (const SolverArgumentError& error) {
    CHECK(std::string(error.what()).find("dense_limit") != std::string::npos);
  }
}

TEST_CASE("Uncertainty is left out, or put off") {
  Grid grid(4, 2, 1, 1, true);
  SolveOptions options;
  const SolveResult whole = solve(grid, Numbers(grid.size(), 0.1), options);
  options.deferred = true;
  const SolveResult deferred = solve(grid, Numbers(grid.size(), 0.1), options);
  CHECK_FALSE(deferred.analysed);
  REQUIRE(deferred.uncertainty);
  CHECK(deferred.uncertainty->rank() == *whole.rank);
  const Numbers covariance = deferred.uncertainty->covariance();
  REQUIRE(covariance.size() == whole.covariance.size());
  for (std::size_t i = 0; i < covariance.size(); ++i)  // which may be NaN
    CHECK((covariance[i] == whole.covariance[i] || std::isnan(whole.covariance[i])));
  options.uncertainty = false;
  CHECK_FALSE(solve(grid, Numbers(grid.size(), 0.1), options).uncertainty);
}

TEST_CASE("Entries that come and go change nothing but what they hold; nor does what was solved before") {
  solver::NormalMatrix H(3, 2), fresh(3, 2);
  const SparseMatrix first{{0, 2, 4, 5}, {0, 1, 0, 1, 2}, {4, 1, 1, 3, 2}};
  const SparseMatrix second{
      {0, 2, 4, 6}, {0, 2, 1, 2, 0, 1}, {4, 7, 3, 5, 7, 5}};  // and no diagonal entry (2, 2)
  H.assign(first, {});
  CHECK(H.value().nonZeros() == 5);
  SparseMatrix right = second;
  right.row_starts = {0, 2, 4, 6};
  right.columns = {0, 2, 1, 2, 0, 1};
  H.assign(right, {{0, 0, 0.5}});
  Matrix expected(3, 3);
  expected << 4.5, 0, 7, 0, 3, 5, 7, 5, 0;
  CHECK(Matrix(H.value()) == expected);
  CHECK(H.value().nonZeros() == 9);
  H.forget();
  H.assign(first, {});
  fresh.assign(first, {});
  CHECK(solver::same_structure(H.value(), fresh.value()));
  const SparseMatrix torn{{0, 2, 4, 5}, {1, 0, 0, 1, 2}, {4, 1, 1, 3, 2}};
  CHECK_THROWS_AS(H.assign(torn, {}), SolverArgumentError);
}

namespace {

// A grid with one more residual, (x_i - 0.1)(x_j - 0.1): where both are 0.1 H has no entry for it.
class Growing : public Grid {
 public:
  Growing(std::size_t i, std::size_t j) : Grid(8, 2, 0, 0, true), i_(i), j_(j) {}
  Evaluation cost(Span<const double> x) override {
    Evaluation out = Grid::cost(x);
    out.cost += 0.5 * std::pow((x[i_] - 0.1) * (x[j_] - 0.1), 2);
    ++out.count;
    return out;
  }
  Evaluation normal_equations(Span<const double> x, Span<double> H, Span<double> g) override {
    Grid::normal_equations(x, H, g);
    const double a = x[j_] - 0.1, b = x[i_] - 0.1, r = a * b;
    g[i_] += a * r, g[j_] += b * r;
    H[i_ * size() + i_] += a * a, H[j_ * size() + j_] += b * b;
    H[i_ * size() + j_] += a * b, H[j_ * size() + i_] += a * b;
    return cost(x);
  }

 private:
  std::size_t i_, j_;
};

}  // namespace

TEST_CASE("A solver whose factor took further entries does what a fresh one does when it is started again") {
  SolveOptions options;
  options.uncertainty = false;
  const auto run = [&](LeastSquaresSolver& solver, Growing& problem, double start) {
    solver.start(problem, Numbers(problem.size(), start));
    while (solver.step()) continue;
    return solver.result();
  };
  for (std::size_t i = 0; i < 120; ++i) {  // for some of which the factor has filled in
    CAPTURE(i);
    Growing problem(i, i + 4);
    LeastSquaresSolver used(options), fresh(options);
    CHECK(run(used, problem, 0.1).steps > 2);
    const SolveResult again = run(used, problem, 0.2),
                      right = run(fresh, problem, 0.2);  // where the entry is there at once
    CHECK(converged(right.status));
    CHECK(again.theta == right.theta);
    CHECK(again.cost == right.cost);
  }
}

namespace {

// A grid whose H is rounded to float, as sums of float kernels are: what is singular becomes a little
// indefinite.
class Rounded : public Grid {
 public:
  using Grid::Grid;
  Evaluation normal_equations(Span<const double> x, Span<double> H, Span<double> g) override {
    const Evaluation out = Grid::normal_equations(x, H, g);
    for (std::size_t i = 0; i < size(); ++i) H[i * (size() + 1)] *= 1 - 1e-7;
    for (double& h : H) h = static_cast<float>(h);
    return out;
  }
  double precision() const override { return 1e-7; }
};

}  // namespace

TEST_CASE("What rounding made indefinite is not determined, and does no harm") {
  for (const bool sparse : {false, true}) {
    CAPTURE(sparse);
    Rounded grid(11, 3, 0, 2, sparse);
    const std::size_t n = grid.size();
    Numbers H(n * n), g(n);
    grid.normal_equations(Numbers(n, 0.1), H, g);
    const Eigen::SelfAdjointEigenSolver<Matrix> eigen(
        Eigen::Map<const Matrix>(H.data(), static_cast<Index>(n), static_cast<Index>(n)));
    REQUIRE(eigen.eigenvalues()[0] < 0);
    for (const std::size_t dense_limit : {std::size_t{20}, std::size_t{1000}}) {
      SolveOptions options;
      options.dense_limit = dense_limit;
      const SolveResult result = solve(grid, Numbers(n, 0.1), options);
      CHECK(converged(result.status));
      REQUIRE(result.uncertainty);
      CHECK(result.uncertainty->rank() == n - 2);
      const SparseMatrix& nulls = result.uncertainty->null_directions();
      REQUIRE(nulls.rows() == 2);
      for (std::size_t k = 0; k < 2;
           ++k) {  // all nodes by as much, in one of the first two of their parameters
        const auto begin = static_cast<std::size_t>(nulls.row_starts[k]),
                   end = static_cast<std::size_t>(nulls.row_starts[k + 1]);
        double largest = 0;
        for (std::size_t e = begin; e < end; ++e) largest = std::max(largest, std::abs(nulls.values[e]));
        std::size_t shares = 0;
        for (std::size_t e = begin; e < end; ++e) shares += std::abs(nulls.values[e]) > 0.9 * largest ? 1 : 0;
        CHECK(shares == 121);
      }
    }
  }
}
