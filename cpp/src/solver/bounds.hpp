// Bounds by projection: parameters at a bound that would leave are frozen, and the step of the others is
// clipped (Bertsekas 1982, "Projected Newton methods for optimization problems with simple constraints",
// without its line search: the damping shortens the step instead).
#pragma once

#include <limits>
#include <vector>

#include "solver/eigen.hpp"

namespace diffrt::solver {

class Bounds {
 public:
  // Two empty vectors: no bounds. Otherwise one entry per parameter, each.
  Bounds(const std::vector<double>& lower, const std::vector<double>& upper, std::size_t size);

  bool any() const { return any_; }
  bool on(std::size_t i) const { return any_ && (lower_[i] > -kInfinity || upper_[i] < kInfinity); }

  // Flags the parameters at a bound whose cost falls beyond it, and those whose bounds coincide.
  void hold(const Vector& theta, const Vector& gradient, Mask& frozen) const;

  // Adds to the flags the parameters at a bound that the step d would take beyond it. Whether there were any.
  bool hold_leaving(const Vector& theta, const Vector& d, Mask& frozen) const;

  // Shortens each component of d so that theta + d is within.
  void clip(const Vector& theta, Vector& d) const;

  // Moves theta within. `d` is the clipped step that led here from `from`: where it ends on a bound, so does
  // theta, exactly.
  void settle(const Vector& from, const Vector& d, Vector& theta) const;

  // -1, +1: held at the lower, upper bound, given the flags; 0: free.
  std::vector<int> sides(const Vector& theta, const Mask& frozen) const;

 private:
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  bool any_;
  std::vector<double> lower_, upper_;
};

}  // namespace diffrt::solver
