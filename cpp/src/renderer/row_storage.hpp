// Where Jacobian rows live: planes [H, W], recycled when the Jacobian that held them is gone.
//
// Most tiles of most images see nothing, and their rows are zero. Each storage remembers which of its tiles
// hold anything, so that an empty tile is cleared once and then skipped: writing zeros over zeros would be
// most of the work.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "renderer/tiles.hpp"
#include "runtime/recycling_pool.hpp"

namespace diffrt::renderer {

// Zeros in pages that cost nothing until they are touched. Aligned to a cache line: a row of a tile is one
// line where the image's width is a multiple of it, and not parts of two.
class LazyZeros {
 public:
  explicit LazyZeros(std::size_t count);
  float* get() const { return first_; }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<void, Free> memory_;
  float* first_;
};

// Further entries of the rows of one tile, for pixels that depend on more than one primitive. Several may
// belong to one pixel, in any order. Each is a record: the pixel's index in the image and the primitive, as
// two whole numbers, and channels x planes partials, with slots in the planes of RowStorage.
class RowExtras {
 public:
  static constexpr std::size_t header = 2;
  struct Entry {
    std::int32_t pixel, id;
    const float* partials;
  };

  std::size_t count() const { return count_; }
  Entry at(std::size_t number, std::size_t partials) const {
    const float* record = records_.data() + number * (header + partials);
    std::int32_t whole[header];
    std::memcpy(whole, record, sizeof whole);
    return {whole[0], whole[1], record + header};
  }
  void clear() { count_ = 0; }
  // Where the next records go, with room for `more`, which is never given back; add() tells how many there
  // are.
  float* make_room(std::size_t more, std::size_t partials) {
    const std::size_t size = header + partials, needed = (count_ + more) * size;
    if (records_.size() < needed) records_.resize(2 * needed);
    return records_.data() + count_ * size;
  }
  void add(std::size_t more) { count_ += more; }
  // Returns where the partials go.
  static float* begin_record(float* record, std::int32_t pixel, std::int32_t id) {
    const std::int32_t whole[header] = {pixel, id};
    std::memcpy(record, whole, sizeof whole);
    return record + header;
  }

 private:
  std::vector<float> records_;
  std::size_t count_ = 0;
};

// A pixel's row: the primitive in `ids` (-1: none) with its partials in the planes, and what `extras` adds.
struct RowStorage {
  RowStorage(const TileGrid& grid, int planes_in_all);

  LazyZeros planes;                   // planes_in_all x H x W
  runtime::Buffer<std::int32_t> ids;  // H x W
  std::vector<std::uint8_t> dirty;    // per tile
  std::vector<RowExtras> extras;      // per tile
};

using RowStoragePool = runtime::RecyclingPool<RowStorage>;

}  // namespace diffrt::renderer
