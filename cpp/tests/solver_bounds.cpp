// Bounds: the solution obeys them, and is the best that does.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "solver_problem.hpp"

namespace {

using diffrt::Method;
using diffrt::SolveOptions;
using diffrt::SolveResult;
using diffrt::test::make_problem;
using Numbers = std::vector<double>;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

auto rosenbrock() {
  return make_problem(2, 2, [](const auto& x, auto& r) {
    r[0] = 10.0 * (x[1] - x[0] * x[0]);
    r[1] = 1.0 - x[0];
  });
}

}  // namespace

TEST_CASE("Bounds that do not bind change nothing") {
  auto problem = rosenbrock();
  SolveOptions options = diffrt::test::tight();
  const SolveResult free = solve(problem, Numbers{-1.2, 1}, options);
  options.lower = {-10, -10};
  options.upper = {10, kInfinity};
  const SolveResult bounded = solve(problem, Numbers{-1.2, 1}, options);
  CHECK(bounded.steps == free.steps);
  CHECK(bounded.theta == free.theta);
  CHECK(bounded.held == std::vector<int>{0, 0});
}

TEST_CASE("A bound that binds is reached exactly, and the rest is optimal given it") {
  auto problem = rosenbrock();
  for (Method method : {Method::levenberg_marquardt, Method::gauss_newton}) {
    SolveOptions options = diffrt::test::tight();
    options.method = method;
    options.upper = {0.7, kInfinity};
    const SolveResult result = solve(problem, Numbers{-1.2, 1}, options);
    CHECK(diffrt::converged(result.status));
    CHECK(result.theta[0] == 0.7);
    CHECK(result.theta[1] == doctest::Approx(0.49).epsilon(1e-9));
    CHECK(result.held == std::vector<int>{1, 0});
    CHECK(result.rank == 1);
    CHECK(result.null_directions.empty());
    for (double x : {result.covariance.empty() ? 0.0 : result.covariance[0]}) CHECK(x == 0);
  }
}

TEST_CASE("A coupled quadratic over a box, against every active set in turn") {
  // r = A x - b with strong coupling; the oracle solves the 2 x 2, 1 x 1 and 0 x 0 problems that the box
  // leaves.
  const double A[3][2] = {{1, 0.9}, {0.9, 1}, {0.2, -0.1}};
  for (int trial = 0; trial < 50; ++trial) {
    const double b[3] = {std::sin(trial) * 3, std::cos(1.7 * trial) * 3, std::sin(0.3 * trial)};
    auto problem = make_problem(2, 3, [&](const auto& x, auto& r) {
      for (std::size_t i = 0; i < 3; ++i) r[i] = A[i][0] * x[0] + A[i][1] * x[1] - b[i];
    });
    const auto cost = [&](double x, double y) {
      const Numbers theta = {x, y};
      return problem.cost(theta).cost;
    };
    // The constrained minimum on a fine grid of one coordinate, the other minimised exactly and clamped:
    // convex.
    const auto best_y = [&](double x) {
      double top = 0, bottom = 0;
      for (int i = 0; i < 3; ++i) {
        top += A[i][1] * (b[i] - A[i][0] * x);
        bottom += A[i][1] * A[i][1];
      }
      return std::fmin(std::fmax(top / bottom, -1), 1);
    };
    double left = -1, right = 1;  // ternary search
    for (int k = 0; k < 200; ++k) {
      const double a = left + (right - left) / 3, c = right - (right - left) / 3;
      (cost(a, best_y(a)) < cost(c, best_y(c)) ? right : left) =
          cost(a, best_y(a)) < cost(c, best_y(c)) ? c : a;
    }
    const double oracle = cost(left, best_y(left));
    SolveOptions options = diffrt::test::tight();
    options.lower = {-1, -1};
    options.upper = {1, 1};
    const Numbers starts[] = {{0, 0}, {1, -1}, {-1, -1}};
    for (const Numbers& start : starts) {
      const SolveResult result = solve(problem, start, options);
      CAPTURE(trial);
      CHECK(diffrt::converged(result.status));
      CHECK(result.cost <= oracle + 1e-9 * (1 + oracle));
      for (double x : result.theta) CHECK(std::abs(x) <= 1);
    }
  }
}

TEST_CASE("A bound guards the domain of the model") {
  // log(x) exists for x > 0 only; the bound keeps every trial there.
  bool left_domain = false;
  auto problem = make_problem(1, 1, [&](const auto& x, auto& r) {
    if (std::real(x[0]) <= 0) left_domain = true;
    r[0] = log(x[0]) + 3.0;
  });
  SolveOptions options = diffrt::test::tight();
  options.lower = {1e-6};
  const SolveResult result = solve(problem, Numbers{5}, options);
  CHECK(diffrt::converged(result.status));
  CHECK(result.theta[0] == doctest::Approx(std::exp(-3)));
  CHECK_FALSE(left_domain);
}

TEST_CASE("Equal bounds hold a parameter, and a start on a bound may leave it") {
  auto problem = rosenbrock();
  SolveOptions options = diffrt::test::tight();
  options.lower = {-2, 0.25};
  options.upper = {2, 0.25};
  const SolveResult result = solve(problem, Numbers{-2, 0.25}, options);
  CHECK(diffrt::converged(result.status));
  CHECK(result.theta[1] == 0.25);
  CHECK(result.held[1] != 0);
  CHECK(result.held[0] == 0);
  // d/dx [100 (0.25 - x^2)^2 + (1 - x)^2] = 0
  const double x = result.theta[0];
  CHECK(std::abs(-400 * x * (0.25 - x * x) - 2 * (1 - x)) < 1e-6);
}

TEST_CASE("With every parameter held there is nothing to do") {
  auto problem = rosenbrock();
  SolveOptions options;
  options.lower = options.upper = {0.5, 0.5};
  const SolveResult result = solve(problem, Numbers{0.5, 0.5}, options);
  CHECK(result.status == diffrt::Status::converged_gradient);
  CHECK(result.steps == 0);
  CHECK(result.rank == 0);
  CHECK(result.null_directions.empty());
}
