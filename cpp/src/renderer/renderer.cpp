// The public face of Evaluator.
#include "diffrt/renderer.hpp"

#include <utility>

#include "extent.hpp"
#include "memory.hpp"
#include "renderer/evaluator.hpp"
#include "sparse.hpp"

namespace diffrt {

Renderer::Renderer(Scene scene, RendererOptions options)
    : evaluator_(renderer::make_evaluator(std::move(scene), std::move(options))) {}
Renderer::~Renderer() = default;
Renderer::Renderer(Renderer&&) noexcept = default;
Renderer& Renderer::operator=(Renderer&&) noexcept = default;

const Scene& Renderer::scene() const { return evaluator_->scene(); }
const RendererOptions& Renderer::options() const { return evaluator_->options(); }
const std::vector<double>& Renderer::theta0() const { return evaluator_->parameters().theta0(); }
const std::vector<ParameterBlock>& Renderer::blocks() const { return evaluator_->parameters().blocks(); }
std::size_t Renderer::parameters() const { return evaluator_->parameters().size(); }
int Renderer::channels() const { return evaluator_->channels(); }
std::size_t Renderer::pixels() const { return evaluator_->pixels(); }
std::string Renderer::device() const { return evaluator_->device(); }
int Renderer::threads() const { return evaluator_->threads(); }
std::size_t Renderer::degenerate_triangles() const { return evaluator_->degenerate_triangles(); }
const std::vector<std::string>& Renderer::warnings() const { return evaluator_->warnings(); }

void Renderer::render(Span<const double> theta, Span<float> image) { evaluator_->render(theta, image); }
Jacobian Renderer::jacobian(Span<const double> theta, Span<float> image) {
  return evaluator_->jacobian(theta, image);
}
DeviceArray Renderer::render_on_device(Span<const double> theta) {
  return evaluator_->render_on_device(theta);
}
Jacobian Renderer::jacobian_on_device(Span<const double> theta, DeviceArray* image) {
  return evaluator_->jacobian_on_device(theta, image);
}
void Renderer::use_stream(std::uintptr_t stream) { evaluator_->use_stream(stream); }
std::uintptr_t Renderer::stream() const { return evaluator_->stream(); }
void Renderer::wait_for(std::uintptr_t stream) { evaluator_->wait_for(stream); }
void Renderer::fetch(const ImageView& view, Span<float> out) { evaluator_->fetch(view, out); }
void Renderer::normal_equations(Span<const double> theta, const Observation& observation, const Loss& loss,
                                NormalEquations& result, PoseDerivative pose, bool remember) {
  evaluator_->normal_equations(theta, observation, loss, result, pose, remember);
  const std::size_t P = parameters();
  if (P > options().dense_limit) {
    result.H.clear();
  } else {
    resize(result.H, P * P, "a dense H");
    to_dense(result.H_sparse, result.H);
  }
}
void Renderer::cost(Span<const double> theta, const Observation& observation, const Loss& loss,
                    NormalEquations& result, SharedCost* shared) {
  evaluator_->cost(theta, observation, loss, result, shared);
}
std::uint64_t Renderer::remembered() const { return evaluator_->remembered(); }
void Renderer::gradient_scatter(Span<const double> theta, const Observation& observation, const Loss& loss,
                                SparseMatrix& M) {
  evaluator_->gradient_scatter(theta, observation, loss, M);
}
void Renderer::gradient_scatter(Span<const double> theta, const Observation& observation, const Loss& loss,
                                Span<double> M) {
  evaluator_->gradient_scatter(theta, observation, loss, M);
}
void Renderer::check(Span<const double> theta) const { evaluator_->parameters().check(theta); }
void Renderer::check(const Observation& observation) const { evaluator_->check(observation); }
Scene Renderer::scene_at(Span<const double> theta) const { return evaluator_->parameters().scene_at(theta); }
Extent Renderer::extent(Span<const double> theta) const {
  const Scene scene = scene_at(theta);
  Extent extent{std::numeric_limits<double>::infinity(), 0, {}};
  for (const auto& [name, shape] : scene.shapes) {
    const auto [near, far] = reach_of(shape, scene.camera);
    extent.near = std::min(extent.near, near), extent.far = std::max(extent.far, far);
    if (contains_camera(shape, scene.camera)) extent.around_camera.push_back(name);
  }
  return extent;
}
void Renderer::plus(Span<const double> theta, Span<const double> delta, Span<double> out) const {
  evaluator_->parameters().plus(theta, delta, out);
}
void Renderer::tangent_row(Span<const double> theta, std::size_t i, Span<double> row) const {
  evaluator_->parameters().tangent_row(theta, i, row);
}

}  // namespace diffrt
