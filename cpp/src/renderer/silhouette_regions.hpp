// Which pixels of a run of tiles silhouettes of spheres and planes may cross, and which lie within them: sets
// of pixels as bits.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "diffrt/span.hpp"
#include "renderer/bins.hpp"

namespace diffrt::renderer {

struct Group;
struct TileContext;

// A set of the pixels of a run of tiles: pixel p, the number p % 256 of tile p / 256, is bit p % 64 of word
// p / 64.
constexpr std::size_t words_of_tile = kernels::tile * kernels::tile / 64;
using RunMask = std::array<std::uint64_t, most_in_run * words_of_tile>;

// What the silhouette of one sphere or plane does to a run of tiles.
struct SilhouetteRegion {
  int group, kind, primitive;
  RunMask crossed, full;    // it may pass through these pixels; it surrounds those
  bool crosses, surrounds;  // whether there are any
  // Of the plane that the silhouette lies in: 1/z at the centre of each tile, and its change by x and y in
  // z = 1. Of a horizon 0.
  std::array<float, most_in_run> inverse;
  float along_x, along_y;

  SilhouetteRegion() {}  // nothing is set: there are many, and all is written
};

// The regions of a run of tiles.
class SilhouetteRegions {
 public:
  void find(const TileContext& context, const TileRun& run);
  const std::vector<SilhouetteRegion>& regions() const { return regions_; }
  // The spheres of a group that may touch any of the tiles, in their order.
  Span<const std::int32_t> candidates(std::size_t group) const {
    return {candidates_.data() + offsets_[group],
            static_cast<std::size_t>(offsets_[group + 1] - offsets_[group])};
  }
  void make_room_as(const SilhouetteRegions& other) {
    regions_.reserve(other.regions_.capacity());
    candidates_.reserve(other.candidates_.capacity()), offsets_.reserve(other.offsets_.capacity());
  }

 private:
  void find_of_group(const TileContext& context, std::size_t g, const TileRun& run);
  void merge_candidates(const TileLists& tiles, const TileRun& run);
  void hide(const TileContext& context);

  std::vector<SilhouetteRegion> regions_;
  std::vector<std::int32_t> candidates_;
  std::vector<int> offsets_;
};

// Of primitive `k` of a group with `kinds` >= 0: from where it meets the lines between rows of pixels, the
// columns where its region begins and ends.
void find_columns(Group& group, int k);

}  // namespace diffrt::renderer
