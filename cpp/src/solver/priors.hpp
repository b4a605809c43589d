// Priors as residuals (theta_k - mean_k) / sigma_k.
#pragma once

#include "diffrt/least_squares.hpp"
#include "solver/eigen.hpp"

namespace diffrt::solver {

double prior_cost(const std::vector<Prior>& priors, const Vector& theta);

// Adds the rows' a a' to H and a r to g, where a = row k of d theta / d delta, over sigma. `row` is scratch.
void add_priors(const std::vector<Prior>& priors, const LeastSquaresProblem& problem, const Vector& theta,
                Matrix& H, Vector& g, Vector& row);

}  // namespace diffrt::solver
