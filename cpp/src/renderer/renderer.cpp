#include "diffrt/renderer.hpp"

#include <atomic>
#include <cmath>
#include <limits>
#include <utility>

#include "diffrt/errors.hpp"
#include "diffrt/info.hpp"
#include "renderer/assembly.hpp"
#include "renderer/groups.hpp"
#include "renderer/jacobian_data.hpp"
#include "renderer/tiles.hpp"
#include "scene/validation.hpp"

namespace diffrt {
namespace {

using renderer::Group;
using renderer::OutputChannels;
using renderer::TileContext;
using renderer::Workspace;
using renderer::tile_pixels;

struct OutputTraits {
  Output output;
  const char* name;
  int kernel_index, channels;
  bool missing_by_default;  // whether a ray that misses has no value
};

constexpr OutputTraits output_traits[] = {
    {Output::distance, "distance", kernels::output_distance, kernels::channels_distance, true},
    {Output::depth, "depth", kernels::output_depth, kernels::channels_depth, true},
    {Output::mask, "mask", kernels::output_mask, kernels::channels_mask, false},
    {Output::normal, "normal", kernels::output_normal, kernels::channels_normal, false},
    {Output::shade, "shade", kernels::output_shade, kernels::channels_shade, false},
};
constexpr bool outputs_match_kernels() {
  for (const OutputTraits& t : output_traits) {
    if (t.kernel_index != static_cast<int>(t.output)) return false;
  }
  return true;
}
static_assert(outputs_match_kernels(), "enum Output must list the outputs in the kernels' order");

const OutputTraits& traits(Output output) { return output_traits[static_cast<std::size_t>(output)]; }

std::vector<OutputChannels> make_outputs(const RendererOptions& options) {
  if (options.outputs.empty()) throw ArgumentError("outputs: is empty; name at least one of distance, depth, mask, normal, shade");
  if (!options.background.empty() && options.background.size() != options.outputs.size()) {
    throw ArgumentError("background: has " + std::to_string(options.background.size()) + " entries for " +
                        std::to_string(options.outputs.size()) + " outputs; give one for each, or none");
  }
  std::vector<OutputChannels> result;
  int first = 0;
  for (std::size_t i = 0; i < options.outputs.size(); ++i) {
    const OutputTraits& t = traits(options.outputs[i]);
    std::optional<double> background;
    if (!options.background.empty()) {
      background = options.background[i];
    } else if (!t.missing_by_default) {
      background = 0;
    }
    if (background && !std::isfinite(*background)) {
      throw ArgumentError("background: must be a finite number, or none for rays that miss to be NaN and carry no residual");
    }
    for (const OutputChannels& other : result) {
      if (other.output == t.output) throw ArgumentError(std::string("outputs: '") + t.name + "' is given twice");
    }
    result.push_back({t.output, first, t.channels, background ? static_cast<float>(*background) : std::numeric_limits<float>::quiet_NaN()});
    first += t.channels;
  }
  return result;
}

std::shared_ptr<runtime::ThreadPool> make_pool(const RendererOptions& options) {
  if (options.threads < 0) throw ArgumentError("threads: must be 0 (all processors) or more, got " + std::to_string(options.threads));
  if (options.threads > 1024) throw ArgumentError("threads: at most 1024, got " + std::to_string(options.threads));
  return runtime::shared_pool(options.threads == 0 ? default_threads() : options.threads);
}

void check_options(const RendererOptions& options) {
  if (options.boundary == Boundary::exact) {
    throw ArgumentError("boundary: 'exact' (silhouettes that move) is not available in this version; use boundary=\"none\", the value "
                        "and the interior derivative at the pixel's centre");
  }
  if (options.device != "cpu" && options.device != "auto") {
    throw DeviceError("device: '" + options.device + "' is not available in this version, which has kernels for x86-64 only; use \"cpu\"");
  }
}

}  // namespace

const char* name(Output output) { return traits(output).name; }
int channels(Output output) { return traits(output).channels; }

class Renderer::Implementation {
 public:
  Implementation(Scene scene, RendererOptions options)
      : scene_((check_options(options), scene::check(scene), std::move(scene))),
        options_(std::move(options)),
        outputs_(make_outputs(options_)),
        parameters_(scene_, options_.free),
        grid_(scene_.camera.width, scene_.camera.height),
        kernels_(*runtime::active_level().kernels),
        pool_(make_pool(options_)),
        groups_(renderer::make_groups(scene_, parameters_, grid_)),
        pivots_(scene_.shapes.size()),
        workspaces_(static_cast<std::size_t>(pool_->threads())) {
    channels_ = outputs_.back().first + outputs_.back().count;
    camera_slots_ = parameters_.camera_columns().intrinsics() ? kernels::camera_slots : 0;
    for (const Group& group : groups_) widest_ = std::max(widest_, group.slots + camera_slots_);
    const bool single = groups_.size() == 1 && (groups_[0].kind == renderer::GroupKind::rigid_mesh ||
                                                (groups_[0].kind != renderer::GroupKind::free_mesh && groups_[0].count == 1));
    dense_rows_ = single && parameters_.size() <= 16;
    row_planes_ = dense_rows_ ? static_cast<int>(parameters_.size()) : widest_;
    row_pool_ = std::make_shared<renderer::RowStoragePool>(grid_, row_planes_ * channels_);
    for (const Group& group : groups_) degenerate_ += group.degenerate;
    if (degenerate_ > 0) {
      std::size_t faces = 0;
      for (const Group& group : groups_) faces += group.mesh != nullptr ? static_cast<std::size_t>(group.count) : 0;
      warnings_.push_back(std::to_string(degenerate_) + " of " + std::to_string(faces) + " triangles have no area and are skipped");
    }
    all_tiles_.resize(static_cast<std::size_t>(grid_.tiles()));
    for (std::size_t i = 0; i < all_tiles_.size(); ++i) all_tiles_[i] = static_cast<int>(i);
    for (Workspace& work : workspaces_) work.resize(channels_, std::max(widest_, 1));
    parameters_.apply(parameters_.theta0(), state_);
  }

