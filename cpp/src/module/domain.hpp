// What a model runs over, as its code sees it: rows padded to a multiple of 16 items, one after another; and
// its tiles and parts, which depend on the model and its domain alone, so that results do not depend on
// threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "diffrt_kernels.hpp"

namespace diffrt::module {

using Index = std::ptrdiff_t;

constexpr Index row_multiple = 16;  // items
// Residuals are compared by so many: a tile is a multiple of it.
constexpr Index block_items = static_cast<Index>(kernels::tile) * kernels::tile;

constexpr Index round_up(Index n, Index multiple) { return (n + multiple - 1) / multiple * multiple; }

struct Range {
  Index begin = 0, end = 0;
  Index size() const { return end - begin; }
};

struct Domain {
  int height = 0, width = 0;
  bool image = true;
  Index padded = 0;  // of a row

  Domain() = default;
  Domain(int h, int w, bool is_image)
      : height(h), width(w), image(is_image), padded(round_up(w, row_multiple)) {}

  Index items() const { return static_cast<Index>(height) * width; }
  Index slots() const { return height * padded; }  // with padding
  // From one plane over the domain to the next: with 64 bytes more, or those of an item would often fall on
  // the same few places of a cache.
  Index plane_stride() const { return slots() + row_multiple; }

  // Calls body(first place in the range, row, column, count) for what is not padding.
  template <class F>
  void over_rows(const Range& range, F&& body) const {
    for (Index at = range.begin; at < range.end;) {
      const Index row = at / padded, column = at - row * padded;
      const Index end = std::min(range.end, (row + 1) * padded);
      const Index count = std::min(end, row * padded + width) - at;
      if (count > 0) body(at - range.begin, row, column, count);
      at = end;
    }
  }
};

// `count` tiles of `items` places each, but the last.
struct Tiles {
  Index items = block_items, slots = 0;

  Index count() const { return (slots + items - 1) / items; }
  Range operator[](Index tile) const { return {tile * items, std::min(slots, (tile + 1) * items)}; }
};

}  // namespace diffrt::module
