#include "module/device_sums.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string_view>

#include "renderer/device/staging.hpp"

namespace diffrt::module {
namespace {

using runtime::array;
using runtime::Bounds;
using runtime::Memory;
using runtime::Sequence;

// Bytes of rows that stay on the device; of an array that any Vulkan driver takes, which sums and rows are.
constexpr Index cuda_rows_bytes = Index{512} << 20, array_bytes = Index{128} << 20;
// Threads that are to be had for sums; items of one.
constexpr Index sum_threads = 65536, least_items = kernels::product_run;
// Places that a thread of the host loads at a time.
constexpr Index load_places = 16 * block_items;

constexpr int side = kernels::product_side, squares = side * side;

// A driver that computes on the processor gains nothing. "device" or "host" in the environment settles it.
bool wanted_on(const runtime::Device& device) {
  const char* settled = std::getenv("DIFFRT_MODEL_SUMS");
  return settled != nullptr ? std::string_view(settled) == "device" : !device.details().software;
}

// Blocks of products of so many planes, residuals among them.
Index blocks_of(std::size_t planes) {
  const Index sides = (static_cast<Index>(planes) + side - 1) / side;
  return sides * (sides + 1) / 2;
}

}  // namespace

std::unique_ptr<DeviceSums> DeviceSums::make(const DeviceRunner& runner, const RecordLayout& layout,
                                             const RowMap& map, const Domain& domain,
                                             std::shared_ptr<runtime::ThreadPool> pool) {
  const runtime::Device& device = *runner.device();
  if (map.blocks() > 0 || domain.items() == 0 || !wanted_on(device)) return nullptr;
  const Index rows_bytes = device.kind() == runtime::DeviceKind::cuda ? cuda_rows_bytes : array_bytes;
  const Index places = round_up(domain.slots(), block_items);
  Index blocks = 0;
  for (const RecordLayout::Output& output : layout.outputs()) blocks += blocks_of(output.locals.size());
  const auto bytes_of = [](Index numbers) { return numbers * static_cast<Index>(sizeof(float)); };
  if (bytes_of(places) > rows_bytes / (2 * map.outputs() + map.planes()) ||
      bytes_of(blocks * squares * kernels::product_run) > array_bytes)
    return nullptr;
  return std::unique_ptr<DeviceSums>(new DeviceSums(runner, layout, map, domain, std::move(pool), places));
}

DeviceSums::DeviceSums(const DeviceRunner& runner, const RecordLayout& layout, const RowMap& map,
                       const Domain& domain, std::shared_ptr<runtime::ThreadPool> pool, Index places)
    : runner_(runner),
      device_(*runner.device()),
      kernels_(device_.kernels()),
      domain_(domain),
      pool_(std::move(pool)),
      outputs_(map.outputs()),
      planes_(map.planes()),
      places_(places),
      numbers_(static_cast<int>(outputs_ * places)) {
  list_blocks(layout, map);
}

// Pairs of planes of each output, the residual last. What fills up a block is there for nothing.
void DeviceSums::list_blocks(const RecordLayout& layout, const RowMap& map) {
  for (int c = 0; c < map.outputs(); ++c) {
    const RecordLayout::Output& output = layout.outputs()[static_cast<std::size_t>(c)];
    std::vector<std::int32_t> planes;
    for (const int plane : output.planes) planes.push_back(outputs_ + plane);
    planes.push_back(outputs_ + planes_ + c);
    const auto count = static_cast<int>(planes.size());
    const auto plane = [&](int k) { return planes[static_cast<std::size_t>(std::min(k, count - 1))]; };
    for (int first = 0; first < count; first += side) {
      for (int second = first; second < count; second += side) {
        for (int k = 0; k < side; ++k) blocks_.push_back(plane(first + k));
        for (int k = 0; k < side; ++k) blocks_.push_back(plane(second + k));
        blocks_.push_back(c);
        for (int k = 0; k < squares; ++k) {
          const int a = first + k / side, b = second + k % side;
          if (b < a || b >= count) {
            record_places_.push_back(-1);
            continue;
          }
          const int i = output.locals[static_cast<std::size_t>(a)],
                    j = output.locals[static_cast<std::size_t>(b)];
          record_places_.push_back(static_cast<std::int32_t>(layout.place(std::min(i, j), std::max(i, j))));
        }
      }
    }
  }
  block_count_ = static_cast<int>(blocks_.size()) / kernels::product_block;
  while ((1 << share_bits_) < kernels::product_run ||
         ((static_cast<Index>(block_count_) << share_bits_) < sum_threads &&
          (places_ >> share_bits_) > least_items))
    ++share_bits_;
}

void DeviceSums::make_buffers() {
  if (block_list_.size() > 0) return;
  const auto numbers = static_cast<std::size_t>(numbers_), places = static_cast<std::size_t>(places_);
  for (runtime::DeviceBuffer<float>* buffer :
       {&observed_, &weights_, &ones_, &robust_, &costs_, &remembered_})
    *buffer = {device_, numbers};
  out_ = {device_, static_cast<std::size_t>(2 * outputs_ + planes_) * places};
  sent_observed_ = {device_, numbers, Memory::upload}, sent_weights_ = {device_, numbers, Memory::upload};
  line_sums_ = {device_, numbers / kernels::tile * kernels::residual_sums};
  const std::size_t totals = numbers / block_items * kernels::residual_sums;
  tile_sums_ = {device_, totals}, fetched_totals_ = {device_, totals, Memory::download};
  shared_sums_ = {device_, totals}, fetched_shared_ = {device_, totals, Memory::download};
  const std::size_t products = record_places_.size() << share_bits_;
  share_sums_ = {device_, products}, sums_ = {device_, products / kernels::product_run};
  fetched_sums_ = {device_, sums_.size(), Memory::download};
  std::fill_n(sent_observed_.host(), numbers, std::numeric_limits<float>::quiet_NaN());

  send_observed_ = device_.make_sequence(), send_weights_ = device_.make_sequence();
  send_observed_->copy(observed_.array(), sent_observed_.array());
  send_weights_->copy(weights_.array(), sent_weights_.array());
  send_observed_->finish(), send_weights_->finish();
  const auto fill = device_.make_sequence();
  fill->fill(ones_.array(), 1.0f);
  fill->finish(), fill->run(), fill->wait();
  renderer::gpu::Once once(device_);
  auto list = once.send(blocks_);
  once.finish();
  block_list_ = std::move(list);  // the last: all is there
}

bool DeviceSums::send(const Observation& observation) {
  if (observation.revision != 0 && observation.revision == sent_) return true;
  sent_ = 0;
  const bool weighted = !observation.weights.empty();
  send_observed_->wait(), send_weights_->wait();
  std::atomic<bool> valid{true};
  const auto tiles = static_cast<int>((places_ + load_places - 1) / load_places);
  pool_->parallel_for(outputs_ * tiles, 1, [&](int begin, int end, int) {
    for (int k = begin; k < end; ++k) {
      const Index first = k % tiles * load_places, items = std::min(load_places, places_ - first);
      const Range range{first, std::min(first + items, domain_.slots())};
      float* const observed = sent_observed_.host() + k / tiles * places_ + first;
      load_observed(domain_, range, observation, k / tiles, items, observed);
      for (Index i = 0; i < items; ++i)
        observed[i] = std::isfinite(observed[i]) ? observed[i] : std::numeric_limits<float>::quiet_NaN();
      if (weighted && !load_weights(domain_, range, observation, k / tiles, items,
                                    sent_weights_.host() + k / tiles * places_ + first))
        valid = false;
    }
  });
  if (!valid) return false;
  send_observed_->run();
  if (weighted) send_weights_->run();
  sent_ = observation.revision;
  return true;
}

DeviceSums::Recording DeviceSums::record(Kind kind, int index, const renderer::KernelLoss& loss,
                                         bool weighted) {
  const bool rows = kind != Kind::cost && kind != Kind::shared_cost;
  Recording recording;
  recording.sequence = device_.make_sequence();
  Sequence& sequence = *recording.sequence;
  runner_.record(sequence, rows ? FunctionKind::rows : FunctionKind::value, out_.array(), places_,
                 {0, domain_.slots()});
  const auto numbers = static_cast<std::size_t>(numbers_);
  const runtime::DeviceArray<float> residuals =
      out_.array().from(static_cast<std::size_t>(outputs_ + planes_) * static_cast<std::size_t>(places_));
  const auto& costs = kind == Kind::remembered_products ? remembered_ : costs_;
  kernels::residuals_arguments& a = recording.arguments;
  a.first_tile = 0, a.channels = 1, a.scale = loss.scale, a.alpha = loss.alpha;
  a.rendered = array(out_.array().part(0, numbers)), a.observed = array(observed_);
  a.weights = array(weighted ? weights_ : ones_);
  a.residual = array(residuals), a.weight = array(robust_), a.costs = array(costs);
  recording.residuals =
      sequence.launch(kernels_.residuals[LossOnDevice::kernel_of(index)], a, Bounds::range(0, numbers_));
  if (index == LossOnDevice::index) loss_model_.record(sequence, kernels_, a.residual, a.weight, a.costs);
  kernels::row_sums_arguments of_lines;
  of_lines.residual = a.residual, of_lines.weight = a.weight, of_lines.costs = a.costs;
  of_lines.rows = array(line_sums_);
  sequence.launch(kernels_.row_sums, of_lines, Bounds::range(0, numbers_ / kernels::tile));
  record_tile_sums(sequence, tile_sums_);
  sequence.copy(fetched_totals_.array(), tile_sums_.array());
  if (kind == Kind::shared_cost) {
    kernels::shared_row_sums_arguments shared;
    shared.before = array(remembered_), shared.now = array(costs_), shared.rows = array(line_sums_);
    sequence.launch(kernels_.shared_row_sums, shared, Bounds::range(0, numbers_ / kernels::tile));
    record_tile_sums(sequence, shared_sums_);
    sequence.copy(fetched_shared_.array(), shared_sums_.array());
  }
  if (kind == Kind::scatter) {
    kernels::square_gradients_arguments squares;
    squares.residual = a.residual, squares.weight = a.weight;
    sequence.launch(kernels_.square_gradients, squares, Bounds::range(0, numbers_));
  }
  if (rows) record_products(sequence);
  sequence.finish();
  return recording;
}

void DeviceSums::record_tile_sums(Sequence& sequence, const runtime::DeviceBuffer<float>& sums) {
  kernels::tile_sums_arguments a;
  a.channels = 1, a.rows = array(line_sums_), a.sums = array(sums);
  sequence.launch(kernels_.tile_sums, a, Bounds::range(0, static_cast<int>(sums.size())));
}

void DeviceSums::record_products(Sequence& sequence) {
  kernels::plane_products_arguments products;
  products.items = static_cast<std::int32_t>(domain_.slots());
  products.stride = static_cast<std::int32_t>(places_), products.share_bits = share_bits_;
  products.blocks = array(block_list_), products.planes = array(out_), products.weights = array(robust_);
  products.sums = array(share_sums_);
  sequence.launch(kernels_.plane_products, products, Bounds::range(0, block_count_ << share_bits_));
  kernels::run_sums_arguments runs;
  runs.numbers = array(share_sums_), runs.sums = array(sums_);
  sequence.launch(kernels_.run_sums, runs, Bounds::range(0, static_cast<int>(sums_.size())));
  sequence.copy(fetched_sums_.array(), sums_.array());
}

bool DeviceSums::evaluate(Kind kind, const Observation& observation, const renderer::KernelLoss& loss) {
  make_buffers();
  if (!send(observation)) return false;
  const int index = loss_model_.take(loss, runner_.device(), numbers_, [this] {
    for (auto known = recordings_.begin(); known != recordings_.end();)
      known =
          std::get<int>(known->first) == LossOnDevice::index ? recordings_.erase(known) : std::next(known);
  });
  const std::tuple<Kind, int, bool> key{kind, index, !observation.weights.empty()};
  auto known = recordings_.find(key);
  if (known == recordings_.end())
    known = recordings_.emplace(key, record(kind, index, loss, std::get<2>(key))).first;
  Recording& recording = known->second;
  if (recording.arguments.scale != loss.scale || recording.arguments.alpha != loss.alpha) {
    recording.arguments.scale = loss.scale, recording.arguments.alpha = loss.alpha;
    recording.sequence->update(recording.residuals, recording.arguments);
  }
  recording.sequence->run();
  recording.sequence->wait();
  return true;
}

Totals DeviceSums::totals() const {
  Totals totals;
  const float* sums = fetched_totals_.host();
  for (std::size_t k = 0; k < fetched_totals_.size();
       k += kernels::residual_sums, sums += kernels::residual_sums)
    totals.add(sums);
  return totals;
}

Totals DeviceSums::products(const Observation& observation, const renderer::KernelLoss& loss, bool scatter,
                            bool remember, double* record) {
  const Kind kind = scatter ? Kind::scatter : (remember ? Kind::remembered_products : Kind::products);
  if (!evaluate(kind, observation, loss)) return {0, 0, 0, false};
  const float* from = fetched_sums_.host();
  const int runs = (1 << share_bits_) / kernels::product_run;
  for (const std::int32_t place : record_places_) {
    if (place >= 0) {
      double total = 0;
      for (int k = 0; k < runs; ++k) total += static_cast<double>(from[k]);
      record[place] += total;
    }
    from += runs;
  }
  return totals();
}

Totals DeviceSums::cost(const Observation& observation, const renderer::KernelLoss& loss,
                        SharedCost* shared) {
  if (!evaluate(shared == nullptr ? Kind::cost : Kind::shared_cost, observation, loss))
    return {0, 0, 0, false};
  if (shared != nullptr) {
    *shared = SharedCost();
    double count = 0, less = 0;
    const float* sums = fetched_shared_.host();
    for (std::size_t k = 0; k < fetched_shared_.size();
         k += kernels::residual_sums, sums += kernels::residual_sums) {
      shared->before += static_cast<double>(sums[0]), count += static_cast<double>(sums[1]),
          less += static_cast<double>(sums[2]);
    }
    shared->count = static_cast<std::size_t>(count);
    shared->now = shared->before - less;
  }
  return totals();
}

}  // namespace diffrt::module
