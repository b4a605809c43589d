// The solver on More, Garbow, Hillstrom, "Testing unconstrained optimization software", ACM TOMS 7 (1981):
// the numbers in the test names are theirs. Each is solved from the published start x0 and from 10 x0, to the
// published minimum.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "solver_problem.hpp"

namespace {

using diffrt::SolveOptions;
using diffrt::SolveResult;
using diffrt::Status;
using diffrt::test::make_problem;
using Numbers = std::vector<double>;

struct Published {
  std::string name;
  Numbers start;
  std::size_t residuals;
  Numbers minima;        // sums of squares; more than one where there are local minima
  Numbers theta = {};    // of the first minimum; empty where not checked
  bool from_far = true;  // whether 10 x0 leads to one of the minima too
  std::size_t max_steps = 1000;
};

template <class Residuals>
void check(const Published& problem, Residuals residuals) {
  auto least_squares = make_problem(problem.start.size(), problem.residuals, residuals);
  for (double factor : {1.0, 10.0}) {
    if (factor > 1 && !problem.from_far) continue;
    Numbers start = problem.start;
    for (double& x : start) x *= factor;
    const SolveResult result = solve(least_squares, start, diffrt::test::tight(problem.max_steps));
    CAPTURE(problem.name);
    CAPTURE(factor);
    CAPTURE(result.steps);
    CAPTURE(2 * result.cost);
    CAPTURE(std::string(diffrt::name(result.status)));
    CHECK(diffrt::converged(result.status));
    const auto reached = [&](double minimum) {
      return std::abs(2 * result.cost - minimum) <= 1e-5 * minimum + 1e-15;
    };
    CHECK(std::any_of(problem.minima.begin(), problem.minima.end(), reached));
    if (!reached(problem.minima[0])) continue;
    for (std::size_t i = 0; i < problem.theta.size(); ++i) {
      CHECK(result.theta[i] == doctest::Approx(problem.theta[i]).epsilon(1e-6).scale(1e-6));
    }
  }
}

}  // namespace

TEST_CASE("More-Garbow-Hillstrom 1: Rosenbrock") {
  check({"Rosenbrock", {-1.2, 1}, 2, {0}, {1, 1}}, [](const auto& x, auto& r) {
    r[0] = 10.0 * (x[1] - x[0] * x[0]);
    r[1] = 1.0 - x[0];
  });
}

TEST_CASE("More-Garbow-Hillstrom 2: Freudenstein and Roth") {
  check({"Freudenstein and Roth", {0.5, -2}, 2, {0, 48.9842536792}, {5, 4}}, [](const auto& x, auto& r) {
    r[0] = -13.0 + x[0] + ((5.0 - x[1]) * x[1] - 2.0) * x[1];
    r[1] = -29.0 + x[0] + ((x[1] + 1.0) * x[1] - 14.0) * x[1];
  });
}

TEST_CASE("More-Garbow-Hillstrom 3: Powell badly scaled") {
  check({"Powell badly scaled", {0, 1}, 2, {0}, {1.09815933e-5, 9.10614674}}, [](const auto& x, auto& r) {
    r[0] = 1e4 * x[0] * x[1] - 1.0;
    r[1] = exp(-x[0]) + exp(-x[1]) - 1.0001;
  });
}

TEST_CASE("More-Garbow-Hillstrom 4: Brown badly scaled") {
  check({"Brown badly scaled", {1, 1}, 3, {0}, {1e6, 2e-6}}, [](const auto& x, auto& r) {
    r[0] = x[0] - 1e6;
    r[1] = x[1] - 2e-6;
    r[2] = x[0] * x[1] - 2.0;
  });
}

TEST_CASE("More-Garbow-Hillstrom 5: Beale") {
  check({"Beale", {1, 1}, 3, {0}, {3, 0.5}, false}, [](const auto& x, auto& r) {
    r[0] = 1.5 - x[0] * (1.0 - x[1]);
    r[1] = 2.25 - x[0] * (1.0 - x[1] * x[1]);
    r[2] = 2.625 - x[0] * (1.0 - x[1] * x[1] * x[1]);
  });
}

TEST_CASE("More-Garbow-Hillstrom 6: Jennrich and Sampson") {
  check({"Jennrich and Sampson", {0.3, 0.4}, 10, {124.362182356}, {0.2578252, 0.2578252}, false},
        [](const auto& x, auto& r) {
          for (std::size_t i = 0; i < 10; ++i) {
            const double t = static_cast<double>(i + 1);
            r[i] = 2.0 + 2.0 * t - (exp(t * x[0]) + exp(t * x[1]));
          }
        });
}

