// Rank deficiency: found, named, and never hidden by damping.
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "solver_problem.hpp"

namespace {

using diffrt::Method;
using diffrt::SolveOptions;
using diffrt::SolveResult;
using diffrt::test::make_problem;
using Numbers = std::vector<double>;

constexpr Method kMethods[] = {Method::levenberg_marquardt, Method::gauss_newton};

// A disc in a mask: only radius / distance can be seen.
template <class T>
T disc(const T& radius, const T& distance, std::size_t i) {
  const double t = 0.3 * static_cast<double>(i) - 1;
  return atan(5.0 * (400.0 * radius / distance - 39.0 + t));
}

}  // namespace

TEST_CASE("A gauge freedom is named: radius and distance scale together") {
  auto problem = make_problem(2, 7, [](const auto& x, auto& r) {
    for (std::size_t i = 0; i < 7; ++i) r[i] = disc(x[0], x[1], i) - disc(10.0, 100.0, i);
  });
  for (Method method : kMethods) {
    SolveOptions options = diffrt::test::tight();
    options.method = method;
    const SolveResult result = solve(problem, Numbers{10.01, 100.5}, options);
    CHECK(diffrt::converged(result.status));
    CHECK(result.theta[0] / result.theta[1] == doctest::Approx(0.1).epsilon(1e-9));
    CHECK(result.theta[1] == doctest::Approx(100.5).epsilon(0.01));  // did not run off along the gauge
    CHECK(result.rank == 1);
    REQUIRE(result.null_directions.size() == 2);
    CHECK(result.null_directions[0] == doctest::Approx(0.1 / std::sqrt(1.01)).epsilon(1e-6));
    CHECK(result.null_directions[1] == doctest::Approx(1 / std::sqrt(1.01)).epsilon(1e-6));
    CHECK(std::isinf(result.covariance[0]));
    CHECK(std::isinf(result.covariance[3]));
    CHECK(std::isnan(result.covariance[1]));
    const std::vector<std::string> names = {"ball.radius", "ball.distance"};
    const std::string text = summary(result, names);
    CHECK(text.find("rank 1 of 2") != std::string::npos);
    CHECK(text.find("0.995 ball.distance + 0.0995 ball.radius") != std::string::npos);
  }
}

TEST_CASE("Two gauges come out apart, and a parameter that nothing depends on as itself") {
  auto problem = make_problem(6, 14, [](const auto& x, auto& r) {
    for (std::size_t i = 0; i < 7; ++i) {
      r[i] = disc(x[0], x[2], i) - disc(10.0, 100.0, i);
      r[7 + i] = disc(x[4], x[1], i) - disc(10.0, 100.0, i) + (x[5] - 2.0) * static_cast<double>(i);
    }
  });
  for (Method method : kMethods) {
    SolveOptions options = diffrt::test::tight();
    options.method = method;
    const SolveResult result = solve(problem, Numbers{10.01, 100, 100, 7, 10, 2.01}, options);
    CHECK(diffrt::converged(result.status));
    CHECK(result.rank == 3);
    CHECK(result.theta[3] == doctest::Approx(7).epsilon(1e-9));
    CHECK(result.theta[5] == doctest::Approx(2));
    REQUIRE(result.null_directions.size() == 3 * 6);
    int found = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      const double* v = result.null_directions.data() + 6 * k;
      Numbers rest(v, v + 6);
      const auto is = [&](std::size_t a, std::size_t b) {  // involves a and b only
        double others = 0;
        for (std::size_t i = 0; i < 6; ++i) others += i == a || i == b ? 0 : std::abs(v[i]);
        return others == 0;
      };
      found += is(0, 2) ? 1 : is(1, 4) ? 2 : is(3, 3) ? 4 : 100;
    }
    CHECK(found == 7);
    const auto variance = [&](std::size_t i) { return result.covariance[i * 6 + i]; };
    for (std::size_t i : {0, 1, 2, 3, 4}) CHECK(std::isinf(variance(i)));
    CHECK(std::isfinite(variance(5)));
  }
}

TEST_CASE("A bound that holds the gauge leaves nothing undetermined") {
  auto problem = make_problem(2, 7, [](const auto& x, auto& r) {
    for (std::size_t i = 0; i < 7; ++i) r[i] = disc(x[0], x[1], i) - disc(10.0, 100.0, i);
  });
  SolveOptions options = diffrt::test::tight();
  options.lower = {-1e9, 100.5};
  options.upper = {1e9, 100.5};
  const SolveResult result = solve(problem, Numbers{10.01, 100.5}, options);
  CHECK(result.theta[0] == doctest::Approx(10.05));
  CHECK(result.rank == 1);
  CHECK(result.null_directions.empty());
  CHECK(std::isfinite(result.covariance[0]));
}

TEST_CASE("Parameters of very different units are not mistaken for undetermined ones") {
  auto problem = make_problem(2, 5, [](const auto& x, auto& r) {
    for (std::size_t i = 0; i < 5; ++i) {
      const double t = static_cast<double>(i);
      r[i] = x[0] * 1e6 + x[1] * 1e-4 * t - (3 + t);
    }
  });
  const SolveResult result = solve(problem, Numbers{0, 0}, diffrt::test::tight());
  CHECK(result.rank == 2);
  CHECK(result.theta[0] == doctest::Approx(3e-6));
  CHECK(result.theta[1] == doctest::Approx(1e4));
}

namespace {

// H and g rounded to float, as from float kernels: a null eigenvalue comes out as noise of about 1e-7.
template <class Base>
class InFloat : public Base {
 public:
  InFloat(Base base, double precision) : Base(std::move(base)), precision_(precision) {}
  diffrt::Evaluation normal_equations(diffrt::Span<const double> theta, diffrt::Span<double> H,
                                      diffrt::Span<double> g) override {
    const diffrt::Evaluation out = Base::normal_equations(theta, H, g);
    for (std::size_t k = 0; k < H.size(); ++k) H[k] = static_cast<float>(H[k] * (k == 0 ? 1 + 1e-7 : 1));
    for (double& x : g) x = static_cast<float>(x);
    return out;
  }
  double precision() const override { return precision_; }

 private:
  double precision_;
};

}  // namespace

TEST_CASE("What counts as zero follows from the precision of H") {
  auto exact = make_problem(2, 7, [](const auto& x, auto& r) {
    for (std::size_t i = 0; i < 7; ++i)
      r[i] = disc(x[0], x[1], i) - disc(10.0, 100.0, i) + 0.01 * (i % 2 ? 1 : -1);
  });
  InFloat<decltype(exact)> single(exact, 1.2e-7);
  const SolveResult result = solve(single, Numbers{10.01, 100.5});
  CHECK(result.rank == 1);
  REQUIRE(result.null_directions.size() == 2);
  CHECK(result.null_directions[0] == doctest::Approx(0.1 / std::sqrt(1.01)).epsilon(1e-3));
}
