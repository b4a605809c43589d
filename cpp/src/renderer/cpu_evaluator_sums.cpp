// Sums over residuals: cost, normal equations, scatter. J is never stored.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "renderer/cpu_evaluator.hpp"
#include "renderer/shared_costs.hpp"
#include "renderer/silhouette_alone.hpp"

namespace diffrt::renderer {

namespace {

// Records of a group, or of the batch whose first it is.
int sum_entries(const TileContext& context, std::size_t g) {
  const Group& group = context.groups[g];
  if (context.by_strips) return group.strips.entries();
  if (group.mesh == nullptr) return group.sum_entries().entries();
  const MeshBatch& batch = context.batch_of(group);
  if (group.kind == GroupKind::free_mesh) return batch.tiles.entries();
  return static_cast<int>(g) == batch.first_group ? batch.pairs() : 0;
}

}  // namespace

void CpuEvaluator::make_room(const TileContext& context, bool remember) {
  sums_.resize(static_cast<std::size_t>(grid_.tiles() * kernels::residual_sums));
  records_.resize(groups_.size());
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const auto size = static_cast<std::size_t>(record_size(groups_[g].slots + camera_slots_));
    records_[g].resize(static_cast<std::size_t>(sum_entries(context, g)) * size);
  }
  if (!remember) return;
  remembered_.resize(all_tiles_.size() * static_cast<std::size_t>(channels_) * tile_pixels);
  remembers_.assign(all_tiles_.size(), 0);
}

Evaluator::Totals CpuEvaluator::total() const {
  Totals totals;
  for (const int t : active_) totals.add(sums_.data() + static_cast<std::size_t>(t) * kernels::residual_sums);
  return totals;
}

template <class F>
Evaluator::Totals CpuEvaluator::evaluate_cost(const Observation& observation, const KernelLoss& loss,
                                              bool with_rows, bool remember, F&& after) {
  prepare();
  const TileContext context = this->context();
  const bool everywhere = background_counts();
  active_.clear();
  for (int t = 0; t < grid_.tiles(); ++t) {
    if (everywhere || touched(context, t)) active_.push_back(t);
  }
  make_room(context, remember);
  const std::size_t block = static_cast<std::size_t>(channels_) * tile_pixels;
  std::atomic<bool> weights_valid{true};
  over_tiles(context, active_, with_rows, [&](int t, bool touched, Workspace& work) {
    const auto tile_index = static_cast<std::size_t>(t);
    float* const costs = remember ? remembered_.data() + tile_index * block : work.costs.data();
    if (remember) remembers_[tile_index] = 1;
    const TileRun alone{t};
    const bool valid = touched ? compare(context, observation, loss, alone, work, costs, sums_.data())
                               : compare_background(context, observation, loss, alone, background_.data(),
                                                    work, costs, sums_.data());
    if (!valid) weights_valid = false;
    after(context, t, touched, costs, work);
  });
  if (!weights_valid) refuse_weights(observation.weights);
  return total();
}

template <class F>
Evaluator::Totals CpuEvaluator::evaluate_strips(const Observation& observation, const KernelLoss& loss,
                                                bool remember, F&& after) {
  Group& group = groups_[0];
  prepare_strips(group, {kernels_, *pool_, grid_});
  const TileContext context = this->context();
  const bool everywhere = background_counts();
  const int strips = strips_across(grid_) * grid_.down;
  active_.clear();
  for (int strip = 0; strip < strips; ++strip) {
    const TileRun run = strip_of(grid_, strip);
    for (int j = 0; j < run.count && (everywhere || !group.strips.empty(strip)); ++j)
      active_.push_back(run.first + j);
  }
  make_room(context, remember);
  const std::size_t block = static_cast<std::size_t>(channels_) * tile_pixels;
  std::atomic<bool> weights_valid{true};
  const int grain = strips == 1 ? 1 : std::clamp(strips / (8 * pool_->threads()), 1, 2);
  pool_->parallel_for(strips, grain, [&](int begin, int end, int thread) {
    Workspace& work = workspaces_[static_cast<std::size_t>(thread)];
    for (int strip = begin; strip < end; ++strip) {
      const bool touched = !group.strips.empty(strip);
      if (!touched && !everywhere) continue;
      const TileRun run = strip_of(grid_, strip);
      const auto first = static_cast<std::size_t>(run.first);
      float* const costs = remember ? remembered_.data() + first * block : work.costs.data();
      if (remember) std::fill_n(remembers_.data() + first, run.count, std::uint8_t{1});
      if (!compare_strip(context, observation, loss, strip, touched, costs, work)) weights_valid = false;
      after(context, strip, touched, costs, work);
    }
  });
  if (!weights_valid) refuse_weights(observation.weights);
  return total();
}

