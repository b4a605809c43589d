// Every stop reason is reached, for the right cause, and leaves the best point behind.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "solver_problem.hpp"

namespace {

using diffrt::Evaluation;
using diffrt::LeastSquaresSolver;
using diffrt::Method;
using diffrt::SolveOptions;
using diffrt::SolveResult;
using diffrt::Span;
using diffrt::Status;
using diffrt::StepRecord;
using diffrt::test::make_problem;
using Numbers = std::vector<double>;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

auto rosenbrock() {
  return make_problem(2, 2, [](const auto& x, auto& r) {
    r[0] = 10.0 * (x[1] - x[0] * x[0]);
    r[1] = 1.0 - x[0];
  });
}

// A curve with noise: a minimum with cost left over.
auto curve() {
  return make_problem(2, 10, [](const auto& x, auto& r) {
    for (std::size_t i = 0; i < 10; ++i) {
      const double t = 0.2 * static_cast<double>(i);
      r[i] = x[0] * exp(-x[1] * t) - (2 * std::exp(-t) + 0.1 * std::cos(20 * t));
    }
  });
}

}  // namespace

TEST_CASE("Converged by gradient, step or cost, whichever tolerance is met first") {
  auto problem = curve();
  SolveOptions options = diffrt::test::tight();
  options.gradient_tolerance = 1e-3;
  SolveResult result = solve(problem, Numbers{1, 2}, options);
  CHECK(result.status == Status::converged_gradient);
  CHECK(result.history.back().gradient_norm <= 1e-3);
  CHECK(result.history[result.history.size() - 2].gradient_norm > 1e-3);

  options = diffrt::test::tight();
  options.gradient_tolerance = 0;
  options.step_tolerance = 1e-2;
  CHECK(solve(problem, Numbers{1, 2}, options).status == Status::converged_step);

  options.step_tolerance = 0;
  options.cost_tolerance = 1e-2;
  CHECK(solve(problem, Numbers{1, 2}, options).status == Status::converged_cost);
}

TEST_CASE("Already at the minimum: no step, one evaluation") {
  auto problem = make_problem(1, 3, [](const auto& x, auto& r) {
    for (std::size_t i = 0; i < 3; ++i) r[i] = x[0] - static_cast<double>(i);
  });
  const SolveResult result = solve(problem, Numbers{1});
  CHECK(result.status == Status::converged_gradient);
  CHECK(result.steps == 0);
  CHECK(result.history.size() == 1);
  CHECK(problem.model_calls == 1);
  CHECK(problem.cost_calls == 0);
}

TEST_CASE("Tolerances of zero end at rounding, converged all the same") {
  auto problem = curve();
  SolveOptions options = diffrt::test::tight();
  options.gradient_tolerance = options.step_tolerance = options.cost_tolerance = 0;
  for (Method method : {Method::levenberg_marquardt, Method::gauss_newton}) {
    options.method = method;
    const SolveResult result = solve(problem, Numbers{1.5, 1.5}, options);
    CHECK(diffrt::converged(result.status));
    CHECK(result.steps < 60);
  }
}

TEST_CASE("A perfect fit ends in zero cost, without dividing by it") {
  auto problem = make_problem(2, 2, [](const auto& x, auto& r) {
    r[0] = x[0] - 3.0;
    r[1] = 2.0 * (x[1] + 1.0);
  });
  for (Method method : {Method::levenberg_marquardt, Method::gauss_newton}) {
    SolveOptions options = diffrt::test::tight();
    options.method = method;
    const SolveResult result = solve(problem, Numbers{100, -50}, options);
    CHECK(diffrt::converged(result.status));
    CHECK(result.cost < 1e-25);
    for (const StepRecord& record : result.history) CHECK(std::isfinite(record.gradient_norm));
  }
}

namespace {

// g has the wrong sign: downhill is uphill.
template <class Base>
class WrongGradient : public Base {
 public:
  explicit WrongGradient(Base base) : Base(std::move(base)) {}
  Evaluation normal_equations(Span<const double> theta, Span<double> H, Span<double> g) override {
    const Evaluation out = Base::normal_equations(theta, H, g);
    for (double& x : g) x = -x;
    return out;
  }
};

}  // namespace

TEST_CASE("Stalled: the derivatives contradict the cost") {
  auto right = curve();
  WrongGradient<decltype(right)> wrong(right);
  const SolveResult result = solve(wrong, Numbers{1, 2});
  CHECK(result.status == Status::stalled);
  CHECK(result.theta == Numbers{1, 2});
  CHECK(result.steps >= 5);
  CHECK(result.steps <= 15);
  for (std::size_t k = 1; k < result.history.size(); ++k) CHECK_FALSE(result.history[k].accepted);
}

