// Bad arguments: refused before anything is evaluated, by a message that names them.
#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "solver_problem.hpp"

namespace {

using diffrt::Prior;
using diffrt::SolveOptions;
using diffrt::SolverArgumentError;
using diffrt::test::make_problem;
using Numbers = std::vector<double>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

auto line() {
  return make_problem(2, 3, [](const auto& x, auto& r) {
    for (std::size_t i = 0; i < 3; ++i) r[i] = x[0] + x[1] * static_cast<double>(i) - 1.0;
  });
}

// The message of the refusal; empty if there was none.
std::string refusal(const Numbers& theta0, const std::function<void(SolveOptions&)>& change) {
  auto problem = line();
  SolveOptions options;
  change(options);
  try {
    solve(problem, theta0, options);
  } catch (const SolverArgumentError& error) {
    CHECK(problem.cost_calls + problem.model_calls == 0);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("Bad arguments are named") {
  struct Case {
    const char* says;
    Numbers theta0;
    std::function<void(SolveOptions&)> change;
  };
  const Numbers good = {0, 0};
  const std::vector<Case> cases = {
      {"theta0 has 3 numbers, the problem 2 parameters", {1, 2, 3}, [](auto&) {}},
      {"theta0[1] is nan", {1, kNaN}, [](auto&) {}},
      {"theta0[0] is inf", {kInfinity, 0}, [](auto&) {}},
      {"lower has 1 numbers for 2 parameters", good, [](auto& o) { o.lower = {0}; }},
      {"upper has 3 numbers for 2 parameters", good,
       [](auto& o) {
         o.upper = {0, 0, 0};
       }},
      {"Perhaps they are swapped", good,
       [](auto& o) {
         o.lower = {1, -1};
         o.upper = {-1, 1};
       }},
      {"lower[1] is nan", good,
       [](auto& o) {
         o.lower = {-1, kNaN};
       }},
      {"theta0[1] is 0, outside its bounds [0.5, inf]", good,
       [](auto& o) {
         o.lower = {-1, 0.5};
       }},
      {"priors[1].index is 2", good,
       [](auto& o) {
         o.priors = {Prior{0, 0, 1}, Prior{2, 0, 1}};
       }},
      {"priors[0].sigma is 0", good,
       [](auto& o) {
         o.priors = {Prior{0, 0, 0}};
       }},
      {"priors[0].sigma is -1", good,
       [](auto& o) {
         o.priors = {Prior{0, 0, -1}};
       }},
      {"priors[0].mean is nan", good,
       [](auto& o) {
         o.priors = {Prior{0, kNaN, 1}};
       }},
      {"initial_damping is 0", good, [](auto& o) { o.initial_damping = 0; }},
      {"step_tolerance is -1", good, [](auto& o) { o.step_tolerance = -1; }},
      {"cost_tolerance is nan", good, [](auto& o) { o.cost_tolerance = kNaN; }},
      {"gradient_tolerance is -0.5", good, [](auto& o) { o.gradient_tolerance = -0.5; }},
      {"min_kept is 1.5", good, [](auto& o) { o.min_kept = 1.5; }},
      {"null_threshold is 1", good, [](auto& o) { o.null_threshold = 1; }},
      {"diagonal_floor is 0", good, [](auto& o) { o.diagonal_floor = 0; }},
  };
  for (const Case& bad : cases) {
    const std::string message = refusal(bad.theta0, bad.change);
    CAPTURE(message);
    CHECK(message.find(bad.says) != std::string::npos);
  }
  CHECK(refusal(good, [](auto&) {}).empty());
}

TEST_CASE("A problem without parameters, a solver without a start, names without parameters") {
  auto empty = make_problem(0, 1, [](const auto&, auto& r) { r[0] = 1.0; });
  CHECK_THROWS_AS(solve(empty, Numbers{}), SolverArgumentError);
  diffrt::LeastSquaresSolver solver;
  CHECK_THROWS_AS(solver.step(), SolverArgumentError);
  auto problem = line();
  const std::vector<std::string> names = {"a"};
  CHECK_THROWS_AS(summary(solve(problem, Numbers{0, 0}), names), std::invalid_argument);
}

TEST_CASE("A refused start leaves a running solver as it was") {
  auto problem = line();
  diffrt::LeastSquaresSolver solver;
  solver.start(problem, Numbers{5, 5});
  solver.step();
  const Numbers before(solver.theta().begin(), solver.theta().end());
  CHECK_THROWS_AS(solver.start(problem, Numbers{kNaN, 0}), SolverArgumentError);
  CHECK(Numbers(solver.theta().begin(), solver.theta().end()) == before);
}
