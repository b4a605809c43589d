// Least-squares problems for the solver's tests, made from a function of residuals.
//
// The function is generic, residuals(theta, r) with std::vector<T>&, and is differentiated by complex steps
// (Squire and Trapp 1998): exact to rounding, and sharing no code with the solver. A residual that is NaN
// does not exist, as a pixel that the model misses.
#pragma once

#include <cmath>
#include <complex>
#include <utility>
#include <vector>

#include "diffrt/least_squares.hpp"

namespace diffrt::test {

using Complex = std::complex<double>;

template <class Residuals>
class ResidualProblem : public LeastSquaresProblem {
 public:
  ResidualProblem(std::size_t parameters, std::size_t residuals, Residuals function)
      : function_(std::move(function)), size_(parameters), r_(residuals), rc_(residuals), theta_(parameters) {
    jacobian_.resize(parameters * residuals);
    real_.resize(parameters);
  }

  std::size_t size() const override { return size_; }

  Evaluation cost(Span<const double> theta) override {
    ++cost_calls;
    real_.assign(theta.begin(), theta.end());
    function_(real_, r_);
    Evaluation out;
    for (double r : r_) {
      if (std::isnan(r)) continue;
      out.cost += 0.5 * r * r;
      ++out.count;
    }
    return out;
  }

  Evaluation normal_equations(Span<const double> theta, Span<double> H, Span<double> g) override {
    ++model_calls;
    --cost_calls;
    const Evaluation out = cost(theta);
    differentiate(theta);
    const std::size_t n = size_;
    for (double& h : H) h = 0;
    for (double& x : g) x = 0;
    for (std::size_t i = 0; i < r_.size(); ++i) {
      if (std::isnan(r_[i])) continue;
      const double* row = jacobian_.data() + i * n;
      for (std::size_t a = 0; a < n; ++a) {
        g[a] += row[a] * r_[i];
        for (std::size_t b = 0; b < n; ++b) H[a * n + b] += row[a] * row[b];
      }
    }
    return out;
  }

  bool gradient_scatter(Span<const double> theta, Span<double> M) override {
    --cost_calls;
    cost(theta);
    differentiate(theta);
    const std::size_t n = size_;
    for (double& m : M) m = 0;
    for (std::size_t i = 0; i < r_.size(); ++i) {
      if (std::isnan(r_[i])) continue;
      const double* row = jacobian_.data() + i * n;
      for (std::size_t a = 0; a < n; ++a) {
        for (std::size_t b = 0; b < n; ++b) M[a * n + b] += row[a] * row[b] * r_[i] * r_[i];
      }
    }
    return true;
  }

  int cost_calls = 0, model_calls = 0;

 private:
  void differentiate(Span<const double> theta) {
    constexpr double h = 1e-100;
    for (std::size_t k = 0; k < size_; ++k) {
      for (std::size_t i = 0; i < size_; ++i) theta_[i] = Complex(theta[i], i == k ? h : 0);
      function_(theta_, rc_);
      for (std::size_t i = 0; i < rc_.size(); ++i) jacobian_[i * size_ + k] = rc_[i].imag() / h;
    }
  }

  Residuals function_;
  std::size_t size_;
  std::vector<double> r_, real_, jacobian_;
  std::vector<Complex> rc_, theta_;
};

template <class Residuals>
ResidualProblem<Residuals> make_problem(std::size_t parameters, std::size_t residuals, Residuals function) {
  return {parameters, residuals, std::move(function)};
}

// Every digit that can be had.
inline SolveOptions tight(std::size_t max_steps = 1000) {
  SolveOptions options;
  options.max_steps = max_steps;
  options.gradient_tolerance = 1e-14;
  options.step_tolerance = 1e-12;
  options.cost_tolerance = 0;
  return options;
}

}  // namespace diffrt::test