bool CpuEvaluator::compare_strip(const TileContext& context, const Observation& observation,
                                 const KernelLoss& loss, int strip, bool touched, float* costs,
                                 Workspace& work) {
  const TileRun run = strip_of(grid_, strip);
  if (!touched)
    return compare_background(context, observation, loss, run, background_.data(), work, costs, sums_.data());
  find_visible_in_strip(context, strip, work);
  for (int quad = 0; quad < quads_of(run); ++quad) show(context, run, quad, work);
  return compare(context, observation, loss, run, work, costs, sums_.data());
}

void CpuEvaluator::sum_tile(const TileContext& context, int t, Workspace& work) {
  context.over_groups(t, [&](int g, const Group& group, int pair) {
    if (!exact() && accumulates_primitives(context, group)) {
      accumulate_primitives(context, group, t, work, records_[static_cast<std::size_t>(g)].data());
      return;
    }
    const int planes = group.slots + camera_slots_;
    differentiate(context, group, planes, t, work);
    if (exact()) {
      const int twos = pairs_ ? couple_alone(context, work) : 0;
      work.silhouettes.patch(context, group, planes, work, work.row_target());
      couple(context, g, planes, t, twos, work);
    }
    // Those of rigid meshes are in the first of their batch's.
    const int owner = group.kind == GroupKind::rigid_mesh ? context.batch_of(group).first_group : g;
    accumulate(context, group, pair, t, work, records_[static_cast<std::size_t>(owner)].data());
  });
}

// The rows of crossed pixels that have one entry: patches them, and begins work.twos. Returns how many it
// has.
int CpuEvaluator::couple_alone(const TileContext& context, Workspace& work) const {
  constexpr int slots = Couplings::TwoEntries::slots;
  const float *weights = work.robust.data(), *residuals = work.residual.data();
  const std::int32_t* ids = work.ids.data();
  Couplings::TwoEntries* two = work.twos.data();
  work.silhouettes.patch_alone(
      context, work, work.row_target(),
      [&](std::ptrdiff_t pixel, int channel, const float* own, std::int32_t id, const float* other) {
        const float weight = weights[channel * tile_pixels + pixel];
        two->key = Couplings::key_of(ids[pixel], id), two->groups[0] = two->groups[1] = 0;
        two->weight = weight, two->residual = residuals[channel * tile_pixels + pixel];
        std::copy_n(own, slots, two->partials[0]), std::copy_n(other, slots, two->partials[1]);
        two += (id >= 0) & (weight != 0) ? 1 : 0;
      });
  return static_cast<int>(two - work.twos.data());
}

// The products of the other rows of crossed pixels whose first entry lies in this group's planes; and of the
// first `twos` of work.twos.
void CpuEvaluator::couple(const TileContext& context, int g, int planes, int t, int twos, Workspace& work) {
  const Group& group = groups_[static_cast<std::size_t>(g)];
  const auto is_small = [&](int number) {
    return groups_[static_cast<std::size_t>(number)].slots + camera_slots_ == Couplings::TwoEntries::slots;
  };
  const bool small = is_small(g), all_small = widest_ == Couplings::TwoEntries::slots;
  const Span<const CrossedRow> others = work.silhouettes.other_rows();
  const CrossedRow *row = others.begin(), *last = others.end();
  while (row != last) {
    const CrossedRow* const first = row;
    while (row != last && row->pixel == first->pixel) ++row;
    if (!group.owns(work.ids[static_cast<std::size_t>(first->pixel)])) continue;
    if (row == first + 1 && small && (all_small || is_small(context.block_of(first->id).group))) {
      twos = couple_two(context, g, *first, twos, work);
    } else {
      couple_several(context, first, row, g, planes, t, work);
    }
  }
  couplings_.add(t, work.twos.data(), twos);
}

