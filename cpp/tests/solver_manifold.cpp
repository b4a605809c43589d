// Parameters that are not added up: a rigid motion, T <- T exp(delta), with theta = log T.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <vector>

#include "solver_problem.hpp"

namespace {

using diffrt::Evaluation;
using diffrt::LeastSquaresProblem;
using diffrt::Method;
using diffrt::Prior;
using diffrt::SolveOptions;
using diffrt::SolveResult;
using diffrt::Span;
using Numbers = std::vector<double>;
using Vec = std::array<double, 3>;
using Mat = std::array<Vec, 3>;

struct Motion {
  Mat R;
  Vec t;
};

Vec operator*(const Mat& A, const Vec& x) {
  Vec y{};
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) y[i] += A[i][j] * x[j];
  }
  return y;
}

Mat operator*(const Mat& A, const Mat& B) {
  Mat C{};
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) {
      for (std::size_t k = 0; k < 3; ++k) C[i][j] += A[i][k] * B[k][j];
    }
  }
  return C;
}

Mat cross(const Vec& w) { return {{{0, -w[2], w[1]}, {w[2], 0, -w[0]}, {-w[1], w[0], 0}}}; }

// I + a K + b K^2
Mat polynomial(const Mat& K, double a, double b) {
  Mat P = K * K;
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) P[i][j] = (i == j ? 1 : 0) + a * K[i][j] + b * P[i][j];
  }
  return P;
}

// xi = (rho, phi): Rodrigues, and V of Sola et al. 2018, eq. 174.
Motion exponential(Span<const double> xi) {
  const Vec rho = {xi[0], xi[1], xi[2]}, phi = {xi[3], xi[4], xi[5]};
  const double angle = std::hypot(phi[0], phi[1], phi[2]), s = angle * angle;
  const Mat K = cross(phi);
  if (angle < 1e-4)
    return {polynomial(K, 1 - s / 6, 0.5 - s / 24), polynomial(K, 0.5 - s / 24, 1 / 6.0 - s / 120) * rho};
  return {polynomial(K, std::sin(angle) / angle, (1 - std::cos(angle)) / s),
          polynomial(K, (1 - std::cos(angle)) / s, (angle - std::sin(angle)) / (angle * s)) * rho};
}

std::array<double, 6> logarithm(const Motion& T) {
  const Vec axis = {T.R[2][1] - T.R[1][2], T.R[0][2] - T.R[2][0], T.R[1][0] - T.R[0][1]};
  const double sine = 0.5 * std::hypot(axis[0], axis[1], axis[2]);
  const double cosine = 0.5 * (T.R[0][0] + T.R[1][1] + T.R[2][2] - 1);
  const double angle = std::atan2(sine, cosine), s = angle * angle;
  const double factor = angle < 1e-4 ? 0.5 + s / 12 : angle / (2 * sine);
  const Vec phi = {factor * axis[0], factor * axis[1], factor * axis[2]};
  const double b = angle < 1e-4 ? 1 / 12.0 + s / 720 : 1 / s - (1 + cosine) / (2 * angle * sine);
  const Vec rho = polynomial(cross(phi), -0.5, b) * T.t;
  return {rho[0], rho[1], rho[2], phi[0], phi[1], phi[2]};
}

Motion compose(const Motion& A, const Motion& B) {
  Motion C{A.R * B.R, A.R * B.t};
  for (std::size_t i = 0; i < 3; ++i) C.t[i] += A.t[i];
  return C;
}

// Points moved onto points: r_i = T p_i - q_i; d/d delta of T exp(delta) p is R [I, -[p]x].
class Registration : public LeastSquaresProblem {
 public:
  explicit Registration(Span<const double> truth, double noise = 0) {
    const Motion T = exponential(truth);
    for (int i = 0; i < 20; ++i) {
      const Vec p = {std::sin(1.0 * i), std::cos(2.3 * i), std::sin(0.7 * i + 1)};
      Vec q = T.R * p;
      for (std::size_t k = 0; k < 3; ++k)
        q[k] += T.t[k] + noise * std::sin(17.0 * i + static_cast<double>(k));
      from_.push_back(p);
      to_.push_back(q);
    }
  }

