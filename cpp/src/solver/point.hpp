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

// What `to` saves over `from`: over the residuals that exist at both, if the problem tells. Else a residual
// that left is charged, and one that entered is credited, the average cost of a residual at `from`; with a
// constant count the charge is zero, exactly. See solve() in least_squares.hpp.
inline double decrease(const Point& from, const Point& to) {
  const SharedResiduals& shared = to.data.shared;
  if (shared.known) return (shared.before - shared.now) + (from.prior_cost - to.prior_cost);
  const double lost = static_cast<double>(from.data.count) - static_cast<double>(to.data.count);
  const double average = from.data.count > 0 ? from.data.cost / static_cast<double>(from.data.count) : 0;
  return from.cost() - (to.cost() + lost * average);
}

// Whether enough of the residuals that the quadratic model at `from` was built on are left for it to have
// meaning at `to`.
inline bool overlaps(const Point& from, const Point& to, double min_kept) {
  const std::size_t kept = to.data.shared.known ? to.data.shared.count : to.data.count;
  return kept > 0 && static_cast<double>(kept) >= min_kept * static_cast<double>(from.data.count);
}

// A bound on what residuals that come in may cost, of which the decrease over shared ones says nothing: the
// cost, priors included, shared out over the residuals, may be `kDearer` times what it was at the cheapest
// point so far. One that has few residuals is no measure for one that has many.
class Cheapest {
 public:
  void start(const Point& point) { cheapest_ = point; }

  void add(const Point& point) {
    if (average(point) < average(cheapest_) || many_more(point)) cheapest_ = point;
  }

  bool allows(const Point& point) const {
    return !point.data.shared.known || many_more(point) || average(point) <= kDearer * average(cheapest_);
  }

 private:
  static constexpr double kDearer = 1.25;
  static double average(const Point& p) { return p.cost() / static_cast<double>(p.data.count); }
  bool many_more(const Point& point) const { return point.data.count > 2 * cheapest_.data.count; }

  Point cheapest_;
};

// Whether residuals came or went, at most a hundredth of them.
inline bool few_came_or_went(const Point& from, const Point& to) {
  const auto before = static_cast<double>(from.data.count), now = static_cast<double>(to.data.count);
  const SharedResiduals& shared = to.data.shared;
  const double changed =
      shared.known ? before + now - 2 * static_cast<double>(shared.count) : std::abs(now - before);
  return changed > 0 && changed <= 0.01 * before;
}

}  // namespace diffrt::solver
