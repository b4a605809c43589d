// What the stop reasons say.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "diffrt/least_squares.hpp"

namespace diffrt {

bool converged(Status status) {
  return status == Status::converged_gradient || status == Status::converged_step ||
         status == Status::converged_cost;
}

const char* name(Status status) {
  switch (status) {
    case Status::running:
      return "running";
    case Status::converged_gradient:
      return "converged_gradient";
    case Status::converged_step:
      return "converged_step";
    case Status::converged_cost:
      return "converged_cost";
    case Status::stalled:
      return "stalled";
    case Status::max_steps:
      return "max_steps";
    case Status::interrupted:
      return "interrupted";
    case Status::no_residuals:
      return "no_residuals";
    case Status::not_finite:
      return "not_finite";
    case Status::not_seen:
      return "not_seen";
  }
  return "unknown";
}

const char* message(Status status) {
  switch (status) {
    case Status::running:
      return "Still running: more steps can be taken.";
    case Status::converged_gradient:
      return "Converged: the gradient is zero within gradient_tolerance.";
    case Status::converged_step:
      return "Converged: the next step would move the parameters by less than step_tolerance.";
    case Status::converged_cost:
      return "Converged: the next step would lower the cost by less than cost_tolerance of it.";
    case Status::stalled:
      return "Stalled: however short the step, the cost per residual no longer falls, although the gradient "
             "is not zero. Close to a minimum this is noise (residuals that enter and leave, float rounding) "
             "and the result is as good as the data allow. Far from one, the derivatives do not match the "
             "cost: check weights and loss, smooth the data or start on a coarser level, or loosen "
             "step_tolerance and cost_tolerance to the noise.";
    case Status::max_steps:
      return "Stopped after max_steps trials, not converged; the result is the best so far. If the cost in "
             "history still falls, raise max_steps or continue from this theta; if it wanders, improve the "
             "start or add a robust loss, bounds or priors.";
    case Status::interrupted:
      return "Interrupted by the callback; the result is the best so far, and a solve can go on from it.";
    case Status::no_residuals:
      return "No residuals: nothing of the model and the data overlaps. Check that the start projects onto "
             "observed pixels, that the data are not all NaN and the weights not all zero, and the units and "
             "direction of the poses.";
    case Status::not_finite:
      return "The cost or its derivatives are not finite (NaN or infinity); the result is the last point "
             "where they were. Check the data and weights, move the start, keep parameters where the model "
             "exists with bounds, and prefer Levenberg-Marquardt to Gauss-Newton.";
    case Status::not_seen:
      return "Not seen: where the fit ended, no free parameter moves a pixel that counts, so the data say "
             "nothing about them. What they belong to is outside the image, behind the camera or something "
             "else, smaller than a pixel, or every residual is beyond what the loss reaches. Move the start "
             "to where the model and the observed object overlap, check the units and directions of poses, "
             "keep the model in sight with bounds or a prior, or give the loss a larger scale.";
  }
  return "Unknown status.";
}

namespace {

template <class... Arguments>
std::string format(const char* text, Arguments... arguments) {
  char buffer[200];
  std::snprintf(buffer, sizeof buffer, text, arguments...);
  return buffer;
}

// "0.71 ball.radius + 0.71 ball.center[0] - ...", the largest six.
std::string describe(Span<const double> direction, Span<const std::string> names) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < direction.size(); ++i) {
    if (direction[i] != 0) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::abs(direction[a]) > std::abs(direction[b]);
  });
  std::string text;
  for (std::size_t k = 0; k < std::min<std::size_t>(order.size(), 6); ++k) {
    const double share = direction[order[k]];
    text += k == 0 ? (share < 0 ? "-" : "") : (share < 0 ? " - " : " + ");
    text += format("%.3g ", std::abs(share));
    text += names.empty() ? format("theta[%zu]", order[k]) : names[order[k]];
  }
  if (order.size() > 6) text += format(" + ... (%zu more)", order.size() - 6);
  return text;
}

}  // namespace

std::string summary(const SolveResult& result, Span<const std::string> names) {
  const std::size_t size = result.theta.size();
  if (!names.empty() && names.size() != size) {
    throw SolverArgumentError(format(
        "names has %zu entries, the result %zu parameters; give one each, or none", names.size(), size));
  }
  std::string text = message(result.status);
  text += format("\n%zu step%s, cost %.6g over %zu residuals.", result.steps, result.steps == 1 ? "" : "s",
                 result.cost, result.count);
  for (std::size_t i = 0; i < result.held.size(); ++i) {
    if (result.held[i] == 0) continue;
    text += "\nHeld at its " + std::string(result.held[i] < 0 ? "lower" : "upper") + " bound: ";
    text += names.empty() ? format("theta[%zu]", i) : names[i];
  }
  const std::size_t nulls = size == 0 ? 0 : result.null_directions.size() / size;
  if (nulls > 0) {
    text += format("\nNot determined by the data (rank %zu of %zu): the cost does not change along",
                   result.rank.value_or(0), result.rank.value_or(0) + nulls);
    const Span<const double> directions(result.null_directions);
    for (std::size_t k = 0; k < nulls; ++k) {
      text += "\n  " + describe(directions.subspan(k * size, size), names);
    }
    text += "\nFree fewer parameters, add a prior along these, or add data that see them.";
  }
  return text;
}

}  // namespace diffrt
