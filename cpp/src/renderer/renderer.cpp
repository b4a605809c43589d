// The public face of Evaluator.
#include "diffrt/renderer.hpp"

#include <utility>

#include "renderer/evaluator.hpp"

namespace diffrt {

class Renderer::Implementation : public renderer::Evaluator {
 public:
  using Evaluator::Evaluator;
};

Renderer::Renderer(Scene scene, RendererOptions options)
    : implementation_(std::make_unique<Implementation>(std::move(scene), std::move(options))) {}
Renderer::~Renderer() = default;
Renderer::Renderer(Renderer&&) noexcept = default;
Renderer& Renderer::operator=(Renderer&&) noexcept = default;

const Scene& Renderer::scene() const { return implementation_->scene(); }
const RendererOptions& Renderer::options() const { return implementation_->options(); }
const std::vector<double>& Renderer::theta0() const { return implementation_->parameters().theta0(); }
const std::vector<ParameterBlock>& Renderer::blocks() const { return implementation_->parameters().blocks(); }
std::size_t Renderer::parameters() const { return implementation_->parameters().size(); }
int Renderer::channels() const { return implementation_->channels(); }
std::size_t Renderer::pixels() const { return implementation_->pixels(); }
int Renderer::threads() const { return implementation_->threads(); }
std::size_t Renderer::degenerate_triangles() const { return implementation_->degenerate_triangles(); }
const std::vector<std::string>& Renderer::warnings() const { return implementation_->warnings(); }

void Renderer::render(Span<const double> theta, Span<float> image) { implementation_->render(theta, image); }
Jacobian Renderer::jacobian(Span<const double> theta, Span<float> image) {
  return implementation_->jacobian(theta, image);
}
void Renderer::normal_equations(Span<const double> theta, const Observation& observation, const Loss& loss,
                                NormalEquations& result, PoseDerivative pose, bool remember) {
  implementation_->normal_equations(theta, observation, loss, result, pose, remember);
}
void Renderer::cost(Span<const double> theta, const Observation& observation, const Loss& loss,
                    NormalEquations& result, SharedCost* shared) {
  implementation_->cost(theta, observation, loss, result, shared);
}
void Renderer::gradient_scatter(Span<const double> theta, const Observation& observation, const Loss& loss,
                                Span<double> M) {
  implementation_->gradient_scatter(theta, observation, loss, M);
}
void Renderer::check(Span<const double> theta) const { implementation_->parameters().check(theta); }
Scene Renderer::scene_at(Span<const double> theta) const {
  return implementation_->parameters().scene_at(theta);
}
void Renderer::plus(Span<const double> theta, Span<const double> delta, Span<double> out) const {
  implementation_->parameters().plus(theta, delta, out);
}
void Renderer::tangent_row(Span<const double> theta, std::size_t i, Span<double> row) const {
  implementation_->parameters().tangent_row(theta, i, row);
}

}  // namespace diffrt
