// Sums over residuals: cost, normal equations, scatter. J is never stored.
#include <atomic>
#include <cmath>

#include "diffrt/errors.hpp"
#include "renderer/evaluator.hpp"

namespace diffrt::renderer {

template <class F>
void Evaluator::evaluate_cost(Span<const double> theta, const Observation& observation, const Loss& loss,
                              NormalEquations& result, bool with_rows, F&& after) {
  if (observation.image.empty()) throw ArgumentError("observed: is empty");
  const KernelLoss robust = kernel_loss(loss);
  prepare(theta);
  const TileContext context = this->context();

  // Where a ray that misses has no value, a tile that nothing touches has no residuals.
  bool everywhere = false;
  for (const OutputChannels& output : outputs_) everywhere = everywhere || !std::isnan(output.background);
  active_.clear();
  for (int t = 0; t < grid_.tiles(); ++t) {
    if (everywhere || touched(context, t)) active_.push_back(t);
  }
  sums_.resize(static_cast<std::size_t>(grid_.tiles() * kernels::residual_sums));
  records_.resize(groups_.size());
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const auto size = static_cast<std::size_t>(record_size(groups_[g].slots + camera_slots_));
    records_[g].resize(static_cast<std::size_t>(groups_[g].sum_entries().entries()) * size);
  }

  std::atomic<bool> weights_valid{true};
  over_tiles(active_, [&](int t, Workspace& work) {
    show_tile(context, t, work, with_rows);
    if (!load_observation(context, observation, t, work)) weights_valid = false;
    compare(context, robust, t, work, sums_.data());
    after(context, t, work);
  });
  if (!weights_valid)
    throw ArgumentError("weights: some are negative; weights are >= 0, and 0 or NaN drops a pixel");

  double cost = 0, count = 0, squares = 0;
  for (const int t : active_) {
    const float* sums = sums_.data() + static_cast<std::size_t>(t) * kernels::residual_sums;
    cost += static_cast<double>(sums[0]), count += static_cast<double>(sums[1]),
        squares += static_cast<double>(sums[2]);
  }
  result.cost = cost;
  result.count = static_cast<std::size_t>(count);
  result.weighted_squares = squares;
}

void Evaluator::sum_products(const TileContext& context, int t, Workspace& work) {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const Group& group = groups_[g];
    if (!group.touches(t)) continue;
    const int planes = group.slots + camera_slots_;
    differentiate(context, group, planes, t, work);
    if (exact()) {
      work.silhouettes.patch(context, group, planes, work);
      couple(static_cast<int>(g), planes, t, work);
    }
    accumulate(context, group, t, work, records_[g].data());
  }
}

// The products of the rows of crossed pixels whose first entry lies in this group's planes.
void Evaluator::couple(int g, int planes, int t, Workspace& work) {
  const Group& group = groups_[static_cast<std::size_t>(g)];
  for (const int pixel : work.silhouettes.pixels()) {
    const std::int32_t id = work.ids[static_cast<std::size_t>(pixel)];
    if (!group.owns(id)) continue;
    std::vector<Couplings::Entry>& entries = work.entries;
    entries.clear();
    entries.push_back({group.kind == GroupKind::rigid_mesh ? group.first_id : id, g, work.rows.data() + pixel,
                       static_cast<std::ptrdiff_t>(planes) * tile_pixels, tile_pixels, group.slots,
                       camera_slots_, planes - camera_slots_});
    work.silhouettes.for_each_row(pixel, [&](const CrossedRow& row) {
      const Group& other = groups_[static_cast<std::size_t>(row.group)];
      if (row.group == g && SilhouetteWork::same_block(group, row.id, id)) return;
      entries.push_back({other.kind == GroupKind::rigid_mesh ? other.first_id : row.id, row.group, row.values,
                         row.channel_stride, row.plane_stride, other.slots, camera_slots_,
                         widest_ - camera_slots_});
    });
    if (entries.size() == 1) continue;
    couplings_.add(t, entries.data(), static_cast<int>(entries.size()), true, channels_,
                   work.robust.data() + pixel, work.residual.data() + pixel, tile_pixels);
  }
}

