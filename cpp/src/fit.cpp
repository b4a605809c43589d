#include "diffrt/fit.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "diffrt/errors.hpp"

namespace diffrt {
namespace {

// Mean magnitude of an image's numbers, from a sample of them.
double magnitude(const ImageView& image, const PinholeCamera& camera, int channels) {
  if (image.empty()) return 0;
  const int row_step = std::max(1, camera.height / 64), column_step = std::max(1, camera.width / 64);
  double sum = 0, count = 0;
  for (int row = 0; row < camera.height; row += row_step) {
    for (int column = 0; column < camera.width; column += column_step) {
      for (int c = 0; c < channels; ++c) {
        const char* address = static_cast<const char*>(image.data) + row * image.row_stride +
                              column * image.column_stride + c * image.channel_stride;
        float single = 0;
        double value = 0;
        if (image.is_double) {
          std::memcpy(&value, address, sizeof value);
        } else {
          std::memcpy(&single, address, sizeof single);
          value = static_cast<double>(single);
        }
        if (std::isfinite(value)) sum += std::abs(value), ++count;
      }
    }
  }
  return count > 0 ? sum / count : 0;
}

}  // namespace

ImageProblem::ImageProblem(Renderer& renderer, Observation observation, Loss loss)
    : renderer_(renderer),
      observation_(observation),
      loss_(loss),
      resolution_(static_cast<double>(std::numeric_limits<float>::epsilon()) *
                  magnitude(observation.image, renderer.scene().camera, renderer.channels())) {}

std::size_t ImageProblem::size() const { return renderer_.parameters(); }

// Rendered values are float32: with errors e in the residuals the cost is off by about |r|.|e| + |e|^2 / 2.
Evaluation ImageProblem::evaluation() const {
  const double noise = resolution_ * std::sqrt(2 * equations_.cost) +
                       0.5 * static_cast<double>(equations_.count) * resolution_ * resolution_;
  Evaluation result{equations_.cost, equations_.count};
  result.noise = noise;
  return result;
}

// The solver may try a theta that cannot be rendered, such as a negative radius: it then takes a shorter
// step.
bool ImageProblem::can_be_rendered(Span<const double> theta) const {
  try {
    renderer_.check(theta);
  } catch (const ArgumentError&) {
    return false;
  }
  return true;
}

Evaluation ImageProblem::cost(Span<const double> theta) {
  if (!can_be_rendered(theta)) return {std::numeric_limits<double>::infinity(), 0};
  SharedCost shared;
  renderer_.cost(theta, observation_, loss_, equations_, &shared);
  Evaluation result = evaluation();
  result.shared = {true, shared.count, shared.before, shared.now};
  return result;
}

Evaluation ImageProblem::normal_equations(Span<const double> theta, Span<double> H, Span<double> g) {
  if (!can_be_rendered(theta)) {
    std::fill(H.begin(), H.end(), 0.0);
    std::fill(g.begin(), g.end(), 0.0);
    return {std::numeric_limits<double>::infinity(), 0};
  }
  renderer_.normal_equations(theta, observation_, loss_, equations_, PoseDerivative::tangent, true);
  std::copy(equations_.H.begin(), equations_.H.end(), H.begin());
  std::copy(equations_.g.begin(), equations_.g.end(), g.begin());
  return evaluation();
}

void ImageProblem::plus(Span<const double> theta, Span<const double> delta, Span<double> out) const {
  renderer_.plus(theta, delta, out);
}

void ImageProblem::tangent_row(Span<const double> theta, std::size_t i, Span<double> row) const {
  renderer_.tangent_row(theta, i, row);
}

bool ImageProblem::gradient_scatter(Span<const double> theta, Span<double> M) {
  renderer_.gradient_scatter(theta, observation_, loss_, M);
  return true;
}

SolveResult fit(Renderer& renderer, const Observation& observation, Span<const double> theta0,
                const Loss& loss, const SolveOptions& options) {
  renderer.check(theta0);
  ImageProblem problem(renderer, observation, loss);
  return solve(problem, theta0, options);
}

}  // namespace diffrt
