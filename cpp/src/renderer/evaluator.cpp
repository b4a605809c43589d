#include "renderer/evaluator.hpp"

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "check_span.hpp"
#include "diffrt/errors.hpp"
#include "diffrt/info.hpp"
#include "memory.hpp"
#include "renderer/cpu_evaluator.hpp"
#include "renderer/device/device_evaluator.hpp"
#include "renderer/placement.hpp"
#include "runtime/devices.hpp"
#include "scene/validation.hpp"
#include "sparse.hpp"
#include "weights.hpp"

namespace diffrt::renderer {
namespace {

// Faces of meshes, kept alive by Jacobians that refer to them.
std::shared_ptr<const void> faces_of(const Scene& scene) {
  auto faces = std::make_shared<std::vector<std::shared_ptr<const std::vector<std::int32_t>>>>();
  for (const auto& [name, shape] : scene.shapes) {
    if (const Mesh* mesh = std::get_if<Mesh>(&shape)) faces->push_back(mesh->faces);
  }
  return faces;
}

}  // namespace

Evaluator::Evaluator(Scene scene, RendererOptions options)
    : scene_((scene::check(scene), std::move(scene))),
      options_(std::move(options)),
      outputs_(make_outputs(options_)),
      parameters_(scene_, options_.free),
      grid_(scene_.camera.width, scene_.camera.height),
      pool_(runtime::shared_pool(options_.threads)),
      rule_models_(options_),
      groups_(make_groups(scene_, parameters_, grid_, options_, rule_models_)),
      pivots_(scene_.shapes.size()) {
  channels_ = outputs_.back().first + outputs_.back().count;
  camera_slots_ = parameters_.camera_columns().intrinsics() ? kernels::camera_slots : 0;
  for (const Group& group : groups_) widest_ = std::max(widest_, group.slots + camera_slots_);
  check_rules();
  const bool single =
      groups_.size() == 1 && (groups_[0].kind == GroupKind::rigid_mesh ||
                              (groups_[0].kind != GroupKind::free_mesh && groups_[0].count == 1));
  dense_rows_ = single && parameters_.size() <= 16;
  row_planes_ = dense_rows_ ? static_cast<int>(parameters_.size()) : widest_;
  for (const Group& group : groups_) degenerate_ += group.degenerate;
  if (degenerate_ > 0) {
    std::size_t faces = 0;
    for (const Group& group : groups_)
      faces += group.mesh != nullptr ? static_cast<std::size_t>(group.count) : 0;
    warnings_.push_back(std::to_string(degenerate_) + " of " + std::to_string(faces) +
                        " triangles have no area and are skipped");
  }
  faces_ = faces_of(scene_);
  parameters_.apply(parameters_.theta0(), state_);
}

void Evaluator::check_rules() const {
  if (!options_.rules.empty() && options_.boundary == Boundary::none)
    throw ArgumentError("rules: there are none without exact boundaries; use Boundary::exact");
  std::vector<std::string> names;
  for (const auto& [name, shape] : scene_.shapes) names.push_back(name);
  const std::unordered_set<std::string> known(names.begin(), names.end());
  std::unordered_set<std::string> seen;
  for (const auto& [name, rule] : options_.rules) {
    if (known.count(name) == 0) {
      throw ArgumentError("rules: the scene has no shape '" + name + "'." + scene::suggestion(name, names) +
                          " Shapes: " + scene::joined(names) + ".");
    }
    if (!seen.insert(name).second) throw ArgumentError("rules: '" + name + "' is given twice");
  }
}

void Evaluator::check_image(Span<float> image) const {
  check_span("image", image, pixels() * static_cast<std::size_t>(channels_), "height x width x channels");
}

void Evaluator::move_to(Span<const double> theta) {
  check_usable();
  parameters_.check(theta);
  parameters_.apply(theta, state_);
  for (Group& group : groups_) place(group, scene_, state_, grid_);
  look_at_edges();
}

void Evaluator::look_at_edges() {
  bool changed = false;
  for (Group& group : groups_) {
    if (group.kind != GroupKind::free_mesh || !exact() || group.rules[0] == BoundaryRule::none) continue;
    const Span<const double> vertices(state_.shapes[static_cast<std::size_t>(group.shape)].vertices,
                                      group.mesh->vertices->size());
    if (!group.silhouettes.moving.change(vertices, *group.mesh->faces)) continue;
    set_edges(group, vertices);
    changed = true;
  }
  if (changed) send_edges();
}

void Evaluator::update_linearization(Span<const double> theta, PoseDerivative kind) {
  // The kernels' pivots, as they rounded them: what matters is that both sides mean the same point.
  for (const Group& group : groups_) {
    if (group.shape >= 0) pivots_[static_cast<std::size_t>(group.shape)] = group.pivot.cast<double>();
  }
  linearization_.update(scene_, parameters_, state_, theta, kind, pivots_);
}

void Evaluator::render(Span<const double> theta, Span<float> image) {
  check_image(image);
  move_to(theta);
  draw(image);
}

Jacobian Evaluator::jacobian(Span<const double> theta, Span<float> image) {
  if (!image.empty()) check_image(image);
  move_to(theta);
  const std::shared_ptr<RenderedJacobian> data = new_jacobian(theta);
  if (row_pool_ == nullptr || !row_pool_->is_here()) row_pool_ = std::make_shared<RowStoragePool>();
  data->rows = row_pool_->take([&] { return std::make_unique<RowStorage>(grid_, row_planes_ * channels_); });
  draw_rows(image, *data->rows);
  return Jacobian(data);
}

std::shared_ptr<RenderedJacobian> Evaluator::new_jacobian(Span<const double> theta) {
  auto data = std::make_shared<RenderedJacobian>();
  data->set_grid(grid_);
  data->channels = channels_;
  data->planes = row_planes_;
  data->parameters = parameters_.size();
  data->dense = dense_rows_;
  data->camera_slots = camera_slots_;
  update_linearization(theta, PoseDerivative::theta);
  data->linearization = linearization_;
  data->keep_alive = faces_;
  return data;
}

DeviceArray Evaluator::render_on_device(Span<const double> theta) {
  move_to(theta);
  return draw_on_device();
}

Jacobian Evaluator::jacobian_on_device(Span<const double> theta, DeviceArray* image) {
  move_to(theta);
  const std::shared_ptr<RenderedJacobian> data = new_jacobian(theta);
  data->elsewhere = draw_rows_on_device(image);
  return Jacobian(data);
}

std::vector<std::int64_t> Evaluator::image_shape() const {
  if (channels_ == 1) return {grid_.height, grid_.width};
  return {grid_.height, grid_.width, channels_};
}

namespace {

ArgumentError on_the_host() {
  return ArgumentError(
      "this renderer works on the CPU, where results are the host's: render(theta, image), "
      "jacobian(theta, image)");
}

ArgumentError no_streams(const std::string& device) {
  return ArgumentError("stream: only CUDA devices have streams, and this renderer works on " + device +
                       "; leave it out, or use device=\"cuda\"");
}

}  // namespace

DeviceArray Evaluator::draw_on_device() { throw on_the_host(); }
std::shared_ptr<const RowsElsewhere> Evaluator::draw_rows_on_device(DeviceArray*) { throw on_the_host(); }
void Evaluator::use_stream(runtime::Stream stream) {
  if (stream != 0) throw no_streams(device());
}
void Evaluator::wait_for(runtime::Stream) { throw no_streams(device()); }
void Evaluator::fetch_view(const ImageView&, Span<float>) {}

void Evaluator::fetch(const ImageView& view, Span<float> out) {
  check_image(out);
  if (!view.on_device) throw ArgumentError("image: is on the host already");
  check_view("image", view, true);
  fetch_view(view, out);
}

void Evaluator::normal_equations(Span<const double> theta, const Observation& observation, const Loss& loss,
                                 NormalEquations& result, PoseDerivative pose, bool remember) {
  check(observation);
  const KernelLoss robust = kernel_loss(loss);
  move_to(theta);
  if (remember) remembered_ = 0;
  start_products(observation, robust, Products::weighted, remember);
  update_linearization(theta, pose);
  report(finish_products(), result);
  if (remember) remembered_ = new_revision();
  assemble_at(result.H_sparse, result.g);
}

void Evaluator::gradient_scatter(Span<const double> theta, const Observation& observation, const Loss& loss,
                                 SparseMatrix& M) {
  check(observation);
  const KernelLoss robust = kernel_loss(loss);
  move_to(theta);
  start_products(observation, robust, Products::scatter, false);
  update_linearization(theta, PoseDerivative::tangent);
  finish_products();
  assemble_at(M, scattered_gradient_);
}

void Evaluator::gradient_scatter(Span<const double> theta, const Observation& observation, const Loss& loss,
                                 Span<double> M) {
  const std::size_t P = parameters_.size();
  if (P > options_.dense_limit) {
    throw ArgumentError("M: has no dense form, as there are " + std::to_string(P) +
                        " parameters and dense_limit is " + std::to_string(options_.dense_limit) +
                        ". It would take " + megabytes(P * P * sizeof(double)) +
                        "; pass a SparseMatrix, or raise RendererOptions::dense_limit");
  }
  check_span("M", M, P * P, "P x P");
  gradient_scatter(theta, observation, loss, scatter_);
  to_dense(scatter_, M);
}

void Evaluator::assemble_at(SparseMatrix& H, std::vector<double>& g) {
  if (!sums_.has_pattern()) {
    Nodes nodes = make_nodes(parameters_);
    std::vector<std::uint64_t> pairs = pattern_of(linearization_, nodes);
    sums_.set_pattern(std::move(nodes), std::move(pairs));
  }
  g.assign(parameters_.size(), 0.0);
  assemble(sums_, g);
  sums_.write(H);
}

void Evaluator::cost(Span<const double> theta, const Observation& observation, const Loss& loss,
                     NormalEquations& result, SharedCost* shared) {
  if (shared != nullptr && remembered_ == 0)
    throw ArgumentError("shared: there is no call of normal_equations to compare with that was to remember");
  check(observation);
  const KernelLoss robust = kernel_loss(loss);
  move_to(theta);
  report(sum_costs(observation, robust, shared), result);
}

namespace {

std::string size_text(int height, int width, int channels) {
  return std::to_string(height) + " x " + std::to_string(width) +
         (channels == 1 ? "" : " x " + std::to_string(channels));
}

}  // namespace

void Evaluator::check_view(const char* name, const ImageView& view, bool one_channel_for_all) const {
  const auto refuse = [name](const std::string& why) { throw ArgumentError(name + (": " + why)); };
  const int height = grid_.height, width = grid_.width;
  const auto given = [&view] { return size_text(view.height, view.width, view.channels); };
  if (view.height != height || view.width != width) {
    const bool swapped = view.height == width && view.width == height;
    refuse("is " + given() + " (height x width), but the camera is " + size_text(height, width, 1) +
           (swapped ? "; perhaps height and width are swapped" : ""));
  }
  if (view.channels != channels_ && !(one_channel_for_all && view.channels == 1)) {
    refuse("is " + given() + " (height x width x channels), but the renderer's outputs have " +
           std::to_string(channels_) + " channel" + (channels_ == 1 ? "" : "s"));
  }
  if (view.channels == 1 && channels_ > 1 && view.channel_stride != 0)
    refuse("has one channel for " + std::to_string(channels_) +
           "; let its channel_stride be 0, so that it repeats");
  if (view.data == nullptr) refuse("its pointer is null, though it is " + given());
  if (view.on_device && !reads_addresses()) {
    refuse("is on a GPU, and this renderer works on " + device() +
           ", which cannot reach it; copy it to the host first, or use device=\"cuda\"");
  }
}

void Evaluator::check(const Observation& observation) const {
  if (observation.image.empty()) throw ArgumentError("observed: is empty");
  check_view("observed", observation.image, false);
  if (!observation.weights.empty()) check_view("weights", observation.weights, true);
}

void Evaluator::report(const Totals& totals, NormalEquations& result) {
  result.cost = totals.cost;
  result.count = static_cast<std::size_t>(totals.count);
  result.weighted_squares = totals.squares;
}

void Evaluator::refuse_weights(const ImageView& weights) const {
  const bool by_channel = channels_ > 1 && weights.channel_stride != 0;
  for (int row = 0; row < grid_.height && !weights.empty() && !weights.on_device; ++row) {
    for (int column = 0; column < grid_.width; ++column) {
      for (int channel = 0; channel < (by_channel ? channels_ : 1); ++channel) {
        const char* place = static_cast<const char*>(weights.data) + row * weights.row_stride +
                            column * weights.column_stride + channel * weights.channel_stride;
        float weight;
        double wide;
        std::memcpy(&weight, place, sizeof weight);
        if (weights.is_double) std::memcpy(&wide, place, sizeof wide), weight = static_cast<float>(wide);
        if (!is_weight(weight)) refuse_weight(weight, row, column, by_channel ? channel : -1);
      }
    }
  }
  throw ArgumentError(
      "weights: some are negative or infinite; weights are finite and >= 0, and 0 or NaN drops a pixel");
}

std::unique_ptr<Evaluator> make_evaluator(Scene scene, RendererOptions options) {
  // What the CPU alone has.
  const bool has_models = std::any_of(options.outputs.begin(), options.outputs.end(),
                                      [](const Shown& s) { return std::holds_alternative<Model>(s); });
  if (has_models && options.device == "auto") options.device = "cpu";
  std::shared_ptr<runtime::Device> device = runtime::open_device(options.device);
  if (device == nullptr) return std::make_unique<CpuEvaluator>(std::move(scene), std::move(options));
  if (has_models)
    throw DeviceError(
        "outputs: models run on the CPU alone; use device=\"cpu\", or an output that has a name");
  return std::make_unique<gpu::DeviceEvaluator>(std::move(scene), std::move(options), std::move(device));
}

}  // namespace diffrt::renderer
