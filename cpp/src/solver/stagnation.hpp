// When residuals come and go, each step changes what the next one fits: near the minimum a solver could go on
// for ever about nothing.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

namespace diffrt::solver {

// Watches the last trials. They stagnate if in one of them a few residuals came or went, together they
// lowered the cost by at most `kNegligible` of it, and either all were accepted or damping is strong (lambda
// >= 1): a shorter step would do no better. Where the residuals stay the same they never stagnate.
class Stagnation {
 public:
  void start() { trials_ = 0; }

  void add(bool accepted, double decrease, bool few_came_or_went) {
    last_[trials_ % kTrials] = {accepted, few_came_or_went, accepted ? decrease : 0};
    ++trials_;
  }

  bool reached(double lambda, double cost) const {
    if (trials_ < kTrials) return false;
    bool all_accepted = true, fluctuate = false;
    double gained = 0;
    for (const Trial& trial : last_) {
      all_accepted = all_accepted && trial.accepted;
      fluctuate = fluctuate || trial.fluctuates;
      gained += trial.gain;
    }
    return fluctuate && (all_accepted || lambda >= 1) && gained <= kNegligible * cost;
  }

 private:
  struct Trial {
    bool accepted = false, fluctuates = false;
    double gain = 0;
  };
  static constexpr std::size_t kTrials = 5;
  static constexpr double kNegligible = 1e-3;

  std::size_t trials_ = 0;
  std::array<Trial, kTrials> last_{};
};

}  // namespace diffrt::solver