TEST_CASE("More-Garbow-Hillstrom 7: Helical valley") {
  check({"Helical valley", {-1, 0, 0}, 3, {0}, {1, 0, 0}}, [](const auto& x, auto& r) {
    const double turn = std::real(x[0]) < 0 ? 0.5 : 0.0;
    r[0] = 10.0 * (x[2] - 10.0 * (atan(x[1] / x[0]) / 6.283185307179586 + turn));
    r[1] = 10.0 * (sqrt(x[0] * x[0] + x[1] * x[1]) - 1.0);
    r[2] = x[2];
  });
}

TEST_CASE("More-Garbow-Hillstrom 8: Bard") {
  const Numbers y = {0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39,
                     0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39};
  check({"Bard", {1, 1, 1}, 15, {8.21487730658e-3}, {}, false}, [&](const auto& x, auto& r) {
    for (std::size_t i = 0; i < 15; ++i) {
      const double u = static_cast<double>(i + 1), v = 16 - u, w = std::min(u, v);
      r[i] = y[i] - (x[0] + u / (v * x[1] + w * x[2]));
    }
  });
}

TEST_CASE("More-Garbow-Hillstrom 9: Gaussian") {
  const Numbers y = {0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521, 0.3989};
  check({"Gaussian", {0.4, 1, 0}, 15, {1.12793276961e-8}, {}, false}, [&](const auto& x, auto& r) {
    for (std::size_t i = 0; i < 15; ++i) {
      const double t = (8.0 - static_cast<double>(i + 1)) / 2;
      r[i] = x[0] * exp(-x[1] * (t - x[2]) * (t - x[2]) / 2.0) - y[std::min(i, 14 - i)];
    }
  });
}

TEST_CASE("More-Garbow-Hillstrom 12: Box three-dimensional") {
  check({"Box", {0, 10, 20}, 10, {0}, {}, false}, [](const auto& x, auto& r) {
    for (std::size_t i = 0; i < 10; ++i) {
      const double t = 0.1 * static_cast<double>(i + 1);
      r[i] = exp(-t * x[0]) - exp(-t * x[1]) - x[2] * (std::exp(-t) - std::exp(-10 * t));
    }
  });
}

TEST_CASE("More-Garbow-Hillstrom 13: Powell singular") {
  check({"Powell singular", {3, -1, 0, 1}, 4, {0}}, [](const auto& x, auto& r) {
    r[0] = x[0] + 10.0 * x[1];
    r[1] = std::sqrt(5.0) * (x[2] - x[3]);
    r[2] = (x[1] - 2.0 * x[2]) * (x[1] - 2.0 * x[2]);
    r[3] = std::sqrt(10.0) * (x[0] - x[3]) * (x[0] - x[3]);
  });
}

TEST_CASE("More-Garbow-Hillstrom 14: Wood") {
  check({"Wood", {-3, -1, -3, -1}, 6, {0}, {1, 1, 1, 1}}, [](const auto& x, auto& r) {
    r[0] = 10.0 * (x[1] - x[0] * x[0]);
    r[1] = 1.0 - x[0];
    r[2] = std::sqrt(90.0) * (x[3] - x[2] * x[2]);
    r[3] = 1.0 - x[2];
    r[4] = std::sqrt(10.0) * (x[1] + x[3] - 2.0);
    r[5] = (x[1] - x[3]) / std::sqrt(10.0);
  });
}

TEST_CASE("More-Garbow-Hillstrom 16: Brown and Dennis") {
  // Large residuals in a curved valley: slow for every method that leaves out second derivatives.
  check({"Brown and Dennis", {25, 5, -5, -1}, 20, {85822.2016264}, {}, true, 10000},
        [](const auto& x, auto& r) {
          for (std::size_t i = 0; i < 20; ++i) {
            const double t = static_cast<double>(i + 1) / 5;
            const auto a = x[0] + t * x[1] - std::exp(t);
            const auto b = x[2] + std::sin(t) * x[3] - std::cos(t);
            r[i] = a * a + b * b;
          }
        });
}

TEST_CASE("More-Garbow-Hillstrom 18: Biggs EXP6") {
  check({"Biggs EXP6", {1, 2, 1, 1, 1, 1}, 13, {0, 5.65564992e-3}, {}, false}, [](const auto& x, auto& r) {
    for (std::size_t i = 0; i < 13; ++i) {
      const double t = 0.1 * static_cast<double>(i + 1);
      const double y = std::exp(-t) - 5 * std::exp(-10 * t) + 3 * std::exp(-4 * t);
      r[i] = x[2] * exp(-t * x[0]) - x[3] * exp(-t * x[1]) + x[5] * exp(-t * x[4]) - y;
    }
  });
}