// A pixel of two primitives, of which `other` is not in the planes: appended to work.twos, of which there are
// `count` already.
int CpuEvaluator::couple_two(const TileContext& context, int g, const CrossedRow& other, int count,
                             Workspace& work) const {
  constexpr int slots = Couplings::TwoEntries::slots;
  const int pixel = other.pixel;
  const PrimitiveBlock block = context.block_of(other.id);
  const RowValues values = work.silhouettes.values_at(other.place);
  for (int c = 0; c < channels_; ++c) {
    const float weight = work.robust[static_cast<std::size_t>(c * tile_pixels + pixel)];
    const float *own = work.rows.data() + static_cast<std::ptrdiff_t>(c) * slots * tile_pixels + pixel,
                *from = values.values + c * values.channel_stride;
    Couplings::TwoEntries& two = work.twos[static_cast<std::size_t>(count)];
    two.key = Couplings::key_of(work.ids[static_cast<std::size_t>(pixel)], block.first_id);
    two.groups[0] = g, two.groups[1] = block.group;
    two.weight = weight, two.residual = work.residual[static_cast<std::size_t>(c * tile_pixels + pixel)];
    for (int k = 0; k < slots; ++k) {
      two.partials[0][k] = own[k * tile_pixels];
      two.partials[1][k] = from[k * values.plane_stride];
    }
    count += weight != 0 ? 1 : 0;
  }
  return count;
}

void CpuEvaluator::couple_several(const TileContext& context, const CrossedRow* first, const CrossedRow* last,
                                  int g, int planes, int t, Workspace& work) {
  const int pixel = first->pixel;
  const auto describe = [&](const PrimitiveBlock& block, const RowValues& row, int camera_plane) {
    Couplings::Entry entry;
    entry.id = block.first_id, entry.group = block.group;
    entry.values = row.values;
    entry.channel_stride = row.channel_stride, entry.plane_stride = row.plane_stride;
    entry.own_slots = groups_[static_cast<std::size_t>(block.group)].slots;
    entry.camera_slots = camera_slots_, entry.camera_plane = camera_plane;
    return entry;
  };
  std::vector<Couplings::Entry>& entries = work.entries;
  entries.clear();
  const Group& group = groups_[static_cast<std::size_t>(g)];
  const std::int32_t id =
      group.kind == GroupKind::rigid_mesh ? group.first_id : work.ids[static_cast<std::size_t>(pixel)];
  const RowValues own{work.rows.data() + pixel, static_cast<std::ptrdiff_t>(planes) * tile_pixels,
                      tile_pixels};
  entries.push_back(describe({id, g}, own, planes - camera_slots_));
  for (const CrossedRow* row = first; row != last; ++row) {
    entries.push_back(
        describe(context.block_of(row->id), work.silhouettes.values_at(row->place), widest_ - camera_slots_));
  }
  couplings_.add(t, entries.data(), static_cast<int>(entries.size()), true, channels_,
                 work.robust.data() + pixel, work.residual.data() + pixel, tile_pixels);
}

void CpuEvaluator::start_products(const Observation& observation, const KernelLoss& loss, Products products,
                                  bool remember) {
  if (exact()) couplings_.make_room(grid_.tiles());
  const auto scatter = [&](Workspace& work) {
    if (products != Products::scatter) return;
    for (std::size_t p = 0; p < work.robust.size(); ++p) {
      const float gradient = work.robust[p] * work.residual[p];
      work.robust[p] = gradient * gradient;
    }
  };
  const auto sum = [&](const TileContext& context, int t, bool touched, const float*, Workspace& work) {
    if (exact()) couplings_.start_tile(t);
    if (!touched) return;
    scatter(work);
    if (by_strips_) return accumulate_strip(context, groups_[0], t, work, records_[0].data());
    sum_tile(context, t, work);
  };
  products_totals_ = by_strips_ ? evaluate_strips(observation, loss, remember, sum)
                                : evaluate_cost(observation, loss, true, remember, sum);
}

