// Many parameters: conjugate gradients agree with Cholesky, and thousands are no trouble.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "solver_problem.hpp"

namespace {

using diffrt::Evaluation;
using diffrt::LeastSquaresProblem;
using diffrt::Method;
using diffrt::SolveOptions;
using diffrt::SolveResult;
using diffrt::Span;
using diffrt::test::make_problem;
using Numbers = std::vector<double>;

// A curve x_0 .. x_(n-1): each point near its datum through a cubic, neighbours near each other.
class Curve : public LeastSquaresProblem {
 public:
  explicit Curve(std::size_t n) : n_(n) {}
  std::size_t size() const override { return n_; }
  Evaluation cost(Span<const double> x) override {
    Evaluation out;
    for (std::size_t i = 0; i < n_; ++i) {
      const double r = x[i] + x[i] * x[i] * x[i] - datum(i);
      out.cost += 0.5 * r * r;
      if (i + 1 < n_) out.cost += 0.5 * 100 * (x[i + 1] - x[i]) * (x[i + 1] - x[i]);
    }
    out.count = 2 * n_ - 1;
    return out;
  }
  Evaluation normal_equations(Span<const double> x, Span<double> H, Span<double> g) override {
    for (double& h : H) h = 0;
    for (double& v : g) v = 0;
    for (std::size_t i = 0; i < n_; ++i) {
      const double slope = 1 + 3 * x[i] * x[i];
      H[i * n_ + i] += slope * slope;
      g[i] += slope * (x[i] + x[i] * x[i] * x[i] - datum(i));
      if (i + 1 == n_) continue;
      const double step = x[i + 1] - x[i];
      H[i * n_ + i] += 100;
      H[(i + 1) * n_ + i + 1] += 100;
      H[i * n_ + i + 1] -= 100;
      H[(i + 1) * n_ + i] -= 100;
      g[i] -= 100 * step;
      g[i + 1] += 100 * step;
    }
    return cost(x);
  }

 private:
  static double datum(std::size_t i) { return 3 * std::sin(0.05 * static_cast<double>(i)); }
  std::size_t n_;
};

}  // namespace

TEST_CASE("Conjugate gradients and Cholesky end in the same place, by the same steps") {
  Curve curve(100);
  for (Method method : {Method::levenberg_marquardt, Method::gauss_newton}) {
    SolveOptions options = diffrt::test::tight();
    options.method = method;
    options.lower = Numbers(100, -1.0);  // some bounds bind
    options.upper = Numbers(100, 0.8);
    const SolveResult direct = solve(curve, Numbers(100, 0.1), options);
    options.dense_limit = 10;
    const SolveResult iterative = solve(curve, Numbers(100, 0.1), options);
    CHECK(diffrt::converged(direct.status));
    CHECK(diffrt::converged(iterative.status));
    CHECK(iterative.steps == direct.steps);
    CHECK_FALSE(iterative.analysed);
    for (std::size_t i = 0; i < 100; ++i) {
      CHECK(iterative.theta[i] == doctest::Approx(direct.theta[i]).epsilon(1e-7).scale(1e-3));
      CHECK(direct.theta[i] <= 0.8);
    }
  }
}

TEST_CASE("Conjugate gradients on a singular system stay put along its null directions") {
  // Only differences are seen: a common shift is free.
  auto problem = make_problem(30, 29, [](const auto& x, auto& r) {
    for (std::size_t i = 0; i < 29; ++i) r[i] = x[i + 1] - x[i] - 0.5;
  });
  for (Method method : {Method::levenberg_marquardt, Method::gauss_newton}) {
    SolveOptions options = diffrt::test::tight();
    options.method = method;
    options.dense_limit = 10;
    const SolveResult result = solve(problem, Numbers(30, 1.0), options);
    CHECK(diffrt::converged(result.status));
    for (std::size_t i = 0; i < 29; ++i) CHECK(result.theta[i + 1] - result.theta[i] == doctest::Approx(0.5));
    double mean = 0;
    for (double x : result.theta) mean += x / 30;
    CHECK(std::abs(mean - 1) < 2);
  }
}

TEST_CASE("1,500 parameters") {
  Curve curve(1500);
  const SolveResult result = solve(curve, Numbers(1500, 0.1));
  CHECK(diffrt::converged(result.status));
  CHECK(result.steps < 20);
  double steepest = 0;
  for (double g : result.g) steepest = std::fmax(steepest, std::abs(g));
  CHECK(steepest < 1e-3);
}
