// What solve() refuses, before anything is evaluated.
#pragma once

#include "diffrt/least_squares.hpp"

namespace diffrt::solver {

// Throws SolverArgumentError.
void check_options(const SolveOptions& options);
void check_arguments(const LeastSquaresProblem& problem, Span<const double> theta0,
                     const SolveOptions& options);

}  // namespace diffrt::solver
