// Tile lists, perhaps of two parts: what may touch a tile and is seen by a pixel centre there, then what is
// not.
#pragma once

#include <cstddef>
#include <cstdint>

namespace diffrt::renderer {

// Bounds x0, y0, x1, y1 [px, inclusive], component c of primitive i at c * stride + i, readable to a multiple
// of four primitives: of the pixels that it may touch, and of the centres among them, which may be none.
// Without centres the lists have one part.
struct PartedBounds {
  const float *touched, *centres;
  int stride;
  int tiles_x;
};

// Adds to counters[parts * tile + part] how many of the primitives [begin, end) there are. `begin` is a
// multiple of four. What fill_bins is to know of primitive i goes to places[i], as far as there are bounds.
void count_bins(const PartedBounds& bounds, int begin, int end, std::int32_t* counters, std::int32_t* places);
// candidates[counters[parts * tile + part]++] = primitive, in the order of the primitives.
void fill_bins(const PartedBounds& bounds, int begin, int end, const std::int32_t* places,
               std::int32_t* counters, std::int32_t* candidates);

}  // namespace diffrt::renderer
