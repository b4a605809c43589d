// What pixels that depend on several primitives add to the normal equations.
//
// Such a pixel has entries e_0, ..., e_n: primitives with partials v_i by their slots; its row is sum_i v_i'
// S_i. The first may be the pixel's primary entry, whose own products w v_0 v_0' and w r v_0 the kernels have
// summed already. The others are summed here: w v_i v_j' for all other pairs i <= j, and w r v_j. Sums are
// kept per tile and pair of primitives and added in the order of the tiles, so that results do not depend on
// how many threads there are.
#pragma once

#include <cstdint>
#include <vector>

#include "diffrt_kernels.hpp"
#include "renderer/sparse_sums.hpp"

namespace diffrt::renderer {

class Couplings {
 public:
  // A pixel's partials by the slots of one primitive, in planes: value of channel c and plane k at
  // values[c * channel_stride + k * plane_stride].
  struct Entry {
    // Any face's stands for its rigid mesh; sums are fewest where it is always the mesh's first id.
    std::int32_t id = 0;
    int group = 0;
    const float* values = nullptr;
    std::ptrdiff_t channel_stride = 0, plane_stride = 1;
    int own_slots = 0;                       // planes [0, own_slots)
    int camera_slots = 0, camera_plane = 0;  // planes [camera_plane, camera_plane + camera_slots)
  };

  // One channel of a pixel of two primitives with the fewest slots, without the camera's: the primary entry's
  // partials and the other's. Most pixels of scenes without meshes are so.
  struct TwoEntries {
    static constexpr int slots = kernels::slots_sphere;
    std::uint64_t key;  // of their ids
    int groups[2];
    float weight, residual;
    float partials[2][slots];
  };

  static std::uint64_t key_of(std::int32_t a, std::int32_t b) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(a)) << 32 | static_cast<std::uint32_t>(b);
  }

  // Forgets all sums; their memory is used again.
  void start(int tiles) {
    make_room(tiles);
    for (int t = 0; t < tiles; ++t) start_tile(t);
  }
  // The same tile by tile, on different threads: all that are summed later are to be started.
  void make_room(int tiles) { tiles_.resize(static_cast<std::size_t>(tiles)); }
  void start_tile(int tile_index);
  // Adds a pixel of a tile, whose weights and residuals of channel c are at [c * stride]. Channels with
  // weight 0 are not looked at. Different threads may add to different tiles.
  void add(int tile_index, const Entry* entries, int count, bool first_is_primary, int channels,
           const float* weights, const float* residuals, std::ptrdiff_t stride);
  // The same for many pixels of a tile. None has weight 0, nor is of one primitive twice.
  void add(int tile_index, const TwoEntries* pixels, int count);
  // Adds sums that were made elsewhere, for each pair of a tile once: rows of `planes` numbers, of a's planes
  // by b's, and one more for a = b.
  void add_sums(int tile_index, const Entry& a, const Entry& b, const float* sums, int planes);
  // Sums those of the same pair in the given tiles, in their order, so that each is transformed once.
  void sum(const std::vector<int>& tiles);
  // Begins H, with blocks for all that meets in these sums; and adds them to it and to g (P).
  void begin(const Linearization& linearization, SparseSums& H);
  void add_to(const Linearization& linearization, SparseSums& H, Span<double> g);

 private:
  // The sums of w v_a v_b' of two primitives, id_a <= id_b: rows of `slots_b` numbers, padded to `stride`. If
  // they are one (id_a = id_b) only its symmetric part has a meaning, and sum w r v follows.
  struct Record {
    int group_a, group_b;
    int slots_a, slots_b, stride;
    std::size_t start, size;  // in the tile's sums
  };
  struct Pair {  // of a pixel's entries, and where its products are added
    int a, b;
    int slots_a, stride;
    std::size_t start;
    double factor;
  };
  struct TileSums {
    std::vector<std::uint64_t> keys;  // of the records: id_a, id_b
    std::vector<Record> records;
    std::vector<double> sums;
    // Of the last pixel.
    std::vector<std::int32_t> ids;
    int last_first = 0;
    std::vector<Pair> pairs;
    std::vector<double> values;

    // Whether the ids are the last pixel's; now they are.
    bool same_as_last(const Entry* entries, int count, int first);
    std::size_t find_or_add(const Entry& a, const Entry& b);
    double* sums_of(const TwoEntries& pixel, int a, int b);
    std::size_t add(const Entry& a, const Entry& b);
  };
  static constexpr int most_in_turn = 256;  // pixels that are sorted into runs together
  struct Total {                            // of a pair in all tiles
    std::uint64_t key;
    const Record* record;  // one of its tiles'
    std::size_t start;     // in total_sums_
  };

  // Calls body(total, pieces of a, pieces of b) for each.
  template <class F>
  void for_each_total(const Linearization& linearization, const Nodes& nodes, F&& body) const;
  void add_to_totals(const TileSums& tile);
  Total& total_of(std::uint64_t key, const Record& record);
  void add_runs(TileSums& tile, const TwoEntries* pixels, int count);
  void add_run(TileSums& tile, const TwoEntries* pixels, const int* run, int count);
  std::vector<TileSums> tiles_;
  // Of sum, begin and add_to.
  std::vector<Total> totals_;
  std::vector<int> table_;  // of keys: which total, or -1
  std::vector<double> total_sums_;
  std::vector<std::uint64_t> pairs_;
};

}  // namespace diffrt::renderer
