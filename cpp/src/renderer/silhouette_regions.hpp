// Which pixels of the quads of a run silhouettes of spheres and planes may cross, and which lie within them:
// sets of pixels as bits.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "diffrt/span.hpp"
#include "renderer/bins.hpp"

namespace diffrt::renderer {

struct Group;
struct TileContext;

// A set of the pixels of a quad: pixel p, the number p % 256 of tile p / 256, is bit p % 64 of word
// p / 64.
constexpr std::size_t words_of_tile = kernels::tile * kernels::tile / 64;
constexpr std::size_t words_of_quad = most_in_quad * words_of_tile;
using QuadMask = std::array<std::uint64_t, words_of_quad>;

// What the silhouette of one sphere or plane does to a quad.
struct SilhouetteRegion {
  int group, kind, primitive;
  QuadMask crossed, full;   // it may pass through these pixels; it surrounds those
  bool crosses, surrounds;  // whether there are any
  // Of the plane that the silhouette lies in: 1/z at the centre of each tile, and its change by x and y in
  // z = 1. Of a horizon 0.
  std::array<float, most_in_quad> inverse;
  float along_x, along_y;

  SilhouetteRegion() {}  // nothing is set: there are many, and all is written
};

// The regions of a run of tiles, quad by quad.
class SilhouetteRegions {
 public:
  void find(const TileContext& context, const TileRun& run);
  Span<const SilhouetteRegion> regions(int quad) const {
    const std::size_t first = firsts_[static_cast<std::size_t>(quad)];
    return {regions_.data() + first, firsts_[static_cast<std::size_t>(quad) + 1] - first};
  }
  // The spheres of a group that may touch any of the quad's tiles, in their order.
  Span<const std::int32_t> candidates(int quad, std::size_t group) const {
    const int* const offset = offsets_.data() + static_cast<std::size_t>(quad) * groups_ + group;
    return {candidates_.data() + offset[0], static_cast<std::size_t>(offset[1] - offset[0])};
  }
  void make_room_as(const SilhouetteRegions& other) {
    regions_.reserve(other.regions_.capacity());
    candidates_.reserve(other.candidates_.capacity()), offsets_.reserve(other.offsets_.capacity());
    firsts_.reserve(other.firsts_.capacity());
  }

 private:
  void find_of_group(const TileContext& context, std::size_t g, const TileRun& quad);
  void merge_candidates(const TileLists& tiles, const TileRun& quad);
  void hide(const TileContext& context, std::size_t first);

  std::size_t groups_ = 0;
  std::vector<SilhouetteRegion> regions_;
  std::vector<std::size_t> firsts_;  // of each quad in regions_
  std::vector<std::int32_t> candidates_;
  std::vector<int> offsets_;  // of each quad's groups in candidates_
};

// Of primitive `k` of a group with `kinds` >= 0: from where it meets the lines between rows of pixels, the
// columns where its region begins and ends.
void find_columns(Group& group, int k);

}  // namespace diffrt::renderer