  void render(Span<const double> theta, Span<float> image) {
    check_image(image);
    prepare(theta);
    const TileContext context = make_context();
    over_tiles(all_tiles_, [&](int t, Workspace& work) { store_image(context, t, work, image); });
  }

  Jacobian jacobian(Span<const double> theta, Span<float> image) {
    if (!image.empty()) check_image(image);
    prepare(theta);
    const TileContext context = make_context();
    auto data = std::make_shared<JacobianData>();
    data->grid = grid_;
    data->channels = channels_;
    data->planes = row_planes_;
    data->parameters = parameters_.size();
    data->dense = dense_rows_;
    data->camera_slots = camera_slots_;
    data->rows = row_pool_->take();
    update_linearization(theta, PoseDerivative::theta);
    data->linearization = linearization_;
    data->keep_alive = faces_alive();
    over_tiles(all_tiles_, [&](int t, Workspace& work) {
      if (!image.empty()) {
        store_image(context, t, work, image);
      } else if (renderer::touched(context, t)) {
        renderer::find_visible(context, t, work);
      }
      store_rows(context, t, work, *data->rows);
    });
    return Jacobian(std::move(data));
  }

  void normal_equations(Span<const double> theta, const Observation& observation, const Loss& loss, NormalEquations& result, PoseDerivative pose) {
    evaluate_cost(theta, observation, loss, result, [&](const TileContext& context, int t, Workspace& work) { sum_products(context, t, work); });
    const std::size_t P = parameters_.size();
    result.H.resize(P * P);
    result.g.resize(P);
    assemble(theta, pose, result.H, result.g);
  }

  void gradient_scatter(Span<const double> theta, const Observation& observation, const Loss& loss, Span<double> M) {
    scatter_.g.resize(parameters_.size());
    evaluate_cost(theta, observation, loss, scatter_, [&](const TileContext& context, int t, Workspace& work) {
      for (std::size_t p = 0; p < work.robust.size(); ++p) {
        const float gradient = work.robust[p] * work.residual[p];
        work.robust[p] = gradient * gradient;
      }
      sum_products(context, t, work);
    });
    assemble(theta, PoseDerivative::tangent, M, scatter_.g);
  }

  void cost(Span<const double> theta, const Observation& observation, const Loss& loss, NormalEquations& result) {
    evaluate_cost(theta, observation, loss, result, [](const TileContext&, int, Workspace&) {});
  }

