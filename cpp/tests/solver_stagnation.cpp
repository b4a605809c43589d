// Residuals that flicker: near the minimum the solver stops, instead of weighing noise until the budget is
// spent.
#include <doctest/doctest.h>

#include <cmath>

#include "diffrt/least_squares.hpp"
#include "solver/point.hpp"
#include "solver/stagnation.hpp"

namespace {

using diffrt::Evaluation;
using diffrt::LeastSquaresProblem;
using diffrt::SolveOptions;
using diffrt::SolveResult;
using diffrt::Span;
using diffrt::Status;

// 1000 residuals a (theta - 1) + offset, and up to three more, large, that come and go with theta: like
// pixels at a silhouette before a far background. Their derivative is not in J.
class Flicker : public LeastSquaresProblem {
 public:
  explicit Flicker(bool flickers) : flickers_(flickers) {}
  std::size_t size() const override { return 1; }
  Evaluation cost(Span<const double> theta) override {
    const double d = theta[0] - 1;
    const auto extra = flickers_ ? static_cast<std::size_t>(std::floor(std::abs(theta[0]) * 1e7)) % 4 : 0;
    return {0.5 * (1000 * (d * d + 1e-2) + 5.0 * static_cast<double>(extra)), 1000 + extra};
  }
  Evaluation normal_equations(Span<const double> theta, Span<double> H, Span<double> g) override {
    H[0] = 1000;
    g[0] = 1000 * (theta[0] - 1) + (flickers_ ? 100 : 0);  // a pull that the cost does not follow
    return cost(theta);
  }

 private:
  bool flickers_;
};

}  // namespace

TEST_CASE("a flickering minimum is a minimum") {
  Flicker problem(true);
  SolveOptions options;
  options.max_steps = 200;
  const std::vector<double> start = {1.02};
  const SolveResult result = diffrt::solve(problem, start, options);
  CHECK(result.status == Status::converged_cost);
  CHECK(result.steps < 40);
  CHECK(std::abs(result.theta[0] - 1) < 2.1e-2);
}

TEST_CASE("only where few residuals come and go, nothing is gained, and a shorter step would not help") {
  diffrt::solver::Stagnation s;
  const auto after = [&s](int trials, bool accepted, double gain, bool few, double lambda) {
    s.start();
    for (int i = 0; i < trials; ++i) s.add(accepted, gain, few && i == trials - 1);
    return s.reached(lambda, 100);
  };
  CHECK(after(5, false, 0, true, 1));
  CHECK(after(9, true, 1e-2, true, 1e-6));
  CHECK_FALSE(after(4, false, 0, true, 1));     // too few trials
  CHECK_FALSE(after(5, false, 0, false, 1));    // always the same residuals
  CHECK_FALSE(after(5, false, 0, true, 0.99));  // a shorter step may help
  CHECK_FALSE(after(9, true, 1, true, 1e-6));   // it still gets better
}

TEST_CASE("the decrease over shared residuals decides, where it is known") {
  using diffrt::solver::decrease;
  using diffrt::solver::overlaps;
  diffrt::solver::Point from{{50, 100}, 1}, to{{60, 110}, 2};
  CHECK(decrease(from, to) == doctest::Approx(50 - (60 - 10 * 0.5) - 1));
  to.data.shared = {true, 90, 40, 30};
  CHECK(decrease(from, to) == doctest::Approx(40 - 30 - 1));
  CHECK(overlaps(from, to, 0.9));
  CHECK_FALSE(overlaps(from, to, 0.91));
}

TEST_CASE("residuals that enter may not make the average one much dearer") {
  using diffrt::solver::Point;
  diffrt::solver::Cheapest cheapest;
  const auto point = [](double cost, std::size_t count) {
    Point p{{cost, count}, 0};
    p.data.shared = {true, count, 0, 0};
    return p;
  };
  cheapest.start(point(100, 100));
  CHECK(cheapest.allows(point(124, 100)));
  CHECK_FALSE(cheapest.allows(point(126, 100)));
  cheapest.add(point(50, 100));
  cheapest.add(point(60, 100));  // dearer: no new measure
  CHECK_FALSE(cheapest.allows(point(63, 100)));
  CHECK(cheapest.allows(point(500, 201)));  // a few residuals are no measure for many
  cheapest.add(point(500, 201));
  CHECK_FALSE(cheapest.allows(point(700, 201)));
  CHECK(cheapest.allows({{700, 201}, 0}));  // where shared residuals are not known another rule holds
}
