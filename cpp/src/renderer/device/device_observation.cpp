#include "renderer/device/device_observation.hpp"

#include <atomic>
#include <cstring>

#include "renderer/tiles.hpp"

namespace diffrt::renderer::gpu {
namespace {

// One row of an image to contiguous floats. Returns the lowest of them, or 0.
template <class T>
float copy_row(const ImageView& view, int row, int width, int channels, float* out) {
  float lowest = 0;
  const char* pixel = static_cast<const char*>(view.data) + row * view.row_stride;
  for (int x = 0; x < width; ++x, pixel += view.column_stride) {
    for (int c = 0; c < channels; ++c, ++out) {
      T value;
      std::memcpy(&value, pixel + c * view.channel_stride, sizeof value);
      *out = static_cast<float>(value);
      lowest = *out < lowest ? *out : lowest;
    }
  }
  return lowest;
}

// Whether one of the image's numbers is negative.
bool copy_image(const ImageView& view, const TileGrid& grid, int channels, runtime::ThreadPool& pool,
                float* out) {
  std::atomic<bool> negative{false};
  const std::ptrdiff_t row_size = static_cast<std::ptrdiff_t>(grid.width) * channels;
  pool.parallel_for(grid.height, 32, [&](int begin, int end, int) {
    for (int row = begin; row < end; ++row) {
      float* to = out + row * row_size;
      const float lowest = view.is_double ? copy_row<double>(view, row, grid.width, channels, to)
                                          : copy_row<float>(view, row, grid.width, channels, to);
      if (lowest < 0) negative = true;
    }
  });
  return negative;
}

// Whether copy_image would change nothing, as far as that is told at once: of rows of contiguous floats. It
// takes less time than sending them again.
bool is_copy(const ImageView& view, const TileGrid& grid, int channels, const float* copy) {
  constexpr auto size = static_cast<std::ptrdiff_t>(sizeof(float));
  if (view.is_double || view.column_stride != channels * size ||
      (channels > 1 && view.channel_stride != size))
    return false;
  const std::ptrdiff_t row_size = static_cast<std::ptrdiff_t>(grid.width) * channels;
  for (int row = 0; row < grid.height; ++row) {
    if (std::memcmp(static_cast<const char*>(view.data) + row * view.row_stride, copy + row * row_size,
                    static_cast<std::size_t>(row_size * size)) != 0)
      return false;
  }
  return true;
}

}  // namespace

DeviceObservation::DeviceObservation(std::shared_ptr<runtime::Device> device,
                                     const kernels::DeviceTable& kernels, const TileGrid& grid, int channels,
                                     runtime::ThreadPool& pool)
    : device_(std::move(device)), kernels_(kernels), grid_(grid), channels_(channels), pool_(pool) {}

std::size_t DeviceObservation::weight_count(Weights kind) const {
  const auto pixels = static_cast<std::size_t>(grid_.width) * static_cast<std::size_t>(grid_.height);
  if (kind == Weights::one) return 1;
  return kind == Weights::pixels ? pixels : pixels * static_cast<std::size_t>(channels_);
}

DeviceObservation::Weights DeviceObservation::kind_of(const Observation& observation) {
  if (observation.weights.empty()) return Weights::one;
  return observation.weights.channel_stride == 0 ? Weights::pixels : Weights::all;
}

bool DeviceObservation::comes_again(const Observation& observation) const {
  return same_ && loaded_ == kind_of(observation);
}

bool DeviceObservation::is_staged(const Observation& observation, Weights kind) const {
  if (loaded_ != kind || !is_copy(observation.image, grid_, channels_, staged_image_.host())) return false;
  return kind == Weights::one ||
         is_copy(observation.weights, grid_, kind == Weights::pixels ? 1 : channels_, staged_weights_.host());
}

DeviceObservation::Staged DeviceObservation::stage(const Observation& observation) {
  const Weights kind = kind_of(observation);
  const bool revised = observation.revision == 0 || observation.revision != revision_;
  same_ = !revised || is_staged(observation, kind);
  revision_ = observation.revision;
  if (same_) return Staged::same;
  recording(kind);
  for (auto& [other, pending] : recordings_) pending.wait();  // what is staged has been sent
  loaded_.reset();
  revision_ = 0;
  copy_image(observation.image, grid_, channels_, pool_, staged_image_.host());
  if (kind == Weights::one) {
    staged_weights_.host()[0] = 1;
  } else if (copy_image(observation.weights, grid_, kind == Weights::pixels ? 1 : channels_, pool_,
                        staged_weights_.host())) {
    return Staged::refused;
  }
  loaded_ = kind;
  revision_ = observation.revision;
  return Staged::changed;
}

Recording& DeviceObservation::recording(Weights kind) {
  const auto known = recordings_.find(kind);
  if (known != recordings_.end()) return known->second;
  const std::size_t size = weight_count(Weights::all),
                    block_size = static_cast<std::size_t>(grid_.tiles() * channels_ * tile_pixels);
  if (observed_.size() == 0) {
    staged_image_ = {*device_, size, runtime::Memory::upload};
    staged_weights_ = {*device_, size, runtime::Memory::upload};
    image_ = {*device_, size}, image_weights_ = {*device_, size};
    weights_ = {*device_, block_size}, observed_ = {*device_, block_size};
  }
  Recording recording(*device_);
  const std::size_t weights = weight_count(kind);
  recording.sequence().copy(image_.array(), staged_image_.array());
  recording.sequence().copy(image_weights_.array().part(0, weights),
                            staged_weights_.array().part(0, weights));
  recording.launch(kernels_.load_observation, static_cast<int>(block_size), [this, kind](auto& a) {
    a.tiles_x = grid_.across, a.channels = channels_;
    a.width = grid_.width, a.height = grid_.height;
    a.row_stride = grid_.width * channels_, a.column_stride = channels_, a.channel_stride = 1;
    if (kind == Weights::pixels) a.weight_row_stride = grid_.width, a.weight_column_stride = 1;
    if (kind == Weights::all)
      a.weight_row_stride = a.row_stride, a.weight_column_stride = channels_, a.weight_channel_stride = 1;
    a.image = array(image_), a.image_weights = array(image_weights_);
    a.observed = array(observed_), a.weights = array(weights_);
  });
  recording.finish();
  return recordings_.emplace(kind, std::move(recording)).first->second;
}

}  // namespace diffrt::renderer::gpu