  const Scene scene_;
  const RendererOptions options_;
  const std::vector<OutputChannels> outputs_;
  const scene::Parameters parameters_;
  int channels_ = 0;
  std::size_t degenerate_ = 0;
  std::vector<std::string> warnings_;

  int threads() const { return pool_->threads(); }

 private:
  void check_image(Span<float> image) const {
    const std::size_t expected = static_cast<std::size_t>(grid_.width) * static_cast<std::size_t>(grid_.height) * static_cast<std::size_t>(channels_);
    if (image.size() != expected) {
      throw ArgumentError("image: has " + std::to_string(image.size()) + " numbers, expected " + std::to_string(expected) + " (height x width x channels)");
    }
  }

  void prepare(Span<const double> theta) {
    parameters_.check(theta);
    parameters_.apply(theta, state_);
    const renderer::Frame frame{kernels_, *pool_, grid_};
    for (Group& group : groups_) renderer::prepare(group, scene_, state_, frame);
  }

  TileContext make_context() const { return {kernels_, grid_, state_, groups_, outputs_, channels_, camera_slots_}; }

  template <class F>
  void over_tiles(const std::vector<int>& tiles, F&& body) {
    const int count = static_cast<int>(tiles.size());
    // Handing out a tile costs little, waking the others more: below a few tiles stay on this thread.
    const int grain = count <= 4 ? count : std::max(1, std::min(8, count / (8 * pool_->threads())));
    pool_->parallel_for(count, grain, [&](int begin, int end, int thread) {
      Workspace& work = workspaces_[static_cast<std::size_t>(thread)];
      for (int i = begin; i < end; ++i) body(tiles[static_cast<std::size_t>(i)], work);
    });
  }

  void store_image(const TileContext& context, int t, Workspace& work, Span<float> image) {
    const std::ptrdiff_t column_stride = channels_, row_stride = static_cast<std::ptrdiff_t>(grid_.width) * channels_;
    if (!renderer::touched(context, t)) {
      for (const OutputChannels& output : outputs_) {
        for (int c = output.first; c < output.first + output.count; ++c) {
          renderer::fill_plane(grid_, t, output.background, image.data() + c, row_stride, column_stride);
        }
      }
      return;
    }
    renderer::find_visible(context, t, work);
    renderer::show(context, t, work);
    for (int c = 0; c < channels_; ++c) {
      renderer::store_plane(grid_, t, work.rendered.data() + c * tile_pixels, image.data() + c, row_stride, column_stride);
    }
  }

  // After find_visible.
  void store_rows(const TileContext& context, int t, Workspace& work, renderer::RowStorage& rows) {
    const auto plane_at = [&](int plane) { return rows.planes.get() + static_cast<std::size_t>(plane) * pixels(); };
    std::uint8_t& dirty = rows.dirty[static_cast<std::size_t>(t)];
    if (!renderer::touched(context, t)) {
      if (dirty == 0) return;
      for (int plane = 0; plane < row_planes_ * channels_; ++plane) renderer::fill_plane(grid_, t, 0.0f, plane_at(plane), grid_.width, 1);
      std::fill_n(work.ids.data(), tile_pixels, -1);
      renderer::store_ids(grid_, t, work.ids.data(), rows.ids.data());
      dirty = 0;
      return;
    }
    dirty = 1;
    renderer::store_ids(grid_, t, work.ids.data(), rows.ids.data());
    std::fill_n(work.rows.data(), static_cast<std::size_t>(channels_ * widest_ * tile_pixels), 0.0f);
    for (const Group& group : groups_) {
      if (group.kind == renderer::GroupKind::planes || !group.tiles.empty(t)) renderer::differentiate(context, group, widest_, t, work);
    }
    if (!dense_rows_) {
      for (int plane = 0; plane < widest_ * channels_; ++plane) {
        renderer::store_plane(grid_, t, work.rows.data() + plane * tile_pixels, plane_at(plane), grid_.width, 1);
      }
      return;
    }
    // One primitive: its columns of theta right away.
    const renderer::Block& block = linearization_.groups()[0].blocks[0];
    for (int c = 0; c < channels_; ++c) {
      for (int k = 0; k < block.width(); ++k) {
        const float* column = mix_column(block, k, work.rows.data() + c * widest_ * tile_pixels, work.residual.data());
        renderer::store_plane(grid_, t, column, plane_at(c * row_planes_ + block.columns[static_cast<std::size_t>(k)]), grid_.width, 1);
      }
    }
  }