void CpuEvaluator::add_records(std::size_t g) {
  const Group& group = groups_[g];
  const auto size = static_cast<std::size_t>(record_size(group.slots + camera_slots_));
  const auto clear = [&](std::size_t k) {
    local_[k].resize(static_cast<std::size_t>(groups_[k].blocks()) * size);
    std::fill_n(local_[k].data(), local_[k].size(), 0.0);
  };
  const auto add = [&](double* sums, int entry) {
    const float* record = records_[g].data() + static_cast<std::size_t>(entry) * size;
    for (std::size_t k = 0; k < size; ++k) sums[k] += static_cast<double>(record[k]);
  };
  if (group.kind == GroupKind::rigid_mesh) {
    const MeshBatch& batch = batches_[static_cast<std::size_t>(group.batch)];
    if (static_cast<int>(g) > batch.first_group) return;  // added with the first
    for (int k = batch.first_group; k < batch.last_group; ++k) clear(static_cast<std::size_t>(k));
    for (const int t : active_) {
      int pair = batch.first_pair(t);
      for (const int k : batch.groups_in(t)) add(local_[static_cast<std::size_t>(k)].data(), pair++);
    }
    return;
  }
  clear(g);
  if (by_strips_) {
    for (int entry = 0; entry < group.strips.entries(); ++entry)
      add(local_[g].data() + static_cast<std::size_t>(group.strips.candidate(entry)) * size, entry);
    return;
  }
  const TileLists& entries = group.kind == GroupKind::free_mesh
                                 ? batches_[static_cast<std::size_t>(group.batch)].tiles
                                 : group.sum_entries();
  for (const int t : active_) {
    for (int entry = entries.begin(t); entry < entries.end(t); ++entry)
      add(local_[g].data() + static_cast<std::size_t>(entries.candidate(entry)) * size, entry);
  }
}

void CpuEvaluator::assemble(SparseSums& H, Span<double> g) {
  // Sums first, on two threads: that of couplings takes about as long as the others.
  local_.resize(groups_.size());
  pool_->parallel_for(exact() ? 2 : 1, 1, [&](int begin, int end, int) {
    for (int part = begin; part < end; ++part) {
      for (std::size_t k = 0; part == 0 && k < groups_.size(); ++k) add_records(k);
      if (part == 1) couplings_.sum(active_);
    }
  });
  exact() ? couplings_.begin(linearization_, H) : H.begin({});
  for (std::size_t k = 0; k < groups_.size(); ++k)
    renderer::assemble(groups_[k], linearization_.groups()[k], linearization_, camera_slots_,
                       local_[k].data(), H, g);
  if (exact()) couplings_.add_to(linearization_, H, g);
}

Evaluator::Totals CpuEvaluator::sum_costs(const Observation& observation, const KernelLoss& loss,
                                          SharedCost* shared) {
  const std::size_t block = static_cast<std::size_t>(channels_) * tile_pixels;
  if (shared != nullptr) shared_.assign(all_tiles_.size(), SharedCost());
  const AddShared add_shared = add_shared_here();
  const auto add = [&](int t, const float* costs) {
    const auto tile_index = static_cast<std::size_t>(t);
    if (remembers_[tile_index] != 0)
      shared_[tile_index] = add_shared(remembered_.data() + tile_index * block, costs, block);
  };
  const auto compare = [&](const TileContext&, int t, bool, const float* costs, Workspace&) {
    if (shared == nullptr) return;
    const TileRun run = by_strips_ ? strip_of(grid_, t) : TileRun{t};
    for (int j = 0; j < run.count; ++j) add(run.first + j, costs + static_cast<std::size_t>(j) * block);
  };
  const Totals totals = by_strips_ ? evaluate_strips(observation, loss, false, compare)
                                   : evaluate_cost(observation, loss, false, false, compare);
  if (shared == nullptr) return totals;
  *shared = SharedCost();
  for (const SharedCost& sums : shared_)
    shared->count += sums.count, shared->before += 0.5 * sums.before, shared->now += 0.5 * sums.now;
  return totals;
}

}  // namespace diffrt::renderer