  std::size_t size() const override { return 6; }

  Evaluation cost(Span<const double> theta) override {
    const Motion T = exponential(theta);
    Evaluation out;
    for (std::size_t i = 0; i < from_.size(); ++i) {
      const Vec r = residual(T, i);
      for (double x : r) out.cost += 0.5 * x * x;
      out.count += 3;
    }
    return out;
  }

  Evaluation normal_equations(Span<const double> theta, Span<double> H, Span<double> g) override {
    const Motion T = exponential(theta);
    for (double& x : H) x = 0;
    for (double& x : g) x = 0;
    for (std::size_t i = 0; i < from_.size(); ++i) {
      const Vec r = residual(T, i);
      const Mat turn = T.R * cross(from_[i]);
      for (std::size_t k = 0; k < 3; ++k) {
        const double row[6] = {T.R[k][0], T.R[k][1], T.R[k][2], -turn[k][0], -turn[k][1], -turn[k][2]};
        for (std::size_t a = 0; a < 6; ++a) {
          g[a] += row[a] * r[k];
          for (std::size_t b = 0; b < 6; ++b) H[6 * a + b] += row[a] * row[b];
        }
      }
    }
    return cost(theta);
  }

  void plus(Span<const double> theta, Span<const double> delta, Span<double> out) const override {
    const auto xi = logarithm(compose(exponential(theta), exponential(delta)));
    std::copy(xi.begin(), xi.end(), out.begin());
  }

  void tangent_row(Span<const double> theta, std::size_t i, Span<double> row) const override {
    const double h = 1e-6;
    for (std::size_t j = 0; j < 6; ++j) {
      double delta[6] = {}, up[6], down[6];
      delta[j] = h;
      plus(theta, delta, up);
      delta[j] = -h;
      plus(theta, delta, down);
      row[j] = (up[i] - down[i]) / (2 * h);
    }
  }

 private:
  Vec residual(const Motion& T, std::size_t i) const {
    Vec r = T.R * from_[i];
    for (std::size_t k = 0; k < 3; ++k) r[k] += T.t[k] - to_[i][k];
    return r;
  }

  std::vector<Vec> from_, to_;
};

const Numbers kTruth = {0.4, -1.2, 2.0, 0.9, -1.4, 1.1};  // 2.0 rad

// The derivative of cost + priors along delta, by central differences.
Numbers slope(Registration& problem, const Numbers& theta, const std::vector<Prior>& priors) {
  const auto total = [&](const Numbers& x) {
    double sum = problem.cost(x).cost;
    for (const Prior& prior : priors) sum += 0.5 * std::pow((x[prior.index] - prior.mean) / prior.sigma, 2);
    return sum;
  };
  Numbers out(6);
  for (std::size_t j = 0; j < 6; ++j) {
    Numbers delta(6, 0.0), up(6), down(6);
    delta[j] = 1e-5;
    problem.plus(theta, delta, up);
    delta[j] = -1e-5;
    problem.plus(theta, delta, down);
    out[j] = (total(up) - total(down)) / 2e-5;
  }
  return out;
}

}  // namespace

TEST_CASE("A rigid motion is recovered from far off, in a few steps") {
  Registration problem(kTruth);
  for (Method method : {Method::levenberg_marquardt, Method::gauss_newton}) {
    SolveOptions options = diffrt::test::tight();
    options.method = method;
    const SolveResult result = solve(problem, Numbers(6, 0.0), options);
    CHECK(diffrt::converged(result.status));
    CHECK(result.steps <= 15);
    for (std::size_t i = 0; i < 6; ++i) CHECK(result.theta[i] == doctest::Approx(kTruth[i]).epsilon(1e-9));
    CHECK(result.rank == 6);
  }
}

