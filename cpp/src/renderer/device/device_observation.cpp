#include "renderer/device/device_observation.hpp"

#include <atomic>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "renderer/tiles.hpp"

namespace diffrt::renderer::gpu {
namespace {

struct Copied {
  bool negative = false;  // one of the numbers is
  bool changed = false;   // or all are what was there before
};

// One row of an image to contiguous floats. `known`: what is there was looked through when it came.
template <class T>
Copied copy_row(const ImageView& view, int row, int width, int channels, bool known, float* out) {
  const char* pixel = static_cast<const char*>(view.data) + row * view.row_stride;
  if (known && std::is_same_v<T, float> && view.column_stride == channels * static_cast<int>(sizeof(float)) &&
      (channels == 1 || view.channel_stride == static_cast<int>(sizeof(float)))) {
    const std::size_t bytes = static_cast<std::size_t>(width * channels) * sizeof(float);
    if (std::memcmp(pixel, out, bytes) == 0) return {};
  }
  float lowest = 0;
  std::uint32_t different = 0;
  for (int x = 0; x < width; ++x, pixel += view.column_stride) {
    for (int c = 0; c < channels; ++c, ++out) {
      T given;
      std::memcpy(&given, pixel + c * view.channel_stride, sizeof given);
      const auto value = static_cast<float>(given);
      std::uint32_t before, now;
      std::memcpy(&before, out, sizeof before), std::memcpy(&now, &value, sizeof now);
      different |= before ^ now;
      *out = value;
      lowest = value < lowest ? value : lowest;
    }
  }
  return {lowest < 0, different != 0};
}

Copied copy_image(const ImageView& view, const TileGrid& grid, int channels, runtime::ThreadPool& pool,
                  bool known, float* out) {
  std::atomic<bool> negative{false}, changed{false};
  const std::ptrdiff_t row_size = static_cast<std::ptrdiff_t>(grid.width) * channels;
  pool.parallel_for(grid.height, 32, [&](int begin, int end, int) {
    Copied some;
    for (int row = begin; row < end; ++row) {
      float* to = out + row * row_size;
      const Copied one = view.is_double ? copy_row<double>(view, row, grid.width, channels, known, to)
                                        : copy_row<float>(view, row, grid.width, channels, known, to);
      some.negative |= one.negative, some.changed |= one.changed;
    }
    if (some.negative) negative = true;
    if (some.changed) changed = true;
  });
  return {negative, changed};
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

bool DeviceObservation::load(const Observation& observation) {
  if (observation.revision != 0 && observation.revision == revision_) return true;
  revision_ = 0;
  Weights kind = Weights::one;
  if (!observation.weights.empty())
    kind = observation.weights.channel_stride == 0 ? Weights::pixels : Weights::all;
  Recording& sequence = recording(kind);
  for (auto& [other, pending] : recordings_) pending.wait();  // what is staged has been sent
  // What is the same as last time is there already: comparing takes less time than sending.
  const bool known = loaded_ == kind;
  loaded_.reset();
  bool changed = !known;
  changed |= copy_image(observation.image, grid_, channels_, pool_, known, staged_image_.host()).changed;
  if (kind == Weights::one) {
    staged_weights_.host()[0] = 1;
  } else {
    const Copied weights = copy_image(observation.weights, grid_, kind == Weights::pixels ? 1 : channels_,
                                      pool_, known, staged_weights_.host());
    if (weights.negative) return false;
    changed |= weights.changed;
  }
  if (changed) sequence.start();
  loaded_ = kind;
  revision_ = observation.revision;
  return true;
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
