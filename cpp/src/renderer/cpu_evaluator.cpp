#include "renderer/cpu_evaluator.hpp"

namespace diffrt::renderer {

CpuEvaluator::CpuEvaluator(Scene scene, RendererOptions options)
    : Evaluator(std::move(scene), std::move(options)),
      kernels_(*runtime::active_level().kernels),
      workspaces_(static_cast<std::size_t>(pool_->threads())) {
  all_tiles_.resize(static_cast<std::size_t>(grid_.tiles()));
  for (std::size_t i = 0; i < all_tiles_.size(); ++i) all_tiles_[i] = static_cast<int>(i);
  if (exact()) blocks_ = make_blocks(groups_);
  for (std::size_t i = 1; i < blocks_.size(); ++i)
    blocks_are_primitives_ =
        blocks_are_primitives_ && blocks_[i].first_id == static_cast<std::int32_t>(i) - 1;
  for (Workspace& work : workspaces_) work.resize(channels_, std::max(widest_, 1));
}

void CpuEvaluator::prepare() {
  const Frame frame{kernels_, *pool_, grid_};
  for (Group& group : groups_) renderer::prepare(group, state_, frame);
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
