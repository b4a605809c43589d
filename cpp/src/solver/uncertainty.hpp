// What the data say at the end, and what they do not: rank, null directions, covariances.
#pragma once

#include "diffrt/least_squares.hpp"
#include "solver/chart.hpp"
#include "solver/model.hpp"
#include "solver/point.hpp"

namespace diffrt::solver {

// Fills the last part of `result` from the model at its theta, where `point` is the cost; `frozen` are the
// parameters held at a bound.
// `model` is in the coordinates of `chart`. `null_threshold` is resolved.
void analyse(LeastSquaresProblem& problem, const SolveOptions& options, double null_threshold,
             const Model& model, const Point& point, const Mask& frozen, Chart& chart, SolveResult& result);

}  // namespace diffrt::solver
