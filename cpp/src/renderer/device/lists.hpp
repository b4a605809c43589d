// Tile lists on a GPU: which primitives of a group may touch each tile, in the order of the primitives.
//
// How long they are altogether is known when the device has made them. They have room for `capacity` entries;
// what does not fit is left out, and the host is told how much room it takes: it then calls grow() and
// evaluates again.
#pragma once

#include "renderer/bins.hpp"
#include "renderer/device/recording.hpp"
#include "renderer/device/staging.hpp"

namespace diffrt::renderer::gpu {

class Lists {
 public:
  // Of `count` primitives, those of them with `least` pixels in their bounds or more. `threads`: see loop().
  // `loose`: lists may hold primitives that do not touch the tile.
  Lists(runtime::Device& device, const TileGrid& grid, int count, int least, int threads, bool loose,
        Once& once, Zeros& zeros, Download& results);

  // One step of `steps`, each of which needs the one before. Those of other lists may run beside it.
  // bounds: components x0, y0, x1, y1 [px, inclusive], component c of primitive i at c * stride + i.
  static constexpr int steps = 4, least_step = 2;
  void record(int step, Recording& recording, const kernels::DeviceTable& kernels, const Zeros& zeros,
              const Download& results, runtime::DeviceArray<float> bounds, int stride) const;

  // How many entries the last evaluation would have had.
  int needed(const Download& results) const { return fixed_ ? capacity_ : *results.host(needed_); }
  int capacity() const { return capacity_; }
  // Makes room for `needed` entries, and some more. Recordings that use the lists have to be made anew.
  void grow(runtime::Device& device, int needed);

  const runtime::DeviceBuffer<std::int32_t>& offsets() const { return offsets_; }        // tiles + 1
  const runtime::DeviceBuffer<std::int32_t>& candidates() const { return candidates_; }  // of each entry
  const runtime::DeviceBuffer<std::int32_t>& tiles() const { return tiles_; }
  // Bounds of a launch with `threads` threads for each entry.
  const runtime::DeviceBuffer<std::int32_t>& loop() const { return loop_; }

 private:
  const TileGrid grid_;
  const int count_, least_, threads_;
  const bool fixed_;  // so few that each list has all of them
  const bool boxed_;  // so many that chunks get boxes
  const int chunk_, chunks_;
  int capacity_ = 0;
  runtime::DeviceBuffer<std::int32_t> counters_, offsets_, candidates_, tiles_, loop_;
  Piece<std::int32_t> boxes_, totals_;  // 0 to begin with
  Piece<std::int32_t> needed_;
};

}  // namespace diffrt::renderer::gpu