TEST_CASE("The budget of trials is kept to the letter") {
  auto problem = rosenbrock();
  for (std::size_t budget : {0, 1, 5}) {
    problem.cost_calls = problem.model_calls = 0;
    SolveOptions options;
    options.max_steps = budget;
    const SolveResult result = solve(problem, Numbers{-1.2, 1}, options);
    CHECK(result.status == Status::max_steps);
    CHECK(result.steps == budget);
    CHECK(result.history.size() == budget + 1);
    CHECK(problem.cost_calls == static_cast<int>(budget));
    int accepted = 0;
    for (const StepRecord& record : result.history) accepted += record.accepted;
    CHECK(problem.model_calls == accepted);  // H and g only where a step was accepted, and at the start
  }
}

TEST_CASE("The cost never rises between accepted steps, and the records tell the story") {
  auto problem = rosenbrock();
  const SolveResult result = solve(problem, Numbers{-1.2, 1});
  double best = result.history[0].cost;
  double clock = 0;
  for (std::size_t k = 0; k < result.history.size(); ++k) {
    const StepRecord& record = result.history[k];
    CHECK(record.step == k);
    CHECK(record.seconds >= clock);
    clock = record.seconds;
    if (k == 0) continue;
    CHECK(record.lambda > 0);
    CHECK(record.step_norm > 0);
    CHECK(record.accepted == (record.gain_ratio > 0));
    CHECK(record.accepted == (record.cost < best));
    if (record.accepted) best = record.cost;
  }
  CHECK(result.cost == best);
}

TEST_CASE("The callback interrupts, and the best so far comes back") {
  auto problem = rosenbrock();
  for (Method method : {Method::levenberg_marquardt, Method::gauss_newton}) {
    std::vector<Numbers> seen;
    SolveOptions options;
    options.method = method;
    options.callback = [&](const StepRecord& record, Span<const double> theta) {
      seen.emplace_back(theta.begin(), theta.end());
      return record.step < 2;
    };
    const SolveResult result = solve(problem, Numbers{-1.2, 1}, options);
    CHECK(result.status == Status::interrupted);
    CHECK(result.steps == 2);
    CHECK(seen.size() == 3);
    CHECK(seen[0] == Numbers{-1.2, 1});
    CHECK(result.theta == seen.back());
    CHECK(problem.cost(result.theta).cost == doctest::Approx(result.cost).epsilon(1e-14));
    CHECK(result.H.size() == 4);
  }
  SolveOptions options;
  options.callback = [](const StepRecord&, Span<const double>) { return false; };
  const SolveResult result = solve(problem, Numbers{-1.2, 1}, options);
  CHECK(result.status == Status::interrupted);
  CHECK(result.steps == 0);
}

TEST_CASE("Exceptions of the problem and the callback pass through, and the solver can start again") {
  bool fail = true;
  auto problem = make_problem(1, 1, [&](const auto& x, auto& r) {
    if (fail && std::real(x[0]) < 5) throw std::runtime_error("device lost");
    r[0] = x[0] - 1.0;
  });
  LeastSquaresSolver solver;
  solver.start(problem, Numbers{9});
  CHECK_THROWS_WITH_AS(solver.step(), "device lost", std::runtime_error);
  fail = false;
  solver.start(problem, Numbers{9});
  while (solver.step()) {
  }
  CHECK(diffrt::converged(solver.status()));
  CHECK(solver.theta()[0] == doctest::Approx(1));
}

TEST_CASE("No residuals: at the start, and where Gauss-Newton steps off the data") {
  auto nothing = make_problem(1, 3, [](const auto& x, auto& r) {
    for (auto& value : r) value = x[0] * kNaN;
  });
  const SolveResult result = solve(nothing, Numbers{1});
  CHECK(result.status == Status::no_residuals);
  CHECK(result.theta == Numbers{1});
  CHECK_FALSE(result.analysed);

  // atan overshoots from 3 to far outside the window |x| < 6.
  auto window = make_problem(1, 3, [](const auto& x, auto& r) {
    for (auto& value : r) value = std::abs(std::real(x[0])) < 6 ? atan(x[0]) : x[0] * kNaN;
  });
  SolveOptions options;
  options.method = Method::gauss_newton;
  const SolveResult off = solve(window, Numbers{3}, options);
  CHECK(off.status == Status::no_residuals);
  CHECK(off.theta == Numbers{3});
  CHECK(off.count == 3);
  CHECK(off.cost == doctest::Approx(1.5 * std::pow(std::atan(3), 2)));
  const SolveResult damped = solve(window, Numbers{3});
  CHECK(diffrt::converged(damped.status));
  CHECK(std::abs(damped.theta[0]) < 1e-6);
}

