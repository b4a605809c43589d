// What is observed, on a GPU: brought into tile blocks there. The host's is sent as it is; what is there
// already is read where it lies.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <tuple>

#include "diffrt/observation.hpp"
#include "diffrt/span.hpp"
#include "renderer/bins.hpp"
#include "renderer/device/recording.hpp"
#include "runtime/thread_pool.hpp"

namespace diffrt::renderer::gpu {

class DeviceObservation {
 public:
  DeviceObservation(std::shared_ptr<runtime::Device> device, const kernels::DeviceTable& kernels,
                    const TileGrid& grid, int channels, runtime::ThreadPool& pool);

  // What is to be sent, as far as it is not there.
  enum class Staged { same, changed, refused };  // refused: a weight is negative or infinite

  // Whether the last two calls of stage() were with the same, and this one may be: then an evaluation may
  // begin before stage() has looked at it.
  bool comes_again(const Observation& observation) const;
  // Looks at it, and copies what has changed.
  Staged stage(const Observation& observation);
  // Whether all of what was staged lies on the device already: then an evaluation may read it itself.
  bool is_there() const { return loaded_ && loaded_->is_there(); }
  // To be a part of that. The host expects it, or sends the rest, before each run.
  void record(Recording& recording);
  void expect() { *negative_here_ = 0; }
  // Starts to bring it there, for sequences that run on the stream after this.
  void send(runtime::Stream stream) {
    expect();
    recording(*loaded_).start(stream);
  }
  void wait();
  // After an evaluation: lets go of the memory of others, which may be freed from now on. Evaluations that
  // read it themselves are to be refreshed.
  void release();
  // What was observed turned out to be wrong: the next call looks at it again.
  void forget();
  // Where to tell that a weight on the device is negative or infinite: 1 instead of 0. `host`: where that is
  // on the host.
  void tell_negative(runtime::DeviceArray<std::int32_t> place, std::int32_t* host) {
    negative_ = place, negative_here_ = host;
  }

  // An image on the device, as [height, width, channels] on the host.
  void fetch(const ImageView& view, runtime::Stream stream, Span<float> out);

  // Blocks [tiles, channels, pixels of a tile]; a pixel that is not observed has weight 0. After a send().
  const runtime::DeviceBuffer<float>& observed() const { return observed_; }
  const runtime::DeviceBuffer<float>& weights() const { return weights_; }

 private:
  // How many numbers weights have: one for all, one for each pixel, one for each pixel and channel.
  enum class Weights { one, pixels, all };
  struct Kind {
    Weights weights;
    bool image_there, weights_there;  // on the device already

    bool is_there() const { return image_there && (weights_there || weights == Weights::one); }

    bool operator==(const Kind& other) const { return as_tuple() == other.as_tuple(); }
    bool operator<(const Kind& other) const { return as_tuple() < other.as_tuple(); }
    std::tuple<Weights, bool, bool> as_tuple() const { return {weights, image_there, weights_there}; }
  };
  // An image as kernels see it: words of 32 bits, in which starts and strides count.
  struct Place {
    runtime::DeviceBuffer<std::int32_t> words;
    std::int32_t start = 0, row_stride = 0, column_stride = 0, channel_stride = 0;
    bool is_double = false;
  };
  static Kind kind_of(const Observation& observation);
  bool is_staged(const Observation& observation, const Kind& kind) const;
  std::size_t weight_count(Weights kind) const;
  int weight_channels(Weights kind) const { return kind == Weights::pixels ? 1 : channels_; }
  void make_room();
  Place own_image() const;
  Place own_weights(Weights kind) const;
  bool is_own(const Place& place) const;
  // Throws ArgumentError that begins with `name`.
  Place adopt(const char* name, const ImageView& view, int channels) const;
  Recording& recording(const Kind& kind);

  const std::shared_ptr<runtime::Device> device_;
  const kernels::DeviceTable& kernels_;
  const TileGrid grid_;
  const int channels_;
  runtime::ThreadPool& pool_;
  runtime::DeviceBuffer<float> staged_image_, staged_weights_, observed_, weights_;
  runtime::DeviceBuffer<std::int32_t> image_, image_weights_;
  runtime::DeviceBuffer<std::int32_t> unit_;  // the weight of all where none are given: 1
  runtime::DeviceArray<std::int32_t> negative_;
  std::int32_t* negative_here_ = nullptr;
  Place image_place_, weights_place_;  // of the call at hand
  std::map<Kind, Recording> recordings_;
  std::uint64_t revision_ = 0;  // of what is there, or 0
  std::optional<Kind> loaded_;  // what is staged was found good, of this kind
  bool same_ = false;           // as what was staged before
};

}  // namespace diffrt::renderer::gpu
