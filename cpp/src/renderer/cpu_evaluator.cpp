#include "renderer/cpu_evaluator.hpp"

#include "runtime/isa.hpp"

namespace diffrt::renderer {

CpuEvaluator::CpuEvaluator(Scene scene, RendererOptions options)
    : Evaluator(std::move(scene), std::move(options)),
      kernels_(*runtime::active_level().kernels),
      batches_(make_batches(groups_)),
      workspaces_(static_cast<std::size_t>(pool_->threads())) {
  all_tiles_.resize(static_cast<std::size_t>(grid_.tiles()));
  for (std::size_t i = 0; i < all_tiles_.size(); ++i) all_tiles_[i] = static_cast<int>(i);
  for (const OutputChannels& output : outputs_)
    background_.insert(background_.end(), static_cast<std::size_t>(output.count), output.background);
  if (exact()) blocks_ = make_blocks(groups_);
  pairs_ = exact() && groups_.size() == 1 && groups_[0].mesh == nullptr && camera_slots_ == 0;
  for (std::size_t i = 1; i < blocks_.size(); ++i)
    pairs_ = pairs_ && blocks_[i].first_id == static_cast<std::int32_t>(i) - 1;
  by_strips_ = !exact() && groups_.size() == 1 && groups_[0].kind == GroupKind::spheres &&
               accumulates_primitives(context(), groups_[0]);
  for (Workspace& work : workspaces_)
    work.resize(channels_, std::max(widest_, 1), by_strips_ ? tiles_in_strip : 1, !surfaces_.empty());
  for (const Group& group : groups_) cuts_runs_ = cuts_runs_ || (exact() && group.mesh == nullptr);
  runs_.reserve(all_tiles_.size());
}

void CpuEvaluator::prepare() {
  const Frame frame{kernels_, *pool_, grid_};
  for (std::size_t g = 0; g < context().smooth_groups(); ++g) renderer::prepare(groups_[g], state_, frame);
  for (MeshBatch& batch : batches_) renderer::prepare(batch, groups_, state_, frame);
}

void CpuEvaluator::send_edges() {
  for (MeshBatch& batch : batches_) {
    if (batch.kind == GroupKind::free_mesh) collect_edges(batch, groups_);
  }
}

int CpuEvaluator::cut_runs(const TileContext& context, const std::vector<int>& tiles) {
  const int threads = pool_->threads();
  const int busy = cut_runs(context, tiles, most_in_run);
  // Few tiles are shared out one by one.
  int most = most_in_run;
  while (threads > 1 && most > 1 && busy < (most > 4 ? 16 : 4) * most * threads) most /= 2;
  if (most < most_in_run) cut_runs(context, tiles, most);
  return most;
}

int CpuEvaluator::cut_runs(const TileContext& context, const std::vector<int>& tiles, int most) {
  runs_.clear();
  int busy = 0;
  bool open = false;  // whether the last run may go on
  for (const int t : tiles) {
    const bool there = touched(context, t), alone = touched_by_mesh(context, t);
    busy += there ? 1 : 0;
    if (open && !alone && runs_.back().touched == there && runs_.back().count < most &&
        runs_.back().first + runs_.back().count == t && t % grid_.across != 0) {
      ++runs_.back().count;
    } else {
      runs_.push_back({t, 1, there});
    }
    open = !alone;
  }
  return busy;
}

void CpuEvaluator::show_run(const TileContext& context, const TileRun& run, Workspace& work,
                            bool with_rows) const {
  if (exact()) work.silhouettes.find(context, run);
  for (int quad = 0; quad < quads_of(run); ++quad) {
    find_visible(context, run, quad, work);
    show(context, run, quad, work);
  }
  if (exact()) work.silhouettes.run(context, run, work, with_rows);
}

void CpuEvaluator::select(const TileContext& context, int j, Workspace& work, bool with_rows) const {
  work.select(j);
  work.silhouettes.select(context, j);
  if (with_rows) work.silhouettes.gather_rows(context, work);
}

void CpuEvaluator::share_room() {
  const TileContext context = this->context();
  Workspace& fullest = workspaces_[0];
  const auto make_room = [&](Workspace& work, const Workspace& other) {
    work.silhouettes.make_room_as(context, other.silhouettes);
    work.entries.reserve(other.entries.capacity());
  };
  for (const Workspace& work : workspaces_) make_room(fullest, work);
  for (Workspace& work : workspaces_) make_room(work, fullest);
}

}  // namespace diffrt::renderer