void Evaluator::assemble(Span<const double> theta, PoseDerivative pose, Span<double> H, Span<double> g) {
  update_linearization(theta, pose);
  for (std::size_t k = 0; k < groups_.size(); ++k) {
    assembly_.add(groups_[k], linearization_.groups()[k], linearization_, camera_slots_, active_,
                  records_[k].data(), H, g);
  }
  if (exact()) couplings_.assemble(active_, linearization_, H, g);
}

void Evaluator::normal_equations(Span<const double> theta, const Observation& observation, const Loss& loss,
                                 NormalEquations& result, PoseDerivative pose, bool remember) {
  const std::size_t block = static_cast<std::size_t>(channels_) * tile_pixels;
  if (remember) {
    remembered_.resize(all_tiles_.size() * block);
    remembers_.assign(all_tiles_.size(), 0);
  }
  if (exact()) couplings_.start(grid_.tiles());
  evaluate_cost(theta, observation, loss, result, true,
                [&](const TileContext& context, int t, Workspace& work) {
                  const auto tile_index = static_cast<std::size_t>(t);
                  if (remember) {
                    std::copy_n(work.costs.data(), block, remembered_.data() + tile_index * block);
                    remembers_[tile_index] = 1;
                  }
                  sum_products(context, t, work);
                });
  const std::size_t P = parameters_.size();
  result.H.assign(P * P, 0.0);
  result.g.assign(P, 0.0);
  assemble(theta, pose, result.H, result.g);
}

void Evaluator::gradient_scatter(Span<const double> theta, const Observation& observation, const Loss& loss,
                                 Span<double> M) {
  scatter_.g.assign(parameters_.size(), 0.0);
  std::fill(M.begin(), M.end(), 0.0);
  if (exact()) couplings_.start(grid_.tiles());
  evaluate_cost(theta, observation, loss, scatter_, true,
                [&](const TileContext& context, int t, Workspace& work) {
                  for (std::size_t p = 0; p < work.robust.size(); ++p) {
                    const float gradient = work.robust[p] * work.residual[p];
                    work.robust[p] = gradient * gradient;
                  }
                  sum_products(context, t, work);
                });
  assemble(theta, PoseDerivative::tangent, M, scatter_.g);
}

void Evaluator::cost(Span<const double> theta, const Observation& observation, const Loss& loss,
                     NormalEquations& result, SharedCost* shared) {
  if (shared == nullptr) {
    evaluate_cost(theta, observation, loss, result, false, [](const TileContext&, int, Workspace&) {});
    return;
  }
  if (remembers_.empty())
    throw ArgumentError("shared: there is no call of normal_equations to compare with that was to remember");
  const std::size_t block = static_cast<std::size_t>(channels_) * tile_pixels;
  shared_.assign(all_tiles_.size(), SharedCost());
  evaluate_cost(theta, observation, loss, result, false, [&](const TileContext&, int t, Workspace& work) {
    const auto tile_index = static_cast<std::size_t>(t);
    if (remembers_[tile_index] == 0) return;
    const float* before = remembered_.data() + tile_index * block;
    SharedCost& sums = shared_[tile_index];
    for (std::size_t p = 0; p < block; ++p) {
      const bool both = before[p] >= 0 && work.costs[p] >= 0;
      sums.count += both ? 1 : 0;
      sums.before += both ? static_cast<double>(before[p]) : 0;
      sums.now += both ? static_cast<double>(work.costs[p]) : 0;
    }
  });
  *shared = SharedCost();
  for (const SharedCost& sums : shared_)
    shared->count += sums.count, shared->before += 0.5 * sums.before, shared->now += 0.5 * sums.now;
}

}  // namespace diffrt::renderer
