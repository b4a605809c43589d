// When residuals come and go, the cost jumps by whole residuals: near the minimum these jumps, not the model, decide
// which trial is accepted, and a solver could go on for ever about nothing.
#pragma once

#include <algorithm>
#include <array>

namespace diffrt::solver {

// Watches the last trials. They stagnate if, though damping is strong (lambda >= 1), they lowered the cost by at most
// `kNegligible` of it together, and in a trial that was rejected a few residuals had come or gone. Where the number of
// residuals is constant they never stagnate.
class Stagnation {
 public:
  void start() {
    trials_ = 0;
    gains_.fill(0);
    fluctuates_.fill(false);
  }

  void add(bool accepted, double decrease, bool few_came_or_went) {
    gains_[trials_ % kTrials] = accepted ? decrease : 0;
    fluctuates_[trials_ % kTrials] = !accepted && few_came_or_went;
    ++trials_;
  }

  bool reached(double lambda, double cost) const {
    if (trials_ < kTrials || lambda < 1) return false;
    double gained = 0;
    for (const double gain : gains_) gained += gain;
    return gained <= kNegligible * cost && std::any_of(fluctuates_.begin(), fluctuates_.end(), [](bool f) { return f; });
  }

 private:
  static constexpr std::size_t kTrials = 5;
  static constexpr double kNegligible = 1e-3;

  std::size_t trials_ = 0;
  std::array<double, kTrials> gains_{};
  std::array<bool, kTrials> fluctuates_{};
};

}  // namespace diffrt::solver
