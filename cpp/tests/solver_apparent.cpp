// Directions that are determined in appearance only: a steep minimum with others beside it.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "solver_problem.hpp"

namespace {

using diffrt::SolveOptions;
using diffrt::SolveResult;
using diffrt::Span;
using diffrt::test::ResidualProblem;
using Numbers = std::vector<double>;

// Offers magnitudes: both parameters are about 1.
template <class Residuals>
class Sized : public ResidualProblem<Residuals> {
 public:
  using ResidualProblem<Residuals>::ResidualProblem;
  bool magnitudes(Span<const double>, Span<double> sizes) const override {
    for (double& size : sizes) size = 1;
    return true;
  }
};

// 200 residuals with a mean square of 1. x[0] is known well; x[1] turns something of `sides` sides, which
// shows by `relief` at most.
auto turned(double sides, double relief) {
  return [sides, relief](const auto& x, auto& r) {
    for (std::size_t i = 0; i < 200; ++i) {
      const double noise = i % 2 == 0 ? 1 : -1, share = i % 4 < 2 ? 1 : -1;
      r[i] = noise + 50.0 * (x[0] - 1.0) + share * relief * sin(sides * x[1]);
    }
  };
}

template <class Residuals>
SolveResult fit(Residuals residuals, const SolveOptions& options = diffrt::test::tight()) {
  Sized<Residuals> problem(2, 200, residuals);
  return solve(problem, Numbers{1.01, 0.001}, options);
}

}  // namespace

TEST_CASE("A minimum with others within a few deviations is told as a null direction") {
  // A deviation is 1 / (relief sides sqrt(200)); the next minimum is at 2 pi / sides.
  const SolveResult result = fit(turned(64, 0.1));
  REQUIRE(diffrt::converged(result.status));
  CHECK(result.rank == 1);
  REQUIRE(result.null_directions.size() == 2);
  CHECK(std::abs(result.null_directions[0]) < 1e-6);
  CHECK(result.null_directions[1] == doctest::Approx(1));
  CHECK(std::isinf(result.covariance[3]));
  CHECK(result.covariance[0] == doctest::Approx(1 / (200 * 2500.0)).epsilon(0.05));
}

TEST_CASE("A minimum that is alone for many deviations is none") {
  const SolveResult result = fit(turned(64, 3));
  REQUIRE(diffrt::converged(result.status));
  CHECK(result.rank == 2);
  CHECK(result.null_directions.empty());
  CHECK(std::sqrt(result.covariance[3]) == doctest::Approx(1 / (3 * 64 * std::sqrt(200.0))).epsilon(0.05));
}

TEST_CASE("A prior, or a bound, that holds a direction determines it") {
  SolveOptions options = diffrt::test::tight();
  options.priors = {{1, 0.0, 1e-3}};
  CHECK(fit(turned(64, 0.1), options).rank == 2);
  options = diffrt::test::tight();
  options.lower = {-10, 0.001}, options.upper = {10, 0.001};
  const SolveResult held = fit(turned(64, 0.1), options);
  CHECK(held.rank == 1);
  CHECK(held.null_directions.empty());
  CHECK(held.covariance[3] == 0);
}

TEST_CASE("Nothing is put to the test where the problem does not say how large its parameters are") {
  auto problem = diffrt::test::make_problem(2, 200, turned(64, 0.1));
  const SolveResult result = solve(problem, Numbers{1.01, 0.001}, diffrt::test::tight());
  CHECK(result.rank == 2);
}
