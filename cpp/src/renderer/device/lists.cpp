#include "renderer/device/lists.hpp"

namespace diffrt::renderer::gpu {
namespace {

// Primitives up to which looking at all of them takes less time than making lists.
constexpr int few = 2;
// Primitives from which on most pairs of chunk and tile are left out by the chunk's box.
constexpr int many = 1024;
constexpr int span = kernels::device_span;
int parts_of(int count, int part) { return (count + part - 1) / part; }

}  // namespace

Lists::Lists(runtime::Device& device, const TileGrid& grid, int count, int least, int threads, Once& once,
             Zeros& zeros, Download& results)
    : grid_(grid),
      count_(count),
      least_(least),
      threads_(threads),
      fixed_(count <= few),
      boxed_(count > many),
      chunk_(boxed_ ? 64 : 16),
      chunks_(parts_of(count, chunk_)),
      needed_(results.add<std::int32_t>(1)) {
  const auto tiles = static_cast<std::size_t>(grid.tiles());
  if (fixed_) {
    TileLists all;
    all.all_entries_each(grid, count);
    offsets_ = once.send(all.offsets(), tiles + 1);
    candidates_ = once.send(all.candidates(), static_cast<std::size_t>(all.entries()));
    tiles_ = once.send(all.tile_of_entries());
    capacity_ = all.entries();
    return;
  }
  counters_ = {device, tiles * static_cast<std::size_t>(chunks_)};
  if (boxed_) boxes_ = zeros.add<std::int32_t>(4 * static_cast<std::size_t>(chunks_));
  // As in pipeline/bin.py: of spans of chunks, of tiles, of spans of tiles, of spans of those.
  totals_ = zeros.add<std::int32_t>(tiles * static_cast<std::size_t>(parts_of(chunks_, span) + 1) +
                                    tiles / span + 1 + tiles / (span * span) + 1);
  offsets_ = {device, tiles + 1};
  loop_ = {device, 2};
  // A few tiles for each, as for triangles of a dozen pixels.
  grow(device, 2 * count + grid.tiles());
}

void Lists::grow(runtime::Device& device, int needed) {
  const int capacity = needed + needed / 2;
  candidates_ = {}, tiles_ = {};
  capacity_ = 0;  // until there is memory
  candidates_ = {device, static_cast<std::size_t>(capacity)};
  tiles_ = {device, static_cast<std::size_t>(capacity)};
  capacity_ = capacity;
}

void Lists::record(int step, Recording& recording, const kernels::DeviceTable& kernels, const Zeros& zeros,
                   const Download& results, runtime::DeviceArray<float> bounds, int stride) const {
  if (fixed_) return;
  const int tiles = grid_.tiles();
  const auto boxes = boxed_ ? zeros.array(boxes_) : runtime::DeviceArray<std::int32_t>();
  const auto totals = zeros.array(totals_);
  const auto set_bounds = [this, tiles, bounds, stride, boxes, totals](auto& a) {
    a.tiles = tiles, a.tiles_x = grid_.across;
    a.count = count_, a.stride = stride, a.chunk = chunk_, a.least = least_, a.boxed = boxed_ ? 1 : 0;
    a.bounds = array(bounds), a.boxes = array(boxes);
    a.counters = array(counters_), a.totals = array(totals);
  };
  const runtime::DeviceArray<std::int32_t> needed = results.array(needed_);
  switch (step) {
    case 0:
      if (!boxed_) return;
      return recording.launch(kernels.chunk_boxes, count_, [this, bounds, stride, boxes](auto& a) {
        a.stride = stride, a.chunk = chunk_, a.least = least_;
        a.bounds = array(bounds), a.boxes = array(boxes);
      });
    case 1:
      return recording.launch(kernels.count_candidates, tiles * chunks_, [this, set_bounds](auto& a) {
        set_bounds(a);
        a.chunks = chunks_;
      });
    case 2:
      recording.launch(kernels.place_chunks, tiles * parts_of(chunks_, span), [this, tiles, totals](auto& a) {
        a.tiles = tiles, a.chunks = chunks_;
        a.totals = array(totals), a.counters = array(counters_);
      });
      return recording.launch(kernels.place_tiles, tiles + 1, [this, tiles, totals, needed](auto& a) {
        a.tiles = tiles, a.chunks = chunks_, a.capacity = capacity_, a.threads = threads_;
        a.totals = array(totals), a.offsets = array(offsets_);
        a.needed = array(needed), a.loop = array(loop_);
      });
    default:
      return recording.launch(kernels.fill_candidates, tiles * chunks_, [this, set_bounds](auto& a) {
        set_bounds(a);
        a.capacity = capacity_;
        a.offsets = array(offsets_), a.candidates = array(candidates_), a.entry_tiles = array(tiles_);
      });
  }
}

}  // namespace diffrt::renderer::gpu
