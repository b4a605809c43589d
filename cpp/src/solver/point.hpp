// The cost at a point, and how costs over different numbers of residuals compare.
#pragma once

#include <cmath>

#include "diffrt/least_squares.hpp"

namespace diffrt::solver {

struct Point {
  Evaluation data;
  double prior_cost = 0;

  double cost() const { return data.cost + prior_cost; }
  bool finite() const { return std::isfinite(cost()); }
};

// What `to` saves over `from`. A residual that left is charged, and one that entered is credited, the average
// cost of a residual at `from`; with a constant count the charge is zero, exactly. See solve() in
// least_squares.hpp.
inline double decrease(const Point& from, const Point& to) {
  const double lost = static_cast<double>(from.data.count) - static_cast<double>(to.data.count);
  const double average = from.data.count > 0 ? from.data.cost / static_cast<double>(from.data.count) : 0;
  return from.cost() - (to.cost() + lost * average);
}

// Whether enough of the residuals that the quadratic model at `from` was built on are left for it to have
// meaning at `to`.
inline bool overlaps(const Point& from, const Point& to, double min_kept) {
  return to.data.count > 0 &&
         static_cast<double>(to.data.count) >= min_kept * static_cast<double>(from.data.count);
}

// Whether the number of residuals differs, by at most a hundredth.
inline bool few_came_or_went(const Point& from, const Point& to) {
  const double change = std::abs(static_cast<double>(to.data.count) - static_cast<double>(from.data.count));
  return change > 0 && change <= 0.01 * static_cast<double>(from.data.count);
}

}  // namespace diffrt::solver