namespace {

// r = log(x): a cost that is not a number for x < 0; `count` says that the residual exists.
class Logarithm : public diffrt::LeastSquaresProblem {
 public:
  std::size_t size() const override { return 1; }
  Evaluation cost(Span<const double> theta) override {
    const double r = std::log(theta[0]);
    return {0.5 * r * r, 1};
  }
  Evaluation normal_equations(Span<const double> theta, Span<double> H, Span<double> g) override {
    const double x = theta[0];
    H[0] = x > no_derivative_below ? 1 / (x * x) : kNaN;
    g[0] = std::log(x) / x;
    return cost(theta);
  }
  double no_derivative_below = 0;
};

}  // namespace

TEST_CASE("Not finite: a trial is rejected, a start or a Gauss-Newton step is reported") {
  Logarithm problem;
  const SolveResult damped = solve(problem, Numbers{5});  // the full step goes to 5 - 5 log 5 < 0
  CHECK(diffrt::converged(damped.status));
  CHECK(damped.theta[0] == doctest::Approx(1));
  CHECK_FALSE(damped.history[1].accepted);
  CHECK(std::isnan(damped.history[1].cost));

  const SolveResult start = solve(problem, Numbers{-1});
  CHECK(start.status == Status::not_finite);
  CHECK(start.theta == Numbers{-1});
  CHECK(start.steps == 0);
  CHECK_FALSE(start.analysed);

  SolveOptions options;
  options.method = Method::gauss_newton;
  const SolveResult full = solve(problem, Numbers{5}, options);
  CHECK(full.status == Status::not_finite);
  CHECK(full.theta == Numbers{5});
  CHECK(full.g[0] == doctest::Approx(std::log(5) / 5));
}

TEST_CASE("Not finite: derivatives only") {
  Logarithm problem;
  problem.no_derivative_below = 0.9;
  const SolveResult result = solve(problem, Numbers{2});  // 2 - 2 log 2 = 0.61: the cost is lower there
  CHECK(diffrt::converged(result.status));
  CHECK(result.theta[0] == doctest::Approx(1));
  CHECK_FALSE(result.history[1].accepted);
  CHECK(std::isfinite(result.history[1].cost));
}

TEST_CASE("Gauss-Newton that runs away returns the best point it has seen") {
  auto problem = make_problem(1, 1, [](const auto& x, auto& r) { r[0] = atan(x[0]); });
  SolveOptions options;
  options.method = Method::gauss_newton;
  options.max_steps = 4;
  const SolveResult result = solve(problem, Numbers{1.5}, options);
  CHECK(result.status == Status::max_steps);
  CHECK(result.theta == Numbers{1.5});
  CHECK(result.cost == doctest::Approx(0.5 * std::pow(std::atan(1.5), 2)));
}

TEST_CASE("A step at a time is the same as all at once, and the result can be had on the way") {
  for (Method method : {Method::levenberg_marquardt, Method::gauss_newton}) {
    auto problem = curve();
    SolveOptions options;
    options.method = method;
    const SolveResult whole = solve(problem, Numbers{1, 2}, options);
    LeastSquaresSolver solver(options);
    solver.start(problem, Numbers{1, 2});
    CHECK(solver.status() == Status::running);
    while (solver.step()) {
      const SolveResult partial = solver.result();
      CHECK(partial.status == Status::running);
      CHECK(partial.theta == Numbers(solver.theta().begin(), solver.theta().end()));
      CHECK(partial.history.size() == solver.history().size());
    }
    CHECK_FALSE(solver.step());
    CHECK(solver.result().theta == whole.theta);
    CHECK(solver.result().H == whole.H);
    CHECK(solver.result().steps == whole.steps);
  }
}

TEST_CASE("Every status has a name and advice of its own") {
  std::set<std::string> names, messages;
  for (Status status :
       {Status::running, Status::converged_gradient, Status::converged_step, Status::converged_cost,
        Status::stalled, Status::max_steps, Status::interrupted, Status::no_residuals, Status::not_finite}) {
    names.insert(diffrt::name(status));
    messages.insert(diffrt::message(status));
    CHECK(std::strlen(diffrt::message(status)) > 20);
  }
  CHECK(names.size() == 9);
  CHECK(messages.size() == 9);
  CHECK(diffrt::converged(Status::converged_cost));
  CHECK_FALSE(diffrt::converged(Status::stalled));
}
