// Arguments: each refusal names the argument, what it was, and the likely fix.
#include "solver/arguments.hpp"

#include <cmath>
#include <sstream>

namespace diffrt::solver {
namespace {

template <class... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
  std::ostringstream text;
  text.precision(10);
  (text << ... << parts);
  throw SolverArgumentError(text.str());
}

void check_positive(const char* name, double value, const char* fix) {
  if (!(value > 0) || !std::isfinite(value))
    refuse(name, " is ", value, "; it must be positive and finite: ", fix);
}

void check_tolerance(const char* name, double value) {
  if (!(value >= 0))
    refuse(name, " is ", value, "; a tolerance is zero or positive (zero: stop only at rounding)");
}

void check_bounds(const char* name, const std::vector<double>& bounds, std::size_t size) {
  if (!bounds.empty() && bounds.size() != size) {
    refuse("bounds: ", name, " has ", bounds.size(), " numbers for ", size,
           " parameters; give one for each (-infinity or infinity for a free side), or leave it empty");
  }
}

}  // namespace

void check_options(const SolveOptions& options) {
  check_tolerance("gradient_tolerance", options.gradient_tolerance);
  check_tolerance("step_tolerance", options.step_tolerance);
  check_tolerance("cost_tolerance", options.cost_tolerance);
  check_positive("initial_damping", options.initial_damping,
                 "1e-4 suits good starts, 1 poor ones; for none at all use Method::gauss_newton");
  check_positive("diagonal_floor", options.diagonal_floor,
                 "it keeps the system solvable, 1e-12 is the default");
  if (!(options.min_kept >= 0 && options.min_kept <= 1)) {
    refuse("min_kept is ", options.min_kept,
           "; it is a fraction of the residuals, from 0 (accept any loss) to 1");
  }
  if (!(options.null_threshold >= 0 && options.null_threshold < 1)) {
    refuse("null_threshold is ", options.null_threshold, "; it is relative, in [0, 1), 0 for automatic");
  }
  for (std::size_t k = 0; k < options.priors.size(); ++k) {
    const Prior& prior = options.priors[k];
    if (!std::isfinite(prior.mean)) refuse("priors[", k, "].mean is ", prior.mean, "; it must be finite");
    if (!(prior.sigma > 0) || !std::isfinite(prior.sigma)) {
      refuse("priors[", k, "].sigma is ", prior.sigma,
             "; it is a standard deviation, positive and finite (to hold a parameter, give it equal bounds; "
             "to leave it "
             "free, give no prior)");
    }
  }
}

void check_arguments(const LeastSquaresProblem& problem, Span<const double> theta0,
                     const SolveOptions& options) {
  const std::size_t size = problem.size();
  if (size == 0) refuse("the problem has no parameters; free at least one");
  if (theta0.size() != size)
    refuse("theta0 has ", theta0.size(), " numbers, the problem ", size, " parameters");
  if (theta0.data() == nullptr) refuse("theta0: its pointer is null, though its size is ", size);
  for (std::size_t i = 0; i < size; ++i) {
    if (!std::isfinite(theta0[i])) refuse("theta0[", i, "] is ", theta0[i], "; it must be finite");
  }
  for (std::size_t k = 0; k < options.priors.size(); ++k) {
    if (options.priors[k].index >= size) {
      refuse("priors[", k, "].index is ", options.priors[k].index, ", the problem has ", size,
             " parameters: 0 to ", size - 1);
    }
  }
  check_bounds("lower", options.lower, size);
  check_bounds("upper", options.upper, size);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < size; ++i) {
    const double lower = options.lower.empty() ? -kInfinity : options.lower[i];
    const double upper = options.upper.empty() ? kInfinity : options.upper[i];
    if (!(lower <= upper) || lower == kInfinity || upper == -kInfinity) {
      refuse("bounds: lower[", i, "] is ", lower, ", upper[", i, "] is ", upper,
             "; lower must not exceed upper, and neither may be NaN. Perhaps they are swapped");
    }
    if (theta0[i] < lower || theta0[i] > upper) {
      refuse("theta0[", i, "] is ", theta0[i], ", outside its bounds [", lower, ", ", upper,
             "]; start inside, or widen the bounds");
    }
  }
}

}  // namespace diffrt::solver
