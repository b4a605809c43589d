// Priors are residuals like any other.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "solver_problem.hpp"

namespace {

using diffrt::Prior;
using diffrt::SolveOptions;
using diffrt::SolveResult;
using diffrt::test::make_problem;
using Numbers = std::vector<double>;

}  // namespace

TEST_CASE("A prior equals a residual that the problem adds itself") {
  const auto exponential = [](const auto& x, auto& r) {
    for (std::size_t i = 0; i < 8; ++i) {
      const double t = 0.5 * static_cast<double>(i);
      r[i] = x[0] * exp(-x[1] * t) - (3 * std::exp(-0.7 * t) + 0.05 * std::sin(9.0 * t));
    }
  };
  auto bare = make_problem(2, 8, exponential);
  auto extended = make_problem(2, 10, [&](const auto& x, auto& r) {
    exponential(x, r);
    r[8] = (x[0] - 2.0) / 0.1;
    r[9] = (x[1] - 1.0) / 0.2;
  });
  SolveOptions options = diffrt::test::tight();
  const SolveResult expected = solve(extended, Numbers{1, 1}, options);
  options.priors = {Prior{0, 2, 0.1}, Prior{1, 1, 0.2}};
  const SolveResult result = solve(bare, Numbers{1, 1}, options);

  CHECK(result.steps == expected.steps);
  CHECK(result.count == 8);
  CHECK(result.cost == doctest::Approx(expected.cost).epsilon(1e-12));
  CHECK(result.data_cost < result.cost);
  CHECK(result.residual_variance == doctest::Approx(expected.residual_variance).epsilon(1e-12));
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(result.theta[i] == doctest::Approx(expected.theta[i]).epsilon(1e-10));
    CHECK(std::abs(result.g[i]) < 1e-6);
  }
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(result.H[i] == doctest::Approx(expected.H[i]).epsilon(1e-9));
    CHECK(result.covariance[i] == doctest::Approx(expected.covariance[i]).epsilon(1e-9));
  }
}

TEST_CASE("Precisions add up") {
  // n observations of x with variance 1, mean 4; prior 0 +- 1/2: the posterior mean is 4 n / (n + 4).
  const std::size_t n = 12;
  auto problem = make_problem(1, n, [](const auto& x, auto& r) {
    for (auto& value : r) value = x[0] - 4.0;
  });
  SolveOptions options = diffrt::test::tight();
  options.priors = {Prior{0, 0, 0.5}};
  const SolveResult result = solve(problem, Numbers{10}, options);
  CHECK(result.theta[0] == doctest::Approx(4.0 * n / (n + 4)).epsilon(1e-8));
  CHECK(result.H[0] == doctest::Approx(n + 4));
  // Two priors on one parameter: the same as their product.
  options.priors = {Prior{0, 0, std::sqrt(0.5)}, Prior{0, 0, std::sqrt(0.5)}};
  CHECK(solve(problem, Numbers{10}, options).theta[0] == doctest::Approx(result.theta[0]).epsilon(1e-8));
}

TEST_CASE("A prior settles what the data leave open") {
  auto problem = make_problem(2, 3, [](const auto& x, auto& r) {
    for (std::size_t i = 0; i < 3; ++i)
      r[i] = (x[0] + x[1]) * static_cast<double>(i + 1) - 2.0 * static_cast<double>(i + 1);
  });
  SolveOptions options = diffrt::test::tight();
  CHECK(solve(problem, Numbers{5, 5}, options).rank == 1);
  options.priors = {Prior{0, 0.5, 1}};
  const SolveResult result = solve(problem, Numbers{5, 5}, options);
  CHECK(result.rank == 2);
  CHECK(result.theta[0] == doctest::Approx(0.5));
  CHECK(result.theta[1] == doctest::Approx(1.5));
}
