// Residuals that flicker: near the minimum the solver stops, instead of weighing noise until the budget is spent.
#include <doctest/doctest.h>

#include <cmath>

#include "diffrt/least_squares.hpp"
#include "solver/stagnation.hpp"

namespace {

using diffrt::Evaluation;
using diffrt::LeastSquaresProblem;
using diffrt::SolveOptions;
using diffrt::SolveResult;
using diffrt::Span;
using diffrt::Status;

// 1000 residuals a (theta - 1) + offset, and up to three more, large, that come and go with theta: like pixels at a
// silhouette before a far background. Their derivative is not in J.
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

TEST_CASE("only where few residuals came or went, damping is strong, and nothing is gained") {
  diffrt::solver::Stagnation s;
  const auto after = [&s](int trials, bool few, double gain) {
    s.start();
    for (int i = 0; i < trials; ++i) s.add(i % 2 == 0 && gain > 0, gain, few);
    return s.reached(1, 100);
  };
  CHECK(after(5, true, 0));
  CHECK_FALSE(after(4, true, 0));
  CHECK_FALSE(after(5, false, 0));
  CHECK(after(6, true, 1e-3));
  CHECK_FALSE(after(6, true, 1));
  after(5, true, 0);
  CHECK_FALSE(s.reached(0.99, 100));
}
