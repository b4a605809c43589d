// Tile lists: which primitives of a group may touch each tile. Order inside a tile is that of the primitives.
#pragma once

#include <algorithm>
#include <vector>

#include "diffrt_kernels.hpp"
#include "renderer/parted_bins.hpp"
#include "runtime/buffer.hpp"
#include "runtime/thread_pool.hpp"

namespace diffrt::renderer {

struct TileGrid {
  int width = 0, height = 0;  // image [px]
  int across = 0, down = 0;   // tiles

  TileGrid(int image_width, int image_height)
      : width(image_width),
        height(image_height),
        across((image_width + kernels::tile - 1) / kernels::tile),
        down((image_height + kernels::tile - 1) / kernels::tile) {}
  int tiles() const { return across * down; }
};

// Consecutive tiles of one row that a thread takes together: primitives may touch all of them, or none. The
// more there are, the less often the instructions of all kernels, which are more than the first-level cache
// holds, are fetched again; the fewer, the nearer is what passes between the kernels.
struct TileRun {
  int first = 0, count = 1;
  bool touched = true;
};
constexpr int most_in_run = 16;
// What is found of silhouettes beforehand is found for a quad at a time: the next so many tiles of a run.
constexpr int most_in_quad = 4;
constexpr int most_quads = most_in_run / most_in_quad;

inline int quads_of(const TileRun& run) { return (run.count + most_in_quad - 1) / most_in_quad; }
inline TileRun quad_of(const TileRun& run, int quad) {
  const int before = quad * most_in_quad;
  return {run.first + before, std::min(most_in_quad, run.count - before), run.touched};
}

// With spheres alone and without silhouettes sums are made for a strip at a time: so many tiles side by side,
// from the first of a row on. Each sphere of a strip has one record.
constexpr int tiles_in_strip = 8;
inline int strips_across(const TileGrid& grid) { return (grid.across + tiles_in_strip - 1) / tiles_in_strip; }
inline TileRun strip_of(const TileGrid& grid, int strip) {
  const int across = strips_across(grid), before = strip % across * tiles_in_strip;
  return {strip / across * grid.across + before, std::min(tiles_in_strip, grid.across - before), true};
}

class TileLists {
 public:
  // bounds: components x0, y0, x1, y1 [px, inclusive], component c of primitive i at c * stride + i.
  // `centres`: the same, of pixel centres; if given, primitives that none of a tile's may see come last
  // there.
  void update(runtime::ThreadPool& pool, const TileGrid& grid, const float* bounds, int count, int stride,
              const float* centres = nullptr) {
    // Several chunks so that threads can share the work; the lists do not depend on how many.
    const int chunks = std::min(pool.threads(), std::max(1, count / 2048));
    const int per_chunk = ((count + chunks - 1) / chunks + 3) / 4 * 4;  // count_bins takes four at a time
    const int tiles = grid.tiles(), parts = centres == nullptr ? 1 : 2, counters = parts * tiles;
    counters_.resize(static_cast<std::size_t>(chunks) * static_cast<std::size_t>(counters));
    offsets_.resize(static_cast<std::size_t>(tiles) + 1);
    ends_.resize(parts == 1 ? 0 : static_cast<std::size_t>(tiles));
    std::fill_n(counters_.data(), counters_.size(), 0);

    const auto over_chunks = [&](auto&& body) {
      pool.parallel_for(chunks, 1, [&](int begin, int end, int) {
        for (int chunk = begin; chunk < end; ++chunk)
          body(std::min(chunk * per_chunk, count), std::min((chunk + 1) * per_chunk, count),
               chunk * counters);
      });
    };
    const PartedBounds parted{bounds, centres, stride, grid.across};
    places_.resize(static_cast<std::size_t>(stride));
    over_chunks([&](int begin, int end, int counter) {
      count_bins(parted, begin, end, counters_.data() + counter, places_.data());
    });
    int total = 0;
    for (int tile = 0; tile < tiles; ++tile) {
      offsets_[static_cast<std::size_t>(tile)] = total;
      for (int part = 0; part < parts; ++part) {
        for (int chunk = 0; chunk < chunks; ++chunk) {
          int& counter = counters_[static_cast<std::size_t>(chunk * counters + tile * parts + part)];
          total += std::exchange(counter, total);
        }
        if (parts == 2 && part == 0) ends_[static_cast<std::size_t>(tile)] = total;
      }
    }
    offsets_[static_cast<std::size_t>(tiles)] = total;
    candidates_.resize(static_cast<std::size_t>(total));
    over_chunks([&](int begin, int end, int counter) {
      fill_bins(parted, begin, end, places_.data(), counters_.data() + counter, candidates_.data());
    });
  }

  // One entry per tile, number 0: for a group whose primitives are summed together.
  void one_entry_each(const TileGrid& grid) {
    const auto tiles = static_cast<std::size_t>(grid.tiles());
    offsets_.resize(tiles + 1);
    candidates_.resize(tiles);
    for (std::size_t tile = 0; tile <= tiles; ++tile) offsets_[tile] = static_cast<int>(tile);
    std::fill_n(candidates_.data(), tiles, 0);
  }
  // `count` entries per tile: for primitives that are everywhere.
  void all_entries_each(const TileGrid& grid, int count) {
    const int tiles = grid.tiles();
    offsets_.resize(static_cast<std::size_t>(tiles) + 1);
    candidates_.resize(static_cast<std::size_t>(tiles) * static_cast<std::size_t>(count));
    for (int tile = 0; tile <= tiles; ++tile) offsets_[static_cast<std::size_t>(tile)] = tile * count;
    for (int entry = 0; entry < tiles * count; ++entry)
      candidates_[static_cast<std::size_t>(entry)] = entry % count;
  }

  // The tile of each entry.
  std::vector<int> tile_of_entries() const {
    std::vector<int> result;
    for (int tile = 0; tile + 1 < static_cast<int>(offsets_.size()); ++tile)
      result.insert(result.end(), static_cast<std::size_t>(end(tile) - begin(tile)), tile);
    return result;
  }

  bool empty(int tile) const { return begin(tile) == end(tile); }
  int begin(int tile) const { return offsets_[static_cast<std::size_t>(tile)]; }
  int end(int tile) const { return offsets_[static_cast<std::size_t>(tile) + 1]; }
  int entries() const { return offsets_[offsets_.size() - 1]; }
  int candidate(int entry) const { return candidates_[static_cast<std::size_t>(entry)]; }
  const int* offsets() const { return offsets_.data(); }
  // Per tile, one beyond the last entry that a pixel centre may see.
  const int* centre_ends() const { return ends_.size() == 0 ? offsets_.data() + 1 : ends_.data(); }
  const int* candidates() const { return candidates_.data(); }

 private:
  runtime::Buffer<int> counters_, offsets_, ends_, candidates_, places_;
};

}  // namespace diffrt::renderer
