#include "renderer/device/device_evaluator.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "diffrt/errors.hpp"

namespace diffrt::renderer::gpu {
namespace {

const kernels::DeviceTable& table_of(const runtime::Device& device) {
  return device.kind() == runtime::DeviceKind::cuda ? kernels::table_cuda : kernels::table_vulkan;
}

// Kernels count in 32 bits.
void check_size(const TileGrid& grid, int planes) {
  const std::size_t numbers =
      static_cast<std::size_t>(grid.tiles()) * static_cast<std::size_t>(planes) * tile_pixels;
  if (numbers > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    throw DeviceError("camera: an image of " + std::to_string(grid.width) + " x " +
                      std::to_string(grid.height) + " with " + std::to_string(planes) +
                      " numbers per pixel is too large for a GPU here; use a smaller one, fewer outputs, or "
                      "device=\"cpu\"");
  }
}

}  // namespace

DeviceEvaluator::DeviceEvaluator(Scene scene, RendererOptions options,
                                 std::shared_ptr<runtime::Device> device)
    : Evaluator(std::move(scene), std::move(options)),
      device_(std::move(device)),
      kernels_(table_of(*device_)),
      observation_(device_, kernels_, grid_, channels_, *pool_),
      kept_(std::make_shared<Results>(device_)) {
  check_size(grid_, channels_ * std::max(widest_, 1));
  Once once(*device_);
  SmallTriangles small;
  if (std::any_of(groups_.begin(), groups_.end(), [](const Group& g) { return g.mesh != nullptr; })) {
    const auto pixels = static_cast<std::size_t>(grid_.tiles()) * tile_pixels;
    small = {zeros_.add<float>(pixels), zeros_.add<std::int32_t>(pixels)};
  }
  for (const Group& group : groups_) {
    device_groups_.push_back(
        std::make_unique<DeviceGroup>(group, *device_, grid_, small, once, upload_, zeros_, results_));
  }
  if (exact() && !groups_.empty()) {
    crossed_ = std::make_unique<Crossed>(
        CrossedScene{device_, *device_, kernels_, grid_, state_, device_groups_, upload_, zeros_, results_,
                     outputs_, rule_models_, channels_, widest_, camera_slots_},
        once);
    all_tiles_.resize(static_cast<std::size_t>(grid_.tiles()));
    std::iota(all_tiles_.begin(), all_tiles_.end(), 0);
  }
  once.finish();
  const auto tiles = static_cast<std::size_t>(grid_.tiles());
  negative_weight_ = results_.add<std::int32_t>(1);
  tile_sums_ = results_.add<float>(tiles * kernels::residual_sums);
  shared_sums_ = results_.add<float>(tiles * kernels::residual_sums);
  results_.allocate_on_host(*device_);
  observation_.tell_negative(results_.array(negative_weight_), results_.host(negative_weight_));
  if (dense_rows_) mixing_.resize(static_cast<std::size_t>(widest_) * parameters_.size());
  uploaded_mixing_ = upload_.add(mixing_.data(), mixing_.size());
  upload_.allocate(*device_);
  zeros_.allocate(*device_);
  inverse_depth_ = {*device_, tiles * tile_pixels};
  ids_ = {*device_, tiles * tile_pixels};
  rendered_ = {*device_, static_cast<std::size_t>(numbers(channels_))};
}

DeviceEvaluator::~DeviceEvaluator() { kept_->close(); }

void DeviceEvaluator::use_stream(runtime::Stream stream) {
  if (stream == stream_) return;
  if (!reads_addresses()) return Evaluator::use_stream(stream);
  // What is still to come of former calls would not be ordered with what is put on another stream.
  observation_.wait();
  for (const auto& [key, recording] : recordings_) recording->wait();
  stream_ = stream;
}

void DeviceEvaluator::wait_for(runtime::Stream stream) {
  if (!reads_addresses()) return Evaluator::wait_for(stream);
  if (device_->handle(stream) != device_->handle(stream_)) device_->order(stream_, stream);
}

void DeviceEvaluator::send_edges() {
  recordings_.clear();  // which have how many there were
  Once once(*device_);
  crossed_->send_edges(once);
  once.finish();
}

bool DeviceEvaluator::shows_image(Kind kind) {
  return kind == Kind::image || kind == Kind::image_and_rows || kind == Kind::kept_image ||
         kind == Kind::kept_image_and_rows;
}

bool DeviceEvaluator::shows_rows(Kind kind) {
  return kind == Kind::rows || kind == Kind::image_and_rows || kind == Kind::kept_rows ||
         kind == Kind::kept_image_and_rows;
}

bool DeviceEvaluator::is_kept(Kind kind) {
  return kind == Kind::kept_image || kind == Kind::kept_rows || kind == Kind::kept_image_and_rows;
}

void DeviceEvaluator::start(Key key) {
  const Kind kind = std::get<Kind>(key);
  make_targets(kind);
  if (is_kept(kind)) std::get<int>(key) = turn_of(kind);
  started_ = key;
  if (crossed_ != nullptr) crossed_->stage();
  upload_.stage();
  auto recording = recordings_.find(key);
  if (recording == recordings_.end()) recording = recordings_.emplace(key, record(key)).first;
  recording->second->start(stream_);
}

int DeviceEvaluator::turn_of(Kind kind) {
  const std::array<runtime::Address, 2> targets{kept_image_ == nullptr ? 0 : kept_image_->address(),
                                                kept_rows_ == nullptr ? 0 : kept_rows_->planes().address};
  Turns& turns = turns_[kind];
  if (turns.targets[static_cast<std::size_t>(turns.last)] == targets) return turns.last;
  turns.last = 1 - turns.last;
  turns.targets[static_cast<std::size_t>(turns.last)] = targets;
  return turns.last;
}

void DeviceEvaluator::finish() {
  for (;;) {
    recordings_.at(started_)->wait();
    if (!grow_lists()) return;
    start(started_);
  }
}

std::unique_ptr<Recording> DeviceEvaluator::record(const Key& key) {
  const Kind kind = std::get<Kind>(key);
  auto recording = std::make_unique<Recording>(*device_);
  switch (kind) {
    case Kind::cost:
    case Kind::shared_cost:
      record_cost(*recording, key);
      break;
    case Kind::products:
    case Kind::scatter:
      record_products(*recording, key);
      break;
    default:
      record_images(*recording, kind);
  }
  {
    const auto side_by_side = recording->sequence().parallel();
    if (kind == Kind::products || kind == Kind::scatter) {
      if (!groups_.empty())
        group_sums_.fetch(recording->sequence(), group_pieces_.front(), group_pieces_.back());
    }
    if (shows_image(kind) && !is_kept(kind))
      image_results_.fetch(recording->sequence(), image_piece_, image_piece_);
    if (shows_rows(kind) && !is_kept(kind))
      row_results_.fetch(recording->sequence(), planes_piece_, ids_piece_);
    if (crossed_ != nullptr) crossed_->record_lengths(*recording);
  }
  recording->finish();
  return recording;
}

bool DeviceEvaluator::grow_lists() {
  bool grown = false;
  for (const std::unique_ptr<DeviceGroup>& group : device_groups_) {
    if (group->grow(*device_, results_, [this] { recordings_.clear(); })) grown = true;
  }
  if (crossed_ != nullptr && crossed_->grow()) {
    recordings_.clear();
    grown = true;
  }
  return grown;
}

void DeviceEvaluator::make_room(runtime::Device& device, runtime::DeviceBuffer<float>& buffer,
                                std::size_t size) {
  if (buffer.size() < size) buffer = {device, size};
}

}  // namespace diffrt::renderer::gpu
