// Which pixels of a tile a silhouette may cross, and which lie within it: sets of pixels as bits.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace diffrt::renderer {

struct Group;

// A set of the pixels of a tile: pixel p is bit p % 64 of word p / 64.
using TileMask = std::array<std::uint64_t, 4>;

inline bool any(const TileMask& mask) { return (mask[0] | mask[1] | mask[2] | mask[3]) != 0; }

// What the silhouette of one sphere or plane does to a tile.
struct SilhouetteRegion {
  int group = 0, kind = 0, primitive = 0;
  TileMask crossed, full;  // it may pass through these pixels; it surrounds those
  // 1/z of the plane that the silhouette lies in, at the tile's centre, and its change from there to the
  // tile's right and lower border. Of a horizon: 0.
  float inverse = 0, inverse_x = 0, inverse_y = 0;

  // Whether the object hides the other one's silhouette in all pixels that its own surrounds: its surface is
  // nearer than the plane of its silhouette, and that plane is nearer than the other's, all over the tile.
  bool hides(const SilhouetteRegion& other) const {
    constexpr float margin = 1e-4f;  // of 1/z, for rounding
    return inverse * (1 - margin) - other.inverse >
           std::abs(inverse_x - other.inverse_x) + std::abs(inverse_y - other.inverse_y);
  }
};

// Masks of primitive `k` of a group with `kinds` >= 0, in the tile at (left, top), of which so many columns
// and rows lie in the image.
void find_region(const Group& group, int k, int left, int top, int columns, int rows,
                 SilhouetteRegion& region);

}  // namespace diffrt::renderer
