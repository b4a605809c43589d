#include "renderer/device/device_observation.hpp"

#include <atomic>
#include <cstring>
#include <limits>

#include "diffrt/errors.hpp"
#include "renderer/device/staging.hpp"
#include "renderer/tiles.hpp"

namespace diffrt::renderer::gpu {
namespace {

// One row of an image to contiguous floats. Returns whether they could be weights.
template <class T>
bool copy_row(const ImageView& view, int row, int width, int channels, float* out) {
  float lowest = 0, highest = 0;
  const char* pixel = static_cast<const char*>(view.data) + row * view.row_stride;
  for (int x = 0; x < width; ++x, pixel += view.column_stride) {
    for (int c = 0; c < channels; ++c, ++out) {
      T value;
      std::memcpy(&value, pixel + c * view.channel_stride, sizeof value);
      *out = static_cast<float>(value);
      lowest = *out < lowest ? *out : lowest;
      highest = *out > highest ? *out : highest;
    }
  }
  return lowest >= 0 && highest <= std::numeric_limits<float>::max();
}

// Whether one of the image's numbers is negative or infinite.
bool copy_image(const ImageView& view, const TileGrid& grid, int channels, runtime::ThreadPool& pool,
                float* out) {
  std::atomic<bool> refused{false};
  const std::ptrdiff_t row_size = static_cast<std::ptrdiff_t>(grid.width) * channels;
  pool.parallel_for(grid.height, 32, [&](int begin, int end, int) {
    for (int row = begin; row < end; ++row) {
      float* to = out + row * row_size;
      const bool weights = view.is_double ? copy_row<double>(view, row, grid.width, channels, to)
                                          : copy_row<float>(view, row, grid.width, channels, to);
      if (!weights) refused = true;
    }
  });
  return refused;
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

DeviceObservation::Kind DeviceObservation::kind_of(const Observation& observation) {
  const ImageView& weights = observation.weights;
  const Weights kind = weights.empty()               ? Weights::one
                       : weights.channel_stride == 0 ? Weights::pixels
                                                     : Weights::all;
  return {kind, observation.image.on_device, kind != Weights::one && weights.on_device};
}

bool DeviceObservation::comes_again(const Observation& observation) const {
  return same_ && loaded_ == kind_of(observation);
}

// What is on the device may have changed.
bool DeviceObservation::is_staged(const Observation& observation, const Kind& kind) const {
  if (!(loaded_ == kind) || kind.image_there || kind.weights_there) return false;
  if (!is_copy(observation.image, grid_, channels_, staged_image_.host())) return false;
  return kind.weights == Weights::one ||
         is_copy(observation.weights, grid_, weight_channels(kind.weights), staged_weights_.host());
}

DeviceObservation::Staged DeviceObservation::stage(const Observation& observation) {
  const Kind kind = kind_of(observation);
  if (observation.revision != 0 && observation.revision == revision_ && loaded_ == kind) {
    same_ = true;
    return Staged::same;
  }
  same_ = is_staged(observation, kind);
  if (same_) {
    revision_ = observation.revision;
    return Staged::same;
  }
  // First of all what may be refused: what is there stays as it is then.
  make_room();
  Place image = kind.image_there ? adopt("observed", observation.image, channels_) : own_image();
  Place weights = kind.weights_there ? adopt("weights", observation.weights, weight_channels(kind.weights))
                                     : own_weights(kind.weights);
  wait();  // what is staged has been sent
  forget();
  image_place_ = std::move(image), weights_place_ = std::move(weights);
  if (!kind.image_there) copy_image(observation.image, grid_, channels_, pool_, staged_image_.host());
  if (kind.weights != Weights::one && !kind.weights_there &&
      copy_image(observation.weights, grid_, weight_channels(kind.weights), pool_, staged_weights_.host()))
    return Staged::refused;
  try {
    if (!kind.is_there()) recording(kind);
  } catch (...) {
    release();
    throw;
  }
  loaded_ = kind;
  revision_ = observation.revision;
  return Staged::changed;
}

void DeviceObservation::wait() {
  for (auto& [kind, pending] : recordings_) pending.wait();
}

void DeviceObservation::release() {
  if (is_own(image_place_) && is_own(weights_place_)) return;
  image_place_ = own_image(), weights_place_ = own_weights(Weights::one);
  // Those of calls that failed on their way have not let go yet.
  for (auto& [kind, recording] : recordings_) {
    if (kind.image_there || kind.weights_there) recording.refresh();
  }
}

void DeviceObservation::forget() {
  loaded_.reset();
  revision_ = 0;
  same_ = false;
}

void DeviceObservation::make_room() {
  if (observed_.size() > 0) return;
  const std::size_t size = weight_count(Weights::all),
                    block_size = static_cast<std::size_t>(grid_.tiles() * channels_ * tile_pixels);
  staged_image_ = {*device_, size, runtime::Memory::upload};
  staged_weights_ = {*device_, size, runtime::Memory::upload};
  image_ = {*device_, size}, image_weights_ = {*device_, size};
  weights_ = {*device_, block_size};
  Once once(*device_);
  const float one = 1;
  std::int32_t word;
  std::memcpy(&word, &one, sizeof word);
  unit_ = once.send(&word, 1);
  once.finish();
  observed_ = {*device_, block_size};
}

bool DeviceObservation::is_own(const Place& place) const {
  const runtime::Address address = place.words.array().address;
  return address == image_.array().address || address == image_weights_.array().address ||
         address == unit_.array().address;
}

DeviceObservation::Place DeviceObservation::own_image() const {
  return {image_, 0, grid_.width * channels_, channels_, 1, false};
}

DeviceObservation::Place DeviceObservation::own_weights(Weights kind) const {
  if (kind == Weights::one) return {unit_, 0, 0, 0, 0, false};
  if (kind == Weights::pixels) return {image_weights_, 0, grid_.width, 1, 0, false};
  return {image_weights_, 0, grid_.width * channels_, channels_, 1, false};
}

DeviceObservation::Place DeviceObservation::adopt(const char* name, const ImageView& view,
                                                  int channels) const {
  constexpr std::ptrdiff_t word = 4;
  const std::ptrdiff_t steps[] = {view.row_stride, view.column_stride, view.channel_stride};
  const int lengths[] = {grid_.height, grid_.width, channels};
  std::ptrdiff_t low = 0, high = view.is_double ? 2 * word : word;
  bool aligned = reinterpret_cast<std::uintptr_t>(view.data) % word == 0;
  for (int k = 0; k < 3; ++k) {
    aligned = aligned && steps[k] % word == 0;
    (steps[k] < 0 ? low : high) += steps[k] * (lengths[k] - 1);
  }
  if (!aligned)
    throw ArgumentError(std::string(name) + ": its numbers do not begin at multiples of 4 bytes; copy it");
  if ((high - low) / word > std::numeric_limits<std::int32_t>::max()) {
    throw ArgumentError(std::string(name) + ": its numbers lie up to " +
                        runtime::bytes_text(static_cast<std::uint64_t>(high - low)) +
                        " apart, which is too far for a kernel; make a contiguous copy");
  }
  const auto bytes = static_cast<std::size_t>(high - low);
  Place place;
  try {
    place.words = {
        device_->adopt(reinterpret_cast<runtime::Address>(view.data) + static_cast<runtime::Address>(low),
                       bytes),
        bytes / word};
  } catch (const DeviceLostError&) {
    throw;
  } catch (const DeviceError& error) {
    throw ArgumentError(std::string(name) + ": " + error.what());
  }
  const auto words = [](std::ptrdiff_t step) { return static_cast<std::int32_t>(step / word); };
  place.start = words(-low);
  place.row_stride = words(view.row_stride), place.column_stride = words(view.column_stride);
  place.channel_stride = words(view.channel_stride);
  place.is_double = view.is_double;
  return place;
}

namespace {

template <class Arguments, class Place>
void set_image(Arguments& a, const Place& place) {
  a.start = place.start, a.row_stride = place.row_stride, a.column_stride = place.column_stride;
  a.channel_stride = place.channel_stride, a.is_double = place.is_double ? 1 : 0;
  a.image = runtime::array(place.words);
}

}  // namespace

Recording& DeviceObservation::recording(const Kind& kind) {
  const auto known = recordings_.find(kind);
  if (known != recordings_.end()) return known->second;
  Recording recording(*device_);
  const auto send = [&](const auto& to, const auto& from, std::size_t size) {
    recording.sequence().copy(runtime::DeviceArray<float>{to.array().address, size},
                              from.array().part(0, size));
  };
  if (!kind.image_there) send(image_, staged_image_, weight_count(Weights::all));
  if (kind.weights != Weights::one && !kind.weights_there)
    send(image_weights_, staged_weights_, weight_count(kind.weights));
  record(recording);
  recording.finish();
  return recordings_.emplace(kind, std::move(recording)).first->second;
}

void DeviceObservation::record(Recording& recording) {
  recording.launch(kernels_.load_observation, grid_.tiles() * channels_ * tile_pixels, [this](auto& a) {
    a.tiles_x = grid_.across, a.channels = channels_;
    a.width = grid_.width, a.height = grid_.height;
    set_image(a, image_place_);
    const Place& w = weights_place_;
    a.weight_start = w.start, a.weight_row_stride = w.row_stride, a.weight_column_stride = w.column_stride;
    a.weight_channel_stride = w.channel_stride, a.weight_is_double = w.is_double ? 1 : 0;
    a.image_weights = array(w.words);
    a.observed = array(observed_), a.weights = array(weights_), a.negative = array(negative_);
  });
}

void DeviceObservation::fetch(const ImageView& view, runtime::Stream stream, Span<float> out) {
  const Place place = adopt("image", view, channels_);
  const runtime::DeviceBuffer<float> packed(*device_, out.size());
  const runtime::DeviceBuffer<float> host(*device_, out.size(), runtime::Memory::download);
  Recording recording(*device_);
  recording.launch(kernels_.pack_image, static_cast<int>(out.size()), [&](auto& a) {
    a.channels = channels_, a.width = grid_.width;
    set_image(a, place);
    a.out = array(packed);
  });
  recording.sequence().copy(host.array(), packed.array());
  recording.finish();
  recording.start(stream);
  recording.wait();
  std::memcpy(out.data(), host.host(), out.size() * sizeof(float));
}

}  // namespace diffrt::renderer::gpu
