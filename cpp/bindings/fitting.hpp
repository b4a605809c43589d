// What fits of scenes and of models share.
#pragma once

#include <tuple>
#include <variant>

#include "bindings.hpp"

namespace diffrt::bindings {

// (kind, scale, alpha), or a model.
using LossArgument = std::variant<std::tuple<int, double, double>, Model>;
Loss loss_of(const LossArgument& loss);

// `priors`: indices, means, sigmas. Without a callback.
SolveOptions solve_options(bool gauss_newton, std::size_t max_steps, double gradient_tolerance,
                           double step_tolerance, double cost_tolerance, double initial_damping,
                           const std::tuple<DoubleArray, DoubleArray, DoubleArray>& priors,
                           const DoubleArray& lower, const DoubleArray& upper, bool uncertainty,
                           std::size_t dense_limit);

// Between steps the interpreter gets a turn: pending signals, and the user's callback. Ctrl-C, in either,
// ends the fit with the best so far; any other exception passes through.
bool between_steps(const py::object& callback, const StepRecord& record, Span<const double> theta);

py::dict result_dict(SolveResult&& result);

}  // namespace diffrt::bindings
