// Sums over residuals: cost, normal equations, scatter.
#include <algorithm>

#include "renderer/device/device_evaluator.hpp"

namespace diffrt::renderer::gpu {
namespace {

using runtime::array;

// Threads that a group's last sums are shared out to, if it has fewer primitives.
constexpr int sum_threads = 16384;

}  // namespace

void DeviceEvaluator::load(const Observation& observation) {
  if (!observation_.load(observation)) refuse_weights();
}

Evaluator::Totals DeviceEvaluator::totals() const {
  Totals totals;
  const float* sums = results_.host(tile_sums_);
  for (int t = 0; t < grid_.tiles(); ++t, sums += kernels::residual_sums) {
    totals.cost += static_cast<double>(sums[0]), totals.count += static_cast<double>(sums[1]),
        totals.squares += static_cast<double>(sums[2]);
  }
  return totals;
}

Evaluator::Totals DeviceEvaluator::sum_costs(const Observation& observation, const KernelLoss& loss,
                                             SharedCost* shared) {
  load(observation);
  loss_ = loss;
  run({shared == nullptr ? Kind::cost : Kind::shared_cost, loss.index, false});
  if (shared != nullptr) {
    *shared = SharedCost();
    double count = 0, less = 0;
    const float* sums = results_.host(shared_sums_);
    for (int t = 0; t < grid_.tiles(); ++t, sums += kernels::residual_sums) {
      shared->before += static_cast<double>(sums[0]), count += static_cast<double>(sums[1]),
          less += static_cast<double>(sums[2]);
    }
    shared->count = static_cast<std::size_t>(count);
    shared->now = shared->before - less;
  }
  return totals();
}

Evaluator::Totals DeviceEvaluator::sum_products(const Observation& observation, const KernelLoss& loss,
                                                Products products, bool remember) {
  load(observation);
  loss_ = loss;
  run({products == Products::scatter ? Kind::scatter : Kind::products, loss.index, remember});
  return totals();
}

void DeviceEvaluator::assemble(Span<double> H, Span<double> g) {
  for (std::size_t k = 0; k < groups_.size(); ++k) {
    const float* sums = group_sums_.host(group_pieces_[k]);
    local_.assign(sums, sums + group_pieces_[k].size);
    assembly_.add(groups_[k], linearization_.groups()[k], linearization_, camera_slots_, local_.data(), H, g);
  }
  if (!couples()) return;
  crossed_->fetch_couplings(couplings_);
  couplings_.assemble(all_tiles_, linearization_, H, g);
}

void DeviceEvaluator::record_cost(Recording& recording, int loss, runtime::DeviceBuffer<float>& costs) {
  const auto size = static_cast<std::size_t>(numbers(channels_));
  for (runtime::DeviceBuffer<float>* block : {&residual_, &robust_, &costs})
    make_room(*device_, *block, size);
  recording.launch(kernels_.residuals[loss], numbers(channels_), [this, &costs](auto& a) {
    a.first_tile = 0;
    a.channels = channels_, a.scale = loss_.scale, a.alpha = loss_.alpha;
    a.rendered = array(rendered_), a.observed = array(observation_.observed());
    a.weights = array(observation_.weights());
    a.residual = array(residual_), a.weight = array(robust_), a.costs = array(costs);
  });
  make_room(*device_, line_sums_, size / tile * kernels::residual_sums);
  recording.launch(kernels_.row_sums, numbers(channels_) / tile, [this, &costs](auto& a) {
    a.residual = array(residual_), a.weight = array(robust_), a.costs = array(costs);
    a.rows = array(line_sums_);
  });
  record_tile_sums(recording, tile_sums_);
}

void DeviceEvaluator::record_tile_sums(Recording& recording, const Piece<float>& sums) {
  const runtime::DeviceArray<float> to = results_.array(sums);
  recording.launch(kernels_.tile_sums, static_cast<int>(sums.size), [this, to](auto& a) {
    a.channels = channels_;
    a.rows = array(line_sums_), a.sums = array(to);
  });
}

void DeviceEvaluator::record_shared_cost(Recording& recording) {
  recording.launch(kernels_.shared_row_sums, numbers(channels_) / tile, [this](auto& a) {
    a.before = array(remembered_), a.now = array(costs_), a.rows = array(line_sums_);
  });
  record_tile_sums(recording, shared_sums_);
}

void DeviceEvaluator::record_products(Recording& recording, bool scatter) {
  if (!group_sums_.allocated()) {
    group_sums_ = Download();
    group_pieces_.clear();
    for (const Group& group : groups_) {
      const int size = group.blocks() * record_size(group.slots + camera_slots_);
      group_pieces_.push_back(group_sums_.add<float>(static_cast<std::size_t>(size)));
    }
    group_sums_.allocate(*device_);
    record_bounds_.resize(groups_.size());
  }
  if (groups_.empty()) return;
  if (scatter) {
    recording.launch(kernels_.square_gradients, numbers(channels_),
                     [this](auto& a) { a.residual = array(residual_), a.weight = array(robust_); });
  }
  make_room(*device_, rows_, static_cast<std::size_t>(numbers(channels_ * widest_)));
  for (std::size_t g = 0; g < groups_.size(); ++g) record_group_sums(recording, g);
  if (couples()) crossed_->record_couplings(recording, residual_, robust_);
  group_sums_.fetch(recording.sequence(), group_pieces_.front(), group_pieces_.back());
}

void DeviceEvaluator::record_group_sums(Recording& recording, std::size_t g) {
  const Group& group = groups_[g];
  const int slots = group.slots + camera_slots_, size = record_size(slots);
  const bool all_have_rows = std::all_of(outputs_.begin(), outputs_.end(), [&](const OutputChannels& output) {
    return has_rows(output, group.surface);
  });
  if (!all_have_rows) recording.sequence().fill(rows_.array(), 0.0f);
  record_rows(recording, *device_groups_[g], slots);
  if (crossed_ != nullptr) crossed_->record_patch(recording, group, slots, ids_, rows_);

  const SumEntries entries = device_groups_[g]->sum_entries(upload_);
  make_room(*device_, records_, static_cast<std::size_t>(entries.most) * static_cast<std::size_t>(size));
  runtime::Bounds bounds = runtime::Bounds::range(0, entries.most * size);
  if (entries.counted) {
    if (record_bounds_[g].size() == 0) record_bounds_[g] = {*device_, 2};
    recording.launch(kernels_.scale_bounds, 1, [this, g, size, entries](auto& a) {
      a.place = grid_.tiles(), a.factor = size;
      a.counts = array(entries.offsets), a.bounds = array(record_bounds_[g]);
    });
    bounds = runtime::Bounds::on_device(record_bounds_[g].array(), entries.most * size);
  }
  recording.launch(kernels_.entry_sums[slots], bounds, [this, &group, entries, slots](auto& a) {
    a.tiles_x = grid_.across, a.channels = channels_, a.planes = slots;
    a.first_id = group.first_id, a.span = group.sum_span, a.stride = entries.stride;
    a.bounds = array(entries.bounds), a.tiles = array(entries.tiles),
    a.candidates = array(entries.candidates);
    a.ids = array(ids_), a.row_planes = array(rows_);
    a.residual = array(residual_), a.weight = array(robust_), a.records = array(records_);
  });

  const int places = group.blocks() * size, parts = std::clamp(sum_threads / places, 1, 64);
  const runtime::DeviceArray<float> sums = group_sums_.array(group_pieces_[g]);
  if (parts > 1) make_room(*device_, partial_sums_, static_cast<std::size_t>(places * parts));
  recording.launch(kernels_.primitive_sums, places * parts, [this, entries, size, parts, sums](auto& a) {
    a.tiles_x = grid_.across, a.size = size, a.parts = parts, a.stride = entries.stride;
    a.bounds = array(entries.bounds), a.offsets = array(entries.offsets),
    a.candidates = array(entries.candidates);
    a.records = array(records_), a.sums = parts > 1 ? array(partial_sums_) : array(sums);
  });
  if (parts == 1) return;
  recording.launch(kernels_.part_sums, places, [this, size, parts, sums](auto& a) {
    a.size = size, a.parts = parts;
    a.partial = array(partial_sums_), a.sums = array(sums);
  });
}

}  // namespace diffrt::renderer::gpu
