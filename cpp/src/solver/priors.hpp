// Priors as residuals (theta_k - mean_k) / sigma_k.
#pragma once

#include "diffrt/least_squares.hpp"
#include "solver/eigen.hpp"

namespace diffrt::solver {

double prior_cost(const std::vector<Prior>& priors, const Vector& theta);

// The rows' a a' into `products` (replaced), and a r added to g, where a = row k of d theta / d delta, over
// sigma. `row` is scratch.
void add_priors(const std::vector<Prior>& priors, const LeastSquaresProblem& problem, const Vector& theta,
                std::vector<Triplet>& products, Vector& g,
                std::vector<LeastSquaresProblem::TangentEntry>& row);

}  // namespace diffrt::solver
