// One renderer's evaluations: from theta to images, rows and sums, tile by tile on the pool's threads.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "renderer/assembly.hpp"
#include "renderer/couplings.hpp"
#include "renderer/groups.hpp"
#include "renderer/jacobian_data.hpp"
#include "renderer/tiles.hpp"

namespace diffrt::renderer {

class Evaluator {
 public:
  // Checks the scene and the options; throws ArgumentError or DeviceError.
  Evaluator(Scene scene, RendererOptions options);

  const Scene& scene() const { return scene_; }
  const RendererOptions& options() const { return options_; }
  const scene::Parameters& parameters() const { return parameters_; }
  int channels() const { return channels_; }
  int threads() const { return pool_->threads(); }
  std::size_t degenerate_triangles() const { return degenerate_; }
  const std::vector<std::string>& warnings() const { return warnings_; }
  std::size_t pixels() const {
    return static_cast<std::size_t>(grid_.width) * static_cast<std::size_t>(grid_.height);
  }

  // As in Renderer. evaluator_images.cpp:
  void render(Span<const double> theta, Span<float> image);
  Jacobian jacobian(Span<const double> theta, Span<float> image);
  // evaluator_sums.cpp:
  void normal_equations(Span<const double> theta, const Observation& observation, const Loss& loss,
                        NormalEquations& result, PoseDerivative pose, bool remember);
  void gradient_scatter(Span<const double> theta, const Observation& observation, const Loss& loss,
                        Span<double> M);
  void cost(Span<const double> theta, const Observation& observation, const Loss& loss,
            NormalEquations& result, SharedCost* shared);

 private:
  void check_rules() const;
  void check_image(Span<float> image) const;
  // Moves everything to where it is at theta, and finds the tiles that it touches.
  void prepare(Span<const double> theta);
  TileContext context() const {
    return {kernels_, grid_, state_, groups_, outputs_, channels_, camera_slots_, widest_};
  }
  void update_linearization(Span<const double> theta, PoseDerivative kind);

  // Calls body(tile, workspace of its thread) for each of the tiles.
  template <class F>
  void over_tiles(const std::vector<int>& tiles, F&& body) {
    const int count = static_cast<int>(tiles.size());
    // Handing out a tile costs little, waking the others more: below a few tiles stay on this thread.
    const int grain = count <= 4 ? count : std::max(1, std::min(8, count / (8 * pool_->threads())));
    pool_->parallel_for(count, grain, [&](int begin, int end, int thread) {
      Workspace& work = workspaces_[static_cast<std::size_t>(thread)];
      for (int i = begin; i < end; ++i) body(tiles[static_cast<std::size_t>(i)], work);
    });
    if (exact() && workspaces_.size() > 1) share_room();
  }

  bool exact() const { return options_.boundary == Boundary::exact; }
  // What the pixels of a tile show: blocks ids, inverse_depth, rendered. `with_rows`: and what patch needs.
  void show_tile(const TileContext& context, int t, Workspace& work, bool with_rows) const;
  void store_image(const TileContext& context, int t, Workspace& work, Span<float> image,
                   bool with_rows) const;
  // Which thread meets which tile is not fixed: all make room for what the fullest has met.
  void share_room();
  // After show_tile with rows.
  void store_rows(const TileContext& context, int t, Workspace& work, RowStorage& rows) const;
  void store_extras(int t, const Workspace& work, RowExtras& extras) const;
  // Sum over the slots of one column; where it is one slot as it stands, nothing is computed.
  const float* mix_column(const Block& block, int k, const float* slots, float* mixed) const;

  // Residuals and their sums over the tiles that have any; then after(context, tile, workspace) on each.
  template <class F>
  void evaluate_cost(Span<const double> theta, const Observation& observation, const Loss& loss,
                     NormalEquations& result, bool with_rows, F&& after);
  // Records of sum w J'J and sum w J'r of a tile.
  void sum_products(const TileContext& context, int t, Workspace& work);
  void couple(int g, int planes, int t, Workspace& work);
  // Adds the records to H and g.
  void assemble(Span<const double> theta, PoseDerivative pose, Span<double> H, Span<double> g);

  const Scene scene_;
  const RendererOptions options_;
  const std::vector<OutputChannels> outputs_;
  const scene::Parameters parameters_;
  const TileGrid grid_;
  const kernels::Table& kernels_;
  std::shared_ptr<runtime::ThreadPool> pool_;
  std::vector<Group> groups_;
  std::vector<Eigen::Vector3d> pivots_;
  std::vector<Workspace> workspaces_;
  std::vector<int> all_tiles_;

  int channels_ = 0;
  int camera_slots_ = 0;
  int widest_ = 0;           // slots of the widest group, the camera's among them
  bool dense_rows_ = false;  // one primitive: rows are stored as the columns of J
  int row_planes_ = 0;
  std::shared_ptr<RowStoragePool> row_pool_;
  std::shared_ptr<const void> faces_;  // of all meshes: a Jacobian refers to them
  std::size_t degenerate_ = 0;
  std::vector<std::string> warnings_;

  // Of the evaluation at hand.
  scene::State state_;
  Linearization linearization_;
  Assembly assembly_;
  Couplings couplings_;
  std::vector<int> active_;  // tiles that may have residuals
  runtime::Buffer<float> sums_;
  std::vector<runtime::Buffer<float>> records_;
  NormalEquations scatter_;

  // Costs of residuals that normal_equations was to remember, by tile blocks, and which tiles have any.
  runtime::Buffer<float> remembered_;
  std::vector<std::uint8_t> remembers_;
  std::vector<SharedCost> shared_;  // per tile
};

}  // namespace diffrt::renderer
