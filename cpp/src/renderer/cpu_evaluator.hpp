// An evaluator on the processor: tile by tile on the pool's threads.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "renderer/couplings.hpp"
#include "renderer/evaluator.hpp"
#include "renderer/tiles.hpp"

namespace diffrt::renderer {

class CpuEvaluator : public Evaluator {
 public:
  CpuEvaluator(Scene scene, RendererOptions options);
  std::string device() const override { return "cpu"; }

 protected:
  // cpu_evaluator_images.cpp:
  void draw(Span<float> image) override;
  void draw_rows(Span<float> image, RowStorage& rows) override;
  // cpu_evaluator_sums.cpp:
  Totals sum_costs(const Observation& observation, const KernelLoss& loss, SharedCost* shared) override;
  void start_products(const Observation& observation, const KernelLoss& loss, Products products,
                      bool remember) override;
  Totals finish_products() override { return products_totals_; }
  void assemble(SparseSums& H, Span<double> g) override;
  void send_edges() override;

 private:
  // What is placed becomes triangles, and the tiles that it touches.
  void prepare();
  TileContext context() const {
    return {kernels_, grid_,    state_,    groups_,    batches_,  blocks_,       rule_models_,
            pairs_,   outputs_, surfaces_, by_strips_, channels_, camera_slots_, widest_};
  }

  // Calls body(tile, whether it is touched, workspace of its thread) for each of the tiles, which are in
  // ascending order. What the pixels of a tile that is touched show is in the blocks ids, inverse_depth and
  // rendered; `with_rows`: and what patch needs.
  template <class F>
  void over_tiles(const TileContext& context, const std::vector<int>& tiles, bool with_rows, F&& body) {
    const int longest = cuts_runs_ ? cut_runs(context, tiles) : 1;
    const int count = static_cast<int>(cuts_runs_ ? runs_.size() : tiles.size());
    // Handing out a tile costs little, waking the others more: below a few tiles stay on this thread.
    const int most = std::max(1, 8 / longest);
    const int grain = tiles.size() <= 4 ? count : std::clamp(count / (8 * pool_->threads()), 1, most);
    pool_->parallel_for(count, grain, [&](int begin, int end, int thread) {
      Workspace& work = workspaces_[static_cast<std::size_t>(thread)];
      for (int i = begin; i < end; ++i) {
        const auto place = static_cast<std::size_t>(i);
        const TileRun run =
            cuts_runs_ ? runs_[place] : TileRun{tiles[place], 1, touched(context, tiles[place])};
        if (run.touched) show_run(context, run, work, with_rows);
        for (int j = 0; j < run.count; ++j) {
          if (exact() && run.touched) select(context, j, work, with_rows);
          body(run.first + j, run.touched, work);
        }
      }
    });
    if (exact() && workspaces_.size() > 1) share_room();
  }
  // Into runs_. What becomes of a tile does not depend on its run. Returns how many tiles a run may have.
  int cut_runs(const TileContext& context, const std::vector<int>& tiles);
  // Into runs of so many tiles at most. Returns how many tiles are touched.
  int cut_runs(const TileContext& context, const std::vector<int>& tiles, int most);
  void show_run(const TileContext& context, const TileRun& run, Workspace& work, bool with_rows) const;
  // Tile `j` of the run is at hand.
  void select(const TileContext& context, int j, Workspace& work, bool with_rows) const;
  void store_image(int t, bool touched, const Workspace& work, Span<float> image) const;
  // Which thread meets which tile is not fixed: all make room for what the fullest has met.
  void share_room();
  // The first pixel of a tile in the image.
  int corner_of(int t) const { return t / grid_.across * tile * grid_.width + t % grid_.across * tile; }
  // Of tiles shown with rows.
  void store_rows(const TileContext& context, int t, bool touched, Workspace& work, RowStorage& rows) const;
  void patch_rows(const TileContext& context, int t, Workspace& work, const RowTarget& target,
                  RowExtras& extras) const;
  void store_extras(const TileContext& context, int corner, const Workspace& work, RowExtras& extras) const;
  // Sum over the slots of one column; where it is one slot as it stands, nothing is computed.
  const float* mix_column(const Block& block, int k, const float* slots, float* mixed) const;

  // Residuals and their sums over the tiles that have any; then after(context, tile, whether it is touched,
  // costs of its residuals, workspace) on each. Those costs are in remembered_ if they are to be.
  template <class F>
  Totals evaluate_cost(const Observation& observation, const KernelLoss& loss, bool with_rows, bool remember,
                       F&& after);
  // The same where sums are made by strips: after(context, strip, whether it is touched, costs, workspace).
  template <class F>
  Totals evaluate_strips(const Observation& observation, const KernelLoss& loss, bool remember, F&& after);
  // What the pixels of a strip show against what is observed. Returns false if a weight is wrong.
  bool compare_strip(const TileContext& context, const Observation& observation, const KernelLoss& loss,
                     int strip, bool touched, float* costs, Workspace& work);
  // Where a ray that misses has no value, what nothing touches has no residuals.
  bool background_counts() const {
    return !std::all_of(background_.begin(), background_.end(),
                        [](float background) { return std::isnan(background); });
  }
  void make_room(const TileContext& context, bool remember);
  Totals total() const;
  // Records of sum w J'J and sum w J'r of a tile.
  void sum_tile(const TileContext& context, int t, Workspace& work);
  void couple(const TileContext& context, int g, int planes, int t, int twos, Workspace& work);
  int couple_alone(const TileContext& context, Workspace& work) const;
  int couple_two(const TileContext& context, int g, const CrossedRow& other, int count,
                 Workspace& work) const;
  void couple_several(const TileContext& context, const CrossedRow* first, const CrossedRow* last, int g,
                      int planes, int t, Workspace& work);
  // A group's records, added in the order of their entries: local_[g] has one for each distinct block.
  void add_records(std::size_t g);

  const kernels::Table& kernels_;
  std::vector<MeshBatch> batches_;
  std::vector<Workspace> workspaces_;
  std::vector<int> all_tiles_;
  std::vector<float> background_;  // of each channel
  const std::vector<OutputChannels> surfaces_ = surface_outputs(outputs_);
  std::vector<TileRun> runs_;
  bool cuts_runs_ = false;  // tiles that a mesh touches gain nothing
  std::vector<PrimitiveBlock> blocks_;
  bool pairs_ = false, by_strips_ = false;  // see TileContext

  // Of the evaluation at hand.
  Couplings couplings_;
  std::vector<int> active_;  // tiles that may have residuals
  runtime::Buffer<float> sums_;
  std::vector<runtime::Buffer<float>> records_;
  std::vector<runtime::Buffer<double>> local_;  // sums by group

  // Costs of residuals that normal_equations was to remember, by tile blocks, and which tiles have any.
  runtime::Buffer<float> remembered_;
  std::vector<std::uint8_t> remembers_;
  std::vector<SharedCost> shared_;  // per tile
  Totals products_totals_;
};

}  // namespace diffrt::renderer
