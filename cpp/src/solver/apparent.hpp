// Directions that are determined in appearance: H says how far one may go along them, and the cost does not.
#pragma once

#include "diffrt/least_squares.hpp"
#include "solver/eigen.hpp"
#include "solver/point.hpp"

namespace diffrt::solver {

// Puts a covariance to the test. Of its principal directions, in units of `sizes` and the longest first,
// returns as columns those along which kFar deviations raise the cost, in the mean of both sides, by less
// than kEnough of what was promised: at least kAlways are tried, then the next as long as the last was one.
// `point` is the cost at theta, where the problem's normal_equations was called last. A column is one
// deviation long. All is in the tangent space; `covariance` is that of the data and priors, with zeros for
// parameters that do not take part.
Matrix apparent_directions(LeastSquaresProblem& problem, const std::vector<Prior>& priors,
                           const Vector& theta, const Point& point, const Matrix& covariance,
                           const Vector& sizes, double s2);

}  // namespace diffrt::solver