  // Sum over the slots of one column; where it is one slot as it stands, nothing is computed.
  const float* mix_column(const renderer::Block& block, int k, const float* slots, float* mixed) const {
    int used = 0, last = 0;
    for (int s = 0; s < widest_; ++s) {
      if (block.at(s, k) != 0) ++used, last = s;
    }
    if (used == 1 && block.at(last, k) == 1) return slots + last * tile_pixels;
    std::fill_n(mixed, tile_pixels, 0.0f);
    for (int s = 0; s < widest_; ++s) {
      const auto factor = static_cast<float>(block.at(s, k));
      if (factor == 0) continue;
      const float* slot = slots + s * tile_pixels;
      for (int p = 0; p < tile_pixels; ++p) mixed[p] += factor * slot[p];
    }
    return mixed;
  }

  // Records of sum w J'J and sum w J'r of a tile.
  void sum_products(const TileContext& context, int t, Workspace& work) {
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      const Group& group = groups_[g];
      if (group.kind != renderer::GroupKind::planes && group.tiles.empty(t)) continue;
      renderer::differentiate(context, group, group.slots + camera_slots_, t, work);
      renderer::accumulate(context, group, t, work, records_[g].data());
    }
  }

  // H and g from the records.
  void assemble(Span<const double> theta, PoseDerivative pose, Span<double> H, Span<double> g) {
    update_linearization(theta, pose);
    std::fill(H.begin(), H.end(), 0.0);
    std::fill(g.begin(), g.end(), 0.0);
    const std::size_t P = parameters_.size();
    if (P == 0) return;
    for (std::size_t k = 0; k < groups_.size(); ++k) {
      assembly_.add(groups_[k], linearization_.groups()[k], linearization_, camera_slots_, active_, records_[k].data(), H, g);
    }
    for (std::size_t i = 0; i < P; ++i) {
      for (std::size_t j = 0; j < i; ++j) H[i * P + j] = H[j * P + i];
    }
  }

  template <class F>
  void evaluate_cost(Span<const double> theta, const Observation& observation, const Loss& loss, NormalEquations& result, F&& after) {
    if (observation.image.empty()) throw ArgumentError("observed: is empty");
    const renderer::KernelLoss kernel_loss = renderer::kernel_loss(loss);
    prepare(theta);
    const TileContext context = make_context();

    // Where a ray that misses has no value, a tile that nothing touches has no residuals.
    bool everywhere = false;
    for (const OutputChannels& output : outputs_) everywhere = everywhere || !std::isnan(output.background);
    active_.clear();
    for (int t = 0; t < grid_.tiles(); ++t) {
      if (everywhere || renderer::touched(context, t)) active_.push_back(t);
    }
    sums_.resize(static_cast<std::size_t>(grid_.tiles() * kernels::residual_sums));
    records_.resize(groups_.size());
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      const auto size = static_cast<std::size_t>(renderer::record_size(groups_[g].slots + camera_slots_));
      records_[g].resize(static_cast<std::size_t>(groups_[g].sum_entries().entries()) * size);
    }

    std::atomic<bool> weights_valid{true};
    over_tiles(active_, [&](int t, Workspace& work) {
      renderer::find_visible(context, t, work);
      renderer::show(context, t, work);
      if (!renderer::load_observation(context, observation, t, work)) weights_valid = false;
      renderer::compare(context, kernel_loss, t, work, sums_.data());
      after(context, t, work);
    });
    if (!weights_valid) throw ArgumentError("weights: some are negative; weights are >= 0, and 0 or NaN drops a pixel");

