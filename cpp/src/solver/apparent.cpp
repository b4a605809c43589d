// A deviation is read off the curvature of the cost at its minimum. A prism of 64 sides has a steep one about
// its axis, and 64 minima: whoever trusts the first is turned from one to the next.
#include "solver/apparent.hpp"

#include <algorithm>
#include <cmath>

#include "solver/priors.hpp"
#include "solver/spectrum.hpp"

namespace diffrt::solver {
namespace {

constexpr double kFar = 6, kEnough = 0.5;
constexpr Index kAlways = 2;

// By how much a step of kFar deviations raises the cost, as a share of what H promises: over residuals that
// exist at both ends, and of their part of the promise.
double share_of_promise(const Point& from, const Point& to, double s2) {
  if (!to.finite()) return 1;  // there is no model: a border, not a plain
  const SharedResiduals& shared = to.data.shared;
  const double kept =
      shared.known ? static_cast<double>(shared.count) / static_cast<double>(from.data.count) : 1;
  return -decrease(from, to) / (0.5 * kFar * kFar * s2 * std::max(kept, 0.01));
}

}  // namespace

Matrix apparent_directions(LeastSquaresProblem& problem, const std::vector<Prior>& priors,
                           const Vector& theta, const Point& point, const Matrix& covariance,
                           const Vector& sizes, double s2) {
  const Index P = theta.size();
  Matrix found(P, 0);
  if (0.5 * kFar * kFar * s2 <= 2 * (point.data.noise + point.data.worst_noise)) return found;
  const Vector inverse = sizes.cwiseInverse();
  EigenSolver principal;
  decompose(inverse.asDiagonal() * covariance * inverse.asDiagonal(), principal);
  Vector step(P), there(P);
  for (Index k = 0; k < P; ++k) {
    const double variance = principal.eigenvalues()[P - 1 - k];
    if (!(variance > 0)) break;
    double mean = 0;  // of both sides: where a fit has stalled, the cost may have a slope
    for (const double side : {kFar, -kFar}) {
      step = side * std::sqrt(variance) * sizes.cwiseProduct(principal.eigenvectors().col(P - 1 - k));
      problem.plus(view(theta), view(step), view(there));
      Point trial;
      trial.data = problem.cost(view(there));
      trial.prior_cost = prior_cost(priors, there);
      mean += 0.5 * share_of_promise(point, trial, s2);
    }
    if (mean < kEnough) {
      found.conservativeResize(Eigen::NoChange, found.cols() + 1);
      found.rightCols(1) = step / kFar;
    } else if (k + 1 >= kAlways) {
      break;
    }
  }
  return found;
}

}  // namespace diffrt::solver
