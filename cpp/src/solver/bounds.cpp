// Bounds: which parameters are held, and how far the others may go.
#include "solver/bounds.hpp"

#include <algorithm>

namespace diffrt::solver {

Bounds::Bounds(const std::vector<double>& lower, const std::vector<double>& upper, std::size_t size)
    : any_(!lower.empty() || !upper.empty()), lower_(lower), upper_(upper) {
  if (!any_) return;
  lower_.resize(size, -kInfinity);
  upper_.resize(size, kInfinity);
}

void Bounds::hold(const Vector& theta, const Vector& gradient, Mask& frozen) const {
  std::fill(frozen.begin(), frozen.end(), char{0});
  if (!any_) return;
  for (std::size_t i = 0; i < frozen.size(); ++i) {
    const double x = theta[index(i)], slope = gradient[index(i)];
    frozen[i] = lower_[i] == upper_[i] || (x <= lower_[i] && slope > 0) || (x >= upper_[i] && slope < 0);
  }
}

bool Bounds::hold_leaving(const Vector& theta, const Vector& d, Mask& frozen) const {
  if (!any_) return false;
  bool found = false;
  for (std::size_t i = 0; i < frozen.size(); ++i) {
    if (frozen[i]) continue;
    const double x = theta[index(i)], step = d[index(i)];
    if ((x <= lower_[i] && step < 0) || (x >= upper_[i] && step > 0)) frozen[i] = found = true;
  }
  return found;
}

void Bounds::clip(const Vector& theta, Vector& d) const {
  if (!any_) return;
  for (std::size_t i = 0; i < lower_.size(); ++i) {
    const double x = theta[index(i)];
    d[index(i)] = std::clamp(d[index(i)], lower_[i] - x, upper_[i] - x);
  }
}

void Bounds::settle(const Vector& from, const Vector& d, Vector& theta) const {
  if (!any_) return;
  for (std::size_t i = 0; i < lower_.size(); ++i) {
    const double x = from[index(i)], step = d[index(i)];
    double& out = theta[index(i)];
    if (step == lower_[i] - x) {
      out = lower_[i];
    } else if (step == upper_[i] - x) {
      out = upper_[i];
    } else {
      out = std::clamp(out, lower_[i], upper_[i]);
    }
  }
}

std::vector<int> Bounds::sides(const Vector& theta, const Mask& frozen) const {
  std::vector<int> sides(frozen.size(), 0);
  for (std::size_t i = 0; i < frozen.size(); ++i) {
    if (frozen[i]) sides[i] = theta[index(i)] <= lower_[i] ? -1 : 1;
  }
  return sides;
}

}  // namespace diffrt::solver