    double cost = 0, count = 0, squares = 0;
    for (const int t : active_) {
      const float* sums = sums_.data() + static_cast<std::size_t>(t) * kernels::residual_sums;
      cost += static_cast<double>(sums[0]), count += static_cast<double>(sums[1]), squares += static_cast<double>(sums[2]);
    }
    result.cost = cost;
    result.count = static_cast<std::size_t>(count);
    result.weighted_squares = squares;
  }

  void update_linearization(Span<const double> theta, PoseDerivative kind) {
    // The kernels' pivots, as they rounded them: what matters is that both sides mean the same point.
    for (const Group& group : groups_) {
      if (group.shape >= 0) pivots_[static_cast<std::size_t>(group.shape)] = group.pivot.cast<double>();
    }
    linearization_.update(scene_, parameters_, state_, theta, kind, pivots_);
  }

  // Faces of meshes with free vertices, which a Jacobian refers to.
  std::shared_ptr<const void> faces_alive() const {
    auto faces = std::make_shared<std::vector<std::shared_ptr<const std::vector<std::int32_t>>>>();
    for (const auto& [shape_name, shape] : scene_.shapes) {
      if (const Mesh* mesh = std::get_if<Mesh>(&shape)) faces->push_back(mesh->faces);
    }
    return faces;
  }

  std::size_t pixels() const { return static_cast<std::size_t>(grid_.width) * static_cast<std::size_t>(grid_.height); }

  const renderer::TileGrid grid_;
  const kernels::Table& kernels_;
  std::shared_ptr<runtime::ThreadPool> pool_;
  std::vector<Group> groups_;
  std::vector<Eigen::Vector3d> pivots_;
  std::vector<Workspace> workspaces_;
  int camera_slots_ = 0;
  int widest_ = 0;           // slots of the widest group, the camera's among them
  bool dense_rows_ = false;  // one primitive: rows are stored as the columns of J
  int row_planes_ = 0;
  std::shared_ptr<renderer::RowStoragePool> row_pool_;
  std::vector<int> all_tiles_, active_;
  scene::State state_;
  renderer::Linearization linearization_;
  renderer::Assembly assembly_;
  runtime::Buffer<float> sums_;
  std::vector<runtime::Buffer<float>> records_;
  NormalEquations scatter_;
};

Renderer::Renderer(Scene scene, RendererOptions options) : implementation_(std::make_unique<Implementation>(std::move(scene), std::move(options))) {}
Renderer::~Renderer() = default;
Renderer::Renderer(Renderer&&) noexcept = default;
Renderer& Renderer::operator=(Renderer&&) noexcept = default;

const Scene& Renderer::scene() const { return implementation_->scene_; }
const RendererOptions& Renderer::options() const { return implementation_->options_; }
const std::vector<double>& Renderer::theta0() const { return implementation_->parameters_.theta0(); }
const std::vector<ParameterBlock>& Renderer::blocks() const { return implementation_->parameters_.blocks(); }
std::size_t Renderer::parameters() const { return implementation_->parameters_.size(); }
int Renderer::channels() const { return implementation_->channels_; }
std::size_t Renderer::pixels() const {
  return static_cast<std::size_t>(scene().camera.width) * static_cast<std::size_t>(scene().camera.height);
}
int Renderer::threads() const { return implementation_->threads(); }
std::size_t Renderer::degenerate_triangles() const { return implementation_->degenerate_; }
const std::vector<std::string>& Renderer::warnings() const { return implementation_->warnings_; }

void Renderer::render(Span<const double> theta, Span<float> image) { implementation_->render(theta, image); }
Jacobian Renderer::jacobian(Span<const double> theta, Span<float> image) { return implementation_->jacobian(theta, image); }
void Renderer::normal_equations(Span<const double> theta, const Observation& observation, const Loss& loss, NormalEquations& result,
                                PoseDerivative pose) {
  implementation_->normal_equations(theta, observation, loss, result, pose);
}
void Renderer::cost(Span<const double> theta, const Observation& observation, const Loss& loss, NormalEquations& result) {
  implementation_->cost(theta, observation, loss, result);
}
void Renderer::gradient_scatter(Span<const double> theta, const Observation& observation, const Loss& loss, Span<double> M) {
  implementation_->gradient_scatter(theta, observation, loss, M);
}
void Renderer::check(Span<const double> theta) const { implementation_->parameters_.check(theta); }
Scene Renderer::scene_at(Span<const double> theta) const { return implementation_->parameters_.scene_at(theta); }
void Renderer::plus(Span<const double> theta, Span<const double> delta, Span<double> out) const {
  implementation_->parameters_.plus(theta, delta, out);
}
void Renderer::tangent_row(Span<const double> theta, std::size_t i, Span<double> row) const {
  implementation_->parameters_.tangent_row(theta, i, row);
}

}  // namespace diffrt
