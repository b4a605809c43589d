#include "renderer/device/lists.hpp"

namespace diffrt::renderer::gpu {
namespace {

constexpr int chunk = kernels::device_chunk;
int chunks_of(int count) { return (count + chunk - 1) / chunk; }

}  // namespace

Lists::Lists(runtime::Device& device, const TileGrid& grid, int count, Download& results)
    : grid_(grid), count_(count), chunks_(chunks_of(count)), needed_(results.add<std::int32_t>(1)) {
  const auto tiles = static_cast<std::size_t>(grid.tiles());
  counters_ = {device, tiles * static_cast<std::size_t>(chunks_)};
  totals_ = {device, tiles};
  sums_ = {device, static_cast<std::size_t>(chunks_of(grid.tiles()))};
  offsets_ = {device, tiles + 1};
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

void Lists::record(int step, Recording& recording, const kernels::DeviceTable& kernels,
                   const Download& results, runtime::DeviceArray<float> bounds, int stride) const {
  const int tiles = grid_.tiles();
  const auto set_bounds = [this, tiles, bounds, stride](auto& a) {
    a.tiles = tiles, a.tiles_x = grid_.across;
    a.count = count_, a.stride = stride;
    a.bounds = array(bounds), a.counters = array(counters_);
  };
  const runtime::DeviceArray<std::int32_t> needed = results.array(needed_);
  switch (step) {
    case 0:
      return recording.launch(kernels.count_candidates, tiles * chunks_, set_bounds);
    case 1:
      return recording.launch(kernels.place_chunks, tiles, [this, tiles](auto& a) {
        a.tiles = tiles, a.chunks = chunks_;
        a.counters = array(counters_), a.totals = array(totals_);
      });
    case 2:
      return recording.launch(kernels.sum_tiles, chunks_of(tiles), [this, tiles](auto& a) {
        a.tiles = tiles;
        a.totals = array(totals_), a.sums = array(sums_);
      });
    case 3:
      return recording.launch(kernels.place_tiles, tiles + 1, [this, tiles, needed](auto& a) {
        a.tiles = tiles, a.capacity = capacity_;
        a.totals = array(totals_), a.sums = array(sums_);
        a.offsets = array(offsets_), a.needed = array(needed);
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
