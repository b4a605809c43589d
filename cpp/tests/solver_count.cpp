// Residuals that enter and leave: a model does not win by sliding off its data.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "solver/point.hpp"
#include "solver_problem.hpp"

namespace {

using diffrt::Evaluation;
using diffrt::LeastSquaresProblem;
using diffrt::SolveOptions;
using diffrt::SolveResult;
using diffrt::Span;
using diffrt::StepRecord;
using diffrt::solver::decrease;
using diffrt::solver::overlaps;
using diffrt::solver::Point;
using diffrt::test::make_problem;
using Numbers = std::vector<double>;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

}  // namespace

TEST_CASE("The rule: without priors a decrease means a lower cost per residual") {
  const Point from{{50, 100}, 0};
  CHECK(decrease(from, {{30, 50}, 0}) < 0);   // sheds half of its residuals, the rest got worse
  CHECK(decrease(from, {{25, 50}, 0}) == 0);  // the rest is as it was
  CHECK(decrease(from, {{20, 50}, 0}) > 0);   // the rest got better
  CHECK(decrease(from, {{60, 200}, 0}) > 0);  // twice the overlap, at a lower average
  CHECK(decrease(from, {{110, 200}, 0}) < 0);
  CHECK(decrease(from, {{25, 50}, 1}) == -1);  // priors are not shared out
  CHECK(overlaps(from, {{0, 50}, 0}, 0.5));
  CHECK_FALSE(overlaps(from, {{0, 49}, 0}, 0.5));
  CHECK_FALSE(overlaps(from, {{0, 0}, 0}, 0));
}

TEST_CASE("The rule vanishes to the last bit where the count is constant") {
  unsigned state = 1;
  for (int k = 0; k < 1000; ++k) {
    state = state * 1664525u + 1013904223u;
    const double a = std::exp(static_cast<double>(state % 1000) / 20 - 25);
    const double b = a * (1 + 1e-13 * static_cast<double>(state % 17));
    const Point from{{a, 12345}, 0.1}, to{{b, 12345}, 0.2};
    CHECK(decrease(from, to) == from.cost() - to.cost());
  }
}

namespace {

// The same problem, claiming another (constant) number of residuals.
template <class Base>
class Recounted : public Base {
 public:
  Recounted(Base base, std::size_t count) : Base(std::move(base)), count_(count) {}
  Evaluation cost(Span<const double> theta) override { return {Base::cost(theta).cost, count_}; }
  Evaluation normal_equations(Span<const double> theta, Span<double> H, Span<double> g) override {
    return {Base::normal_equations(theta, H, g).cost, count_};
  }

 private:
  std::size_t count_;
};

}  // namespace

TEST_CASE("A constant count takes no part in the iteration") {
  auto wood = make_problem(4, 6, [](const auto& x, auto& r) {
    r[0] = 10.0 * (x[1] - x[0] * x[0]);
    r[1] = 1.0 - x[0];
    r[2] = std::sqrt(90.0) * (x[3] - x[2] * x[2]);
    r[3] = 1.0 - x[2];
    r[4] = std::sqrt(10.0) * (x[1] + x[3] - 2.0);
    r[5] = (x[1] - x[3]) / std::sqrt(10.0);
  });
  SolveOptions options = diffrt::test::tight();
  const SolveResult plain = solve(wood, Numbers{-3, -1, -3, -1}, options);
  for (std::size_t count : {1, 7, 1000003}) {
    for (double min_kept : {0.0, 1.0}) {
      Recounted<decltype(wood)> recounted(wood, count);
      options.min_kept = min_kept;
      const SolveResult result = solve(recounted, Numbers{-3, -1, -3, -1}, options);
      CHECK(result.steps == plain.steps);
      CHECK(result.theta == plain.theta);
      for (std::size_t k = 0; k < result.history.size(); ++k) {
        CHECK(result.history[k].cost == plain.history[k].cost);
        CHECK(result.history[k].lambda == plain.history[k].lambda);
      }
    }
  }
}