TEST_CASE("More-Garbow-Hillstrom 20: Watson, 6 parameters") {
  check({"Watson", {0, 0, 0, 0, 0, 0}, 31, {2.28767005355e-3}}, [](const auto& x, auto& r) {
    for (std::size_t i = 0; i < 29; ++i) {
      const double t = static_cast<double>(i + 1) / 29;
      auto sum = x[0], slope = 0.0 * x[0];
      double power = 1;
      for (std::size_t j = 1; j < 6; ++j) {
        slope += static_cast<double>(j) * power * x[j];
        power *= t;
        sum += power * x[j];
      }
      r[i] = slope - sum * sum - 1.0;
    }
    r[29] = x[0];
    r[30] = x[1] - x[0] * x[0] - 1.0;
  });
}

TEST_CASE("More-Garbow-Hillstrom 25: variably dimensioned, 20 parameters") {
  Numbers start;
  for (int j = 1; j <= 20; ++j) start.push_back(1 - j / 20.0);
  check({"Variably dimensioned", start, 22, {0}, Numbers(20, 1.0)}, [](const auto& x, auto& r) {
    auto sum = 0.0 * x[0];
    for (std::size_t i = 0; i < 20; ++i) {
      r[i] = x[i] - 1.0;
      sum += static_cast<double>(i + 1) * (x[i] - 1.0);
    }
    r[20] = sum;
    r[21] = sum * sum;
  });
}

TEST_CASE("More-Garbow-Hillstrom 33: linear, rank 1") {
  // m = 10, n = 5: the minimum is m (m - 1) / (2 (2 m + 1)), reached on a plane of dimension 4.
  auto problem = make_problem(5, 10, [](const auto& x, auto& r) {
    auto sum = 0.0 * x[0];
    for (std::size_t j = 0; j < 5; ++j) sum += static_cast<double>(j + 1) * x[j];
    for (std::size_t i = 0; i < 10; ++i) r[i] = static_cast<double>(i + 1) * sum - 1.0;
  });
  for (diffrt::Method method : {diffrt::Method::levenberg_marquardt, diffrt::Method::gauss_newton}) {
    SolveOptions options = diffrt::test::tight();
    options.method = method;
    const SolveResult result = solve(problem, Numbers(5, 1.0), options);
    CHECK(diffrt::converged(result.status));
    CHECK(2 * result.cost == doctest::Approx(10 * 9 / (2 * 21.0)).epsilon(1e-12));
    CHECK(result.rank == 1);
    REQUIRE(result.null_directions.size() == 4 * 5);
    for (std::size_t k = 0; k < 4; ++k) {
      double moved = 0;
      for (std::size_t j = 0; j < 5; ++j)
        moved += static_cast<double>(j + 1) * result.null_directions[k * 5 + j];
      CHECK(std::abs(moved) < 1e-12);
    }
  }
}

TEST_CASE("Gauss-Newton solves the mild ones of the set, in a handful of steps") {
  SolveOptions options = diffrt::test::tight();
  options.method = diffrt::Method::gauss_newton;
  auto rosenbrock = make_problem(2, 2, [](const auto& x, auto& r) {
    r[0] = 10.0 * (x[1] - x[0] * x[0]);
    r[1] = 1.0 - x[0];
  });
  SolveResult result = solve(rosenbrock, Numbers{-1.2, 1}, options);
  CHECK(diffrt::converged(result.status));
  CHECK(result.steps <= 3);
  CHECK(result.theta[0] == doctest::Approx(1));
  CHECK(result.theta[1] == doctest::Approx(1));
  CHECK(rosenbrock.cost_calls == 0);  // a full step needs no separate cost

  auto helical = make_problem(3, 3, [](const auto& x, auto& r) {
    const double turn = std::real(x[0]) < 0 ? 0.5 : 0.0;
    r[0] = 10.0 * (x[2] - 10.0 * (atan(x[1] / x[0]) / 6.283185307179586 + turn));
    r[1] = 10.0 * (sqrt(x[0] * x[0] + x[1] * x[1]) - 1.0);
    r[2] = x[2];
  });
  result = solve(helical, Numbers{-1, 0.1, 0}, options);
  CHECK(diffrt::converged(result.status));
  CHECK(result.steps <= 20);
  CHECK(result.theta[0] == doctest::Approx(1));
  CHECK(result.theta[1] == doctest::Approx(0).scale(1));
  CHECK(result.theta[2] == doctest::Approx(0).scale(1));
}