TEST_CASE("Convergence is quadratic on noise-free data") {
  Registration problem(kTruth);
  SolveOptions options = diffrt::test::tight();
  options.method = Method::gauss_newton;
  Numbers start = kTruth;
  for (double& x : start) x += 0.02;
  const SolveResult result = solve(problem, start, options);
  // The gradient is of first order in the error: its exponent at least doubles.
  int measured = 0;
  for (std::size_t k = 0; k + 1 < result.history.size(); ++k) {
    const double now = std::sqrt(result.history[k].cost), next = std::sqrt(result.history[k + 1].cost);
    if (next < 1e-12) break;
    CHECK(next < 2 * now * now);
    ++measured;
  }
  CHECK(measured >= 1);
  CHECK(result.steps <= 4);
}

TEST_CASE("Priors on the components of a pose: the cost is stationary along the group") {
  Registration problem(kTruth, 0.05);
  SolveOptions options = diffrt::test::tight();
  options.priors = {Prior{4, -1.0, 0.05}, Prior{1, -1.0, 0.1}};
  const SolveResult result = solve(problem, Numbers(6, 0.0), options);
  CHECK(diffrt::converged(result.status));
  for (double x : slope(problem, result.theta, options.priors)) CHECK(std::abs(x) < 1e-7);
  CHECK(std::abs(result.theta[4] + 1.0) < 0.4);
}

TEST_CASE("A bound on one component of a pose: as if a prior of no width stood there") {
  Registration problem(kTruth, 0.05);
  SolveOptions options = diffrt::test::tight();
  options.lower = Numbers(6, -INFINITY);
  options.lower[4] = -1.2;  // the truth is -1.4
  const SolveResult bounded = solve(problem, Numbers(6, 0.1), options);
  CHECK(diffrt::converged(bounded.status));
  CHECK(bounded.theta[4] == -1.2);
  CHECK(bounded.held == std::vector<int>{0, 0, 0, 0, -1, 0});
  CHECK(bounded.rank == 5);
  CHECK(bounded.null_directions.empty());

  SolveOptions narrow = diffrt::test::tight();
  SolveResult oracle;
  Numbers from = kTruth;
  for (double sigma : {1.0, 1e-1, 1e-2, 1e-3, 1e-4}) {
    narrow.priors = {Prior{4, -1.2, sigma}};
    oracle = solve(problem, from, narrow);
    from = oracle.theta;
  }
  CHECK(diffrt::converged(oracle.status));
  for (std::size_t i = 0; i < 6; ++i)
    CHECK(bounded.theta[i] == doctest::Approx(oracle.theta[i]).epsilon(1e-6));
  CHECK(bounded.cost == doctest::Approx(oracle.data_cost).epsilon(1e-6));

  // H, g and the covariance are in the tangent space all the same.
  Numbers H(36), g(6);
  problem.normal_equations(bounded.theta, H, g);
  for (std::size_t i = 0; i < 36; ++i) CHECK(bounded.H[i] == doctest::Approx(H[i]).epsilon(1e-8).scale(1));
  for (std::size_t i = 0; i < 6; ++i) CHECK(bounded.g[i] == doctest::Approx(g[i]).epsilon(1e-8).scale(1));
  for (std::size_t i = 0; i < 36; ++i) {
    const double ratio = oracle.residual_variance / bounded.residual_variance;
    CHECK(bounded.covariance[i] * ratio == doctest::Approx(oracle.covariance[i]).epsilon(1e-3).scale(1e-6));
  }
}

TEST_CASE("A bound on the pose that does not bind changes the path, not the end") {
  Registration problem(kTruth, 0.05);
  SolveOptions options = diffrt::test::tight();
  const SolveResult free = solve(problem, Numbers(6, 0.1), options);
  options.upper = Numbers(6, 3.0);
  const SolveResult bounded = solve(problem, Numbers(6, 0.1), options);
  CHECK(diffrt::converged(bounded.status));
  for (std::size_t i = 0; i < 6; ++i) CHECK(bounded.theta[i] == doctest::Approx(free.theta[i]).epsilon(1e-8));
  for (std::size_t i = 0; i < 36; ++i) {
    CHECK(bounded.covariance[i] == doctest::Approx(free.covariance[i]).epsilon(1e-6).scale(1e-6));
  }
}