TEST_CASE("A window does not slide off the image") {
  // 50 pixels wide at theta; the image ends at 150. Residuals are large everywhere and least at theta = 100,
  // where the window is still inside. The full step overshoots by thousands, a shorter one by enough to shed
  // most of the cost.
  auto window = make_problem(1, 300, [](const auto& x, auto& r) {
    const double left = std::real(x[0]);
    for (std::size_t i = 0; i < 300; ++i) {
      const double pixel = static_cast<double>(i);
      const bool seen = pixel >= left && pixel < left + 50 && pixel < 150;
      const auto offset = (x[0] - 100.0) / 100.0;
      r[i] = seen ? 10.0 + offset * offset : x[0] * kNaN;
    }
  });
  // What a comparison of plain costs would fall for:
  CHECK(window.cost(Numbers{130}).cost < 0.5 * window.cost(Numbers{80}).cost);
  SolveOptions options;
  options.max_steps = 500;
  for (double start : {80.0, 95.0, 60.0}) {
    const SolveResult result = solve(window, Numbers{start}, options);
    CAPTURE(start);
    CHECK(result.theta[0] == doctest::Approx(100).epsilon(0.02));
    CHECK(result.count >= 49);
    double average = result.history[0].cost / static_cast<double>(result.history[0].count);
    for (const StepRecord& record : result.history) {
      if (record.step == 0 || !record.accepted) continue;
      CHECK(record.cost / static_cast<double>(record.count) < average);
      average = record.cost / static_cast<double>(record.count);
    }
  }
}

namespace {

// r = theta - 5 and 3, in turn, over a number of residuals that depends on theta.
class Changing : public LeastSquaresProblem {
 public:
  using Count = std::size_t (*)(double theta);
  explicit Changing(Count count) : count_(count) {}
  std::size_t size() const override { return 1; }
  Evaluation cost(Span<const double> theta) override {
    const double pairs = static_cast<double>(count_(theta[0]));
    const double r = theta[0] - 5;
    return {0.5 * pairs * (r * r + 9), 2 * count_(theta[0])};
  }
  Evaluation normal_equations(Span<const double> theta, Span<double> H, Span<double> g) override {
    H[0] = static_cast<double>(count_(theta[0]));
    g[0] = H[0] * (theta[0] - 5);
    return cost(theta);
  }

 private:
  Count count_;
};

}  // namespace

TEST_CASE("Better overlap is welcome though it brings more residuals and more cost") {
  Changing growing([](double theta) { return static_cast<std::size_t>(5 + 9 * std::fmax(theta, 0)); });
  const SolveResult result = solve(growing, Numbers{0});
  CHECK(diffrt::converged(result.status));
  CHECK(result.theta[0] == doctest::Approx(5));
  CHECK(result.count >= 98);
  CHECK(result.cost > result.history[0].cost);
}

TEST_CASE("A model that recedes gets there, in steps that keep half of what it sees") {
  Changing receding([](double theta) { return static_cast<std::size_t>(1000 * std::exp2(-theta)); });
  SolveOptions options;
  const SolveResult result = solve(receding, Numbers{0}, options);
  CHECK(diffrt::converged(result.status));
  CHECK(result.theta[0] == doctest::Approx(5));
  std::size_t count = result.history[0].count;
  for (const StepRecord& record : result.history) {
    if (!record.accepted) continue;
    CHECK(2 * record.count >= count);
    count = record.count;
  }
  options.min_kept = 0;
  CHECK(solve(receding, Numbers{0}, options).steps < result.steps);
}

TEST_CASE("A trial with nothing left is rejected even if no loss is forbidden") {
  Changing vanishing([](double theta) { return static_cast<std::size_t>(theta < 4 ? 100 : 0); });
  SolveOptions options;
  options.min_kept = 0;
  const SolveResult result = solve(vanishing, Numbers{0}, options);
  CHECK(result.count == 200);
  CHECK(result.theta[0] < 4);
  CHECK(result.theta[0] > 3.5);
  CHECK(result.status == diffrt::Status::stalled);
}
