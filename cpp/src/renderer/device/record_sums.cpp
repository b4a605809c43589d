// Sums over residuals: cost, normal equations, scatter.
#include <algorithm>

#include "renderer/device/device_evaluator.hpp"

namespace diffrt::renderer::gpu {
namespace {

using runtime::array;

// Threads that a group's last sums are shared out to, if it has fewer primitives.
constexpr int sum_threads = 65536;
// Sums that cost the host less than a kernel of their own.
constexpr int host_sums = 4096;
// Bytes of sums that kernels may write to the host's memory themselves.
constexpr std::size_t direct_bytes = std::size_t{1} << 18;

}  // namespace

// What fails lets go of what is observed, which may not have come there.
template <class F>
void DeviceEvaluator::while_observed(F&& work) {
  try {
    work();
  } catch (...) {
    observation_.forget();
    release_observed();
    throw;
  }
}

void DeviceEvaluator::release_observed() {
  observation_.release();
  for (const auto& [key, recording] : recordings_) {
    if (std::get<3>(key)) recording->refresh();
  }
}

void DeviceEvaluator::start(const Observation& observation, Key key) {
  using Staged = DeviceObservation::Staged;
  // What is observed comes again and again, as a rule: then looking whether it has changed takes no time.
  const bool begun = observation_.comes_again(observation);
  if (begun) start(key);
  const Staged staged = observation_.stage(observation);
  if (begun && staged == Staged::same) return;
  if (begun) recordings_.at(key)->wait();
  if (staged == Staged::refused) refuse_weights(observation.weights);
  while_observed([&] {
    std::get<3>(key) = staged == Staged::changed && observation_.is_there();
    if (std::get<3>(key)) {
      observation_.expect();
    } else if (staged == Staged::changed) {
      observation_.send(stream_);
    }
    start(key);
  });
}

void DeviceEvaluator::finish_observed() {
  while_observed([this] { finish(); });
  release_observed();
  if (*results_.host(negative_weight_) == 0) return;
  observation_.forget();
  refuse_weights({});
}

void DeviceEvaluator::fetch_view(const ImageView& view, Span<float> out) {
  observation_.fetch(view, stream_, out);
}

Evaluator::Totals DeviceEvaluator::totals() const {
  Totals totals;
  const float* sums = results_.host(tile_sums_);
  for (int t = 0; t < grid_.tiles(); ++t, sums += kernels::residual_sums) totals.add(sums);
  return totals;
}

Evaluator::Totals DeviceEvaluator::sum_costs(const Observation& observation, const KernelLoss& loss,
                                             SharedCost* shared) {
  start(observation, {shared == nullptr ? Kind::cost : Kind::shared_cost, take_loss(loss), false, false});
  finish_observed();
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

void DeviceEvaluator::start_products(const Observation& observation, const KernelLoss& loss,
                                     Products products, bool remember) {
  start(observation,
        {products == Products::scatter ? Kind::scatter : Kind::products, take_loss(loss), remember, false});
}

Evaluator::Totals DeviceEvaluator::finish_products() {
  finish_observed();
  return totals();
}

void DeviceEvaluator::assemble(SparseSums& H, Span<double> g) {
  if (couples()) {
    crossed_->fetch_couplings(couplings_);
    couplings_.sum(all_tiles_);
    couplings_.begin(linearization_, H);
  } else {
    H.begin({});
  }
  for (std::size_t k = 0; k < groups_.size(); ++k) {
    // A sum is two numbers, of which the second is small.
    const float* sums = group_sums_.host(group_pieces_[k]);
    const auto size = static_cast<std::size_t>(record_size(widest_of(k)));
    const int parts = adds_parts(k) ? parts_of(k) : 1;
    local_.assign(static_cast<std::size_t>(groups_[k].blocks()) * size, 0.0);
    for (std::size_t first = 0; first < local_.size(); first += size) {
      for (int part = 0; part < parts; ++part) {
        for (std::size_t i = first; i < first + size; ++i, sums += 2)
          local_[i] += static_cast<double>(sums[0]) + static_cast<double>(sums[1]);
      }
    }
    renderer::assemble(groups_[k], linearization_.groups()[k], linearization_, camera_slots_, local_.data(),
                       H, g);
  }
  if (couples()) couplings_.add_to(linearization_, H, g);
}

int DeviceEvaluator::take_loss(const KernelLoss& loss) {
  loss_ = loss;
  return loss_model_.take(loss, device_, numbers(channels_), [this] {
    for (auto recording = recordings_.begin(); recording != recordings_.end();) {
      const bool with_it = std::get<int>(recording->first) == module::LossOnDevice::index;
      recording = with_it ? recordings_.erase(recording) : std::next(recording);
    }
  });
}

void DeviceEvaluator::record_residuals(Recording& recording, int loss, runtime::DeviceBuffer<float>& costs) {
  const auto size = static_cast<std::size_t>(numbers(channels_));
  for (runtime::DeviceBuffer<float>* block : {&residual_, &robust_, &costs})
    make_room(*device_, *block, size);
  make_room(*device_, line_sums_, size / tile * kernels::residual_sums);
  recording.launch(kernels_.residuals[module::LossOnDevice::kernel_of(loss)], numbers(channels_),
                   [this, &costs](auto& a) {
                     a.first_tile = 0;
                     a.channels = channels_, a.scale = loss_.scale, a.alpha = loss_.alpha;
                     a.rendered = array(rendered_), a.observed = array(observation_.observed());
                     a.weights = array(observation_.weights());
                     a.residual = array(residual_), a.weight = array(robust_), a.costs = array(costs);
                   });
  if (loss == module::LossOnDevice::index)
    loss_model_.record(recording.sequence(), kernels_, array(residual_), array(robust_), array(costs));
}

void DeviceEvaluator::record_row_sums(Recording& recording, runtime::DeviceBuffer<float>& costs) {
  recording.launch(kernels_.row_sums, numbers(channels_) / tile, [this, &costs](auto& a) {
    a.residual = array(residual_), a.weight = array(robust_), a.costs = array(costs);
    a.rows = array(line_sums_);
  });
}

void DeviceEvaluator::record_tile_sums(Recording& recording, const Piece<float>& sums) {
  const runtime::DeviceArray<float> to = results_.array(sums);
  recording.launch(kernels_.tile_sums, static_cast<int>(sums.size), [this, to](auto& a) {
    a.channels = channels_;
    a.rows = array(line_sums_), a.sums = array(to);
  });
}

void DeviceEvaluator::record_cost(Recording& recording, const Key& key) {
  const auto [kind, loss, remember, observes] = key;
  record_scene(recording, observes);
  record_values(recording, false);
  record_residuals(recording, loss, costs_);
  record_row_sums(recording, costs_);
  record_tile_sums(recording, tile_sums_);
  if (kind != Kind::shared_cost) return;
  recording.launch(kernels_.shared_row_sums, numbers(channels_) / tile, [this](auto& a) {
    a.before = array(remembered_), a.now = array(costs_), a.rows = array(line_sums_);
  });
  record_tile_sums(recording, shared_sums_);
}

void DeviceEvaluator::make_sums() {
  if (group_sums_.allocated()) return;
  group_sums_ = Download();  // an earlier try may have found no memory
  group_pieces_.clear();
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const int places = places_of(g) * (adds_parts(g) ? parts_of(g) : 1);
    group_pieces_.push_back(group_sums_.add<float>(2 * static_cast<std::size_t>(places)));
  }
  if (group_sums_.bytes() <= direct_bytes) {
    group_sums_.allocate_on_host(*device_);
  } else {
    group_sums_.allocate(*device_);
  }
}

void DeviceEvaluator::record_products(Recording& recording, const Key& key) {
  const auto [kind, loss, remember, observes] = key;
  const bool scatter = kind == Kind::scatter;
  runtime::DeviceBuffer<float>& costs = remember ? remembered_ : costs_;
  make_sums();
  make_room(*device_, rows_, static_cast<std::size_t>(numbers(channels_ * widest_)));
  // What the first group needs is made beside what the residuals need. Rows of crossed pixels come after all.
  const bool any = !groups_.empty(), beside = any && !exact();
  record_scene(recording, observes);
  if (beside) clear_rows(recording, 0);
  record_values(recording, true, [&] {
    if (beside) record_rows(recording, *device_groups_[0], widest_of(0));
  });
  if (any && !beside) record_group_rows(recording, 0);
  record_residuals(recording, loss, costs);
  if (scatter) {
    record_row_sums(recording, costs);
    recording.launch(kernels_.square_gradients, numbers(channels_),
                     [this](auto& a) { a.residual = array(residual_), a.weight = array(robust_); });
  }
  {
    const auto side_by_side = recording.sequence().parallel();
    if (!scatter) record_row_sums(recording, costs);
    if (any) record_entries(recording, 0);
  }
  {
    const auto side_by_side = recording.sequence().parallel();
    record_tile_sums(recording, tile_sums_);
    if (any) record_primitives(recording, 0);
  }
  if (any) record_parts(recording, 0);
  for (std::size_t g = 1; g < groups_.size(); ++g) {
    record_group_rows(recording, g);
    record_entries(recording, g);
    record_primitives(recording, g);
    record_parts(recording, g);
  }
  if (couples()) crossed_->record_couplings(recording, residual_, robust_);
}

void DeviceEvaluator::record_group_rows(Recording& recording, std::size_t g) {
  clear_rows(recording, g);
  {
    const auto side_by_side = recording.sequence().parallel();
    record_rows(recording, *device_groups_[g], widest_of(g));
  }
  if (crossed_ != nullptr) crossed_->record_patch(recording, groups_[g], widest_of(g), ids_, rows_);
}

int DeviceEvaluator::widest_of(std::size_t g) const { return groups_[g].slots + camera_slots_; }

void DeviceEvaluator::clear_rows(Recording& recording, std::size_t g) {
  if (!all_have_rows(*device_groups_[g])) recording.sequence().fill(rows_.array(), 0.0f);
}

int DeviceEvaluator::places_of(std::size_t g) const {
  return groups_[g].blocks() * record_size(widest_of(g));
}

// How many parts the sums of a group's primitives are shared out to.
int DeviceEvaluator::parts_of(std::size_t g) const { return std::clamp(sum_threads / places_of(g), 1, 128); }

// Whether they are so few that the host adds them.
bool DeviceEvaluator::adds_parts(std::size_t g) const { return places_of(g) * parts_of(g) <= host_sums; }

void DeviceEvaluator::record_entries(Recording& recording, std::size_t g) {
  const Group& group = groups_[g];
  const int slots = widest_of(g);
  const SumEntries entries = device_groups_[g]->sum_entries(upload_);
  const int shares = entries.most << entries.share_bits;
  make_room(*device_, columns_,
            static_cast<std::size_t>(shares) * static_cast<std::size_t>(record_size(slots)));
  const runtime::Bounds bounds = entries.loop.size > 0 ? runtime::Bounds::on_device(entries.loop, shares)
                                                       : runtime::Bounds::range(0, shares);
  recording.launch(kernels_.entry_columns[slots], bounds, [this, &group, entries, slots](auto& a) {
    a.tiles_x = grid_.across, a.channels = channels_, a.planes = slots;
    a.first_id = group.first_id, a.span = group.sum_span, a.stride = entries.stride;
    a.share_bits = entries.share_bits;
    a.bounds = array(entries.bounds), a.tiles = array(entries.tiles);
    a.candidates = array(entries.candidates);
    a.ids = array(ids_), a.row_planes = array(rows_);
    a.residual = array(residual_), a.weight = array(robust_), a.columns = array(columns_);
  });
}

void DeviceEvaluator::record_primitives(Recording& recording, std::size_t g) {
  const SumEntries entries = device_groups_[g]->sum_entries(upload_);
  const int size = record_size(widest_of(g)), places = places_of(g), parts = parts_of(g);
  if (!adds_parts(g)) make_room(*device_, partial_sums_, 2 * static_cast<std::size_t>(places * parts));
  recording.launch(kernels_.primitive_sums, places * parts, [this, g, entries, size, parts](auto& a) {
    a.tiles_x = grid_.across, a.size = size, a.parts = parts, a.stride = entries.stride;
    a.share_bits = entries.share_bits, a.direct = entries.direct ? 1 : 0;
    a.bounds = array(entries.bounds), a.offsets = array(entries.offsets);
    a.candidates = array(entries.candidates);
    a.columns = array(columns_);
    a.sums = adds_parts(g) ? array(group_sums_.array(group_pieces_[g])) : array(partial_sums_);
  });
}

void DeviceEvaluator::record_parts(Recording& recording, std::size_t g) {
  if (adds_parts(g)) return;
  const int size = record_size(widest_of(g)), parts = parts_of(g);
  const runtime::DeviceArray<float> sums = group_sums_.array(group_pieces_[g]);
  recording.launch(kernels_.part_sums, places_of(g), [this, size, parts, sums](auto& a) {
    a.size = size, a.parts = parts;
    a.partial = array(partial_sums_), a.sums = array(sums);
  });
}

}  // namespace diffrt::renderer::gpu
