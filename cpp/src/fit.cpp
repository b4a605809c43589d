#include "diffrt/fit.hpp"

#include <algorithm>
#include <limits>

#include "diffrt/errors.hpp"

namespace diffrt {

ImageProblem::ImageProblem(Renderer& renderer, Observation observation, Loss loss)
    : renderer_(renderer), observation_(observation), loss_(loss) {}

std::size_t ImageProblem::size() const { return renderer_.parameters(); }

Evaluation ImageProblem::cost(Span<const double> theta) {
  try {
    renderer_.cost(theta, observation_, loss_, equations_);
  } catch (const ArgumentError&) {
    // The solver tried a theta that cannot be rendered (a negative radius): it takes a shorter step. At the start, or with
    // arguments that are wrong at any theta, normal_equations throws.
    return {std::numeric_limits<double>::infinity(), 0};
  }
  return {equations_.cost, equations_.count};
}

Evaluation ImageProblem::normal_equations(Span<const double> theta, Span<double> H, Span<double> g) {
  renderer_.normal_equations(theta, observation_, loss_, equations_, PoseDerivative::tangent);
  std::copy(equations_.H.begin(), equations_.H.end(), H.begin());
  std::copy(equations_.g.begin(), equations_.g.end(), g.begin());
  return {equations_.cost, equations_.count};
}

void ImageProblem::plus(Span<const double> theta, Span<const double> delta, Span<double> out) const { renderer_.plus(theta, delta, out); }

void ImageProblem::tangent_row(Span<const double> theta, std::size_t i, Span<double> row) const { renderer_.tangent_row(theta, i, row); }

SolveResult fit(Renderer& renderer, const Observation& observation, Span<const double> theta0, const Loss& loss, const SolveOptions& options) {
  renderer.check(theta0);
  ImageProblem problem(renderer, observation, loss);
  return solve(problem, theta0, options);
}

}  // namespace diffrt
