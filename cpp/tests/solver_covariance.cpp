// Covariances against closed forms.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "solver_problem.hpp"

namespace {

using diffrt::SolveOptions;
using diffrt::SolveResult;
using diffrt::test::make_problem;
using Numbers = std::vector<double>;

constexpr std::size_t kRows = 9;
double x_at(std::size_t i) { return 0.5 * static_cast<double>(i) - 1; }
double y_at(std::size_t i) {
  return 2 + 3 * x_at(i) + (1 + static_cast<double>(i)) * 0.1 * std::sin(7.0 * x_at(i) + 1);
}

auto line() {
  return make_problem(2, kRows, [](const auto& b, auto& r) {
    for (std::size_t i = 0; i < kRows; ++i) r[i] = b[0] + b[1] * x_at(i) - y_at(i);
  });
}

}  // namespace

TEST_CASE("Linear regression: estimates and covariance in closed form") {
  double sx = 0, sy = 0, sxx = 0, sxy = 0;
  const double n = kRows;
  for (std::size_t i = 0; i < kRows; ++i) {
    sx += x_at(i);
    sy += y_at(i);
    sxx += x_at(i) * x_at(i);
    sxy += x_at(i) * y_at(i);
  }
  const double det = n * sxx - sx * sx;
  const double slope = (n * sxy - sx * sy) / det, intercept = (sy - slope * sx) / n;
  double rss = 0;
  for (std::size_t i = 0; i < kRows; ++i) rss += std::pow(intercept + slope * x_at(i) - y_at(i), 2);
  const double s2 = rss / (n - 2);

  auto problem = line();
  for (diffrt::Method method : {diffrt::Method::levenberg_marquardt, diffrt::Method::gauss_newton}) {
    SolveOptions options = diffrt::test::tight();
    options.method = method;
    const SolveResult result = solve(problem, Numbers{-50, 80}, options);
    CHECK(result.theta[0] == doctest::Approx(intercept).epsilon(1e-8));
    CHECK(result.theta[1] == doctest::Approx(slope).epsilon(1e-8));
    CHECK(result.residual_variance == doctest::Approx(s2).epsilon(1e-11));
    CHECK(result.covariance[0] == doctest::Approx(s2 * sxx / det).epsilon(1e-11));
    CHECK(result.covariance[1] == doctest::Approx(-s2 * sx / det).epsilon(1e-11));
    CHECK(result.covariance[2] == doctest::Approx(-s2 * sx / det).epsilon(1e-11));
    CHECK(result.covariance[3] == doctest::Approx(s2 * n / det).epsilon(1e-11));
    CHECK(result.H == Numbers{n, sx, sx, sxx});
  }
}

TEST_CASE("The sandwich form: White's covariance, corrected by n / (n - p)") {
  auto problem = line();
  const SolveResult result = solve(problem, Numbers{0, 0}, diffrt::test::tight());
  double H[2][2] = {}, M[2][2] = {};
  for (std::size_t i = 0; i < kRows; ++i) {
    const double row[2] = {1, x_at(i)};
    const double r = result.theta[0] + result.theta[1] * x_at(i) - y_at(i);
    for (int a = 0; a < 2; ++a) {
      for (int b = 0; b < 2; ++b) {
        H[a][b] += row[a] * row[b];
        M[a][b] += row[a] * row[b] * r * r;
      }
    }
  }
  const double det = H[0][0] * H[1][1] - H[0][1] * H[1][0];
  const double I[2][2] = {{H[1][1] / det, -H[0][1] / det}, {-H[1][0] / det, H[0][0] / det}};
  REQUIRE(result.covariance_sandwich.size() == 4);
  for (std::size_t a = 0; a < 2; ++a) {
    for (std::size_t b = 0; b < 2; ++b) {
      double expected = 0;
      for (int c = 0; c < 2; ++c) {
        for (int d = 0; d < 2; ++d) expected += I[a][c] * M[c][d] * I[d][b];
      }
      expected *= static_cast<double>(kRows) / (kRows - 2);
      CHECK(result.covariance_sandwich[2 * a + b] == doctest::Approx(expected).epsilon(1e-9));
    }
  }
}

TEST_CASE(
    "Where residuals of the right variance are simulated, the estimates scatter as the covariance says") {
  // 2,000 noisy copies of a line; noise from a linear congruential generator, by the sum of 12 uniform
  // numbers.
  unsigned state = 12345;
  const auto uniform = [&] {
    state = state * 1664525u + 1013904223u;
    return static_cast<double>(state >> 8) / 16777216.0;
  };
  Numbers y(kRows);
  auto problem = make_problem(2, kRows, [&](const auto& b, auto& r) {
    for (std::size_t i = 0; i < kRows; ++i) r[i] = b[0] * exp(0.1 * b[1] * x_at(i)) - y[i];
  });
  const int copies = 2000;
  double sum[2] = {}, squares[2] = {}, predicted[2] = {};
  for (int copy = 0; copy < copies; ++copy) {
    for (std::size_t i = 0; i < kRows; ++i) {
      double noise = -6;
      for (int k = 0; k < 12; ++k) noise += uniform();
      y[i] = 2 * std::exp(0.3 * x_at(i)) + 0.01 * noise;
    }
    const SolveResult result = solve(problem, Numbers{1, 1});
    CHECK(diffrt::converged(result.status));
    for (std::size_t k = 0; k < 2; ++k) {
      sum[k] += result.theta[k] / copies;
      squares[k] += result.theta[k] * result.theta[k] / copies;
      predicted[k] += result.covariance[3 * k] / copies;
    }
  }
  for (int k = 0; k < 2; ++k)
    CHECK((squares[k] - sum[k] * sum[k]) / predicted[k] == doctest::Approx(1).epsilon(0.1));
}

TEST_CASE("No residual to spare: no variance, and no covariance is made up") {
  auto problem = make_problem(2, 2, [](const auto& x, auto& r) {
    r[0] = x[0] - 1.0;
    r[1] = x[0] * x[1] - 2.0;
  });
  const SolveResult result = solve(problem, Numbers{3, 3});
  CHECK(diffrt::converged(result.status));
  CHECK(std::isnan(result.residual_variance));
  CHECK(result.covariance.empty());
  CHECK(result.covariance_sandwich.empty());
  CHECK(result.rank == 2);
}

TEST_CASE("Uncertainty can be left out") {
  auto problem = line();
  SolveOptions options;
  options.uncertainty = false;
  const SolveResult result = solve(problem, Numbers{0, 0}, options);
  CHECK_FALSE(result.analysed);
  CHECK(result.covariance.empty());
  CHECK(result.null_directions.empty());
  CHECK(result.H.size() == 4);
}
