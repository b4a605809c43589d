// What is observed, on a GPU: sent as it is, and brought into tile blocks there.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "diffrt/observation.hpp"
#include "renderer/bins.hpp"
#include "renderer/device/recording.hpp"
#include "runtime/thread_pool.hpp"

namespace diffrt::renderer::gpu {

class DeviceObservation {
 public:
  DeviceObservation(std::shared_ptr<runtime::Device> device, const kernels::DeviceTable& kernels,
                    const TileGrid& grid, int channels, runtime::ThreadPool& pool);

  // What is to be sent, as far as it is not there.
  enum class Staged { same, changed, refused };  // refused: a weight is negative

  // Whether the last two calls of stage() were with the same, and this one may be: then an evaluation may
  // begin before stage() has looked at it.
  bool comes_again(const Observation& observation) const;
  // Looks at it, and copies what has changed.
  Staged stage(const Observation& observation);
  // Starts to bring it there, for sequences that run after this.
  void send() { recording(*loaded_).start(); }

  // Blocks [tiles, channels, pixels of a tile]; a pixel that is not observed has weight 0. After a send().
  const runtime::DeviceBuffer<float>& observed() const { return observed_; }
  const runtime::DeviceBuffer<float>& weights() const { return weights_; }

 private:
  // How many numbers weights have: one for all, one for each pixel, one for each pixel and channel.
  enum class Weights { one, pixels, all };
  static Weights kind_of(const Observation& observation);
  bool is_staged(const Observation& observation, Weights kind) const;
  std::size_t weight_count(Weights kind) const;
  Recording& recording(Weights kind);

  const std::shared_ptr<runtime::Device> device_;
  const kernels::DeviceTable& kernels_;
  const TileGrid grid_;
  const int channels_;
  runtime::ThreadPool& pool_;
  runtime::DeviceBuffer<float> staged_image_, staged_weights_, image_, image_weights_, observed_, weights_;
  std::map<Weights, Recording> recordings_;
  std::uint64_t revision_ = 0;     // of what is there, or 0
  std::optional<Weights> loaded_;  // what is staged was found good, with such weights
  bool same_ = false;              // as what was staged before
};

}  // namespace diffrt::renderer::gpu
