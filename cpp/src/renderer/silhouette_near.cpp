// Which triangles rays beside silhouettes may meet: silhouettes take up little of a tile, and a packet of
// entries little of a silhouette. Four triangles at a time, in SSE2, which all x86-64 has.
#include <xmmintrin.h>

#include "renderer/silhouettes.hpp"
#include "renderer/tiles.hpp"

namespace diffrt::renderer {
namespace {

constexpr int lanes = kernels::lanes;
constexpr std::size_t together = 4;

inline __m128 swap_halves(__m128 a) { return _mm_shuffle_ps(a, a, _MM_SHUFFLE(1, 0, 3, 2)); }
inline __m128 swap_pairs(__m128 a) { return _mm_shuffle_ps(a, a, _MM_SHUFFLE(2, 3, 0, 1)); }

// The lowest or highest of four numbers, in all lanes.
inline __m128 lowest(__m128 a) {
  a = _mm_min_ps(a, swap_halves(a));
  return _mm_min_ps(a, swap_pairs(a));
}
inline __m128 highest(__m128 a) {
  a = _mm_max_ps(a, swap_halves(a));
  return _mm_max_ps(a, swap_pairs(a));
}

// The bounds [px] of some entries' points, beyond which nothing is seen from them. The outer points lie
// within reach of the inner ones.
struct Box {
  __m128 low_x, low_y, high_x, high_y;  // in all lanes

  // Of the points (x, y) of entries [begin, end), which are whole packets.
  Box(const float* const (&x)[2], const float* const (&y)[2], int begin, int end) {
    low_x = low_y = _mm_set1_ps(1e9f), high_x = high_y = _mm_set1_ps(-1e9f);
    for (int point = 0; point < 2; ++point) {
      for (int e = begin; e < end; e += static_cast<int>(together)) {
        const __m128 u = _mm_loadu_ps(x[point] + e), v = _mm_loadu_ps(y[point] + e);
        // In this order a NaN is passed over.
        low_x = _mm_min_ps(u, low_x), high_x = _mm_max_ps(u, high_x);
        low_y = _mm_min_ps(v, low_y), high_y = _mm_max_ps(v, high_y);
      }
    }
    const __m128 reach = _mm_set1_ps(kernels::triangle_reach);
    low_x = _mm_sub_ps(lowest(low_x), reach), low_y = _mm_sub_ps(lowest(low_y), reach);
    high_x = _mm_add_ps(highest(high_x), reach), high_y = _mm_add_ps(highest(high_y), reach);
  }
};

}  // namespace

void SilhouetteWork::NearTriangles::resize(std::size_t count) {
  ids.resize(count), x0.resize(count), y0.resize(count), x1.resize(count), y1.resize(count);
}

// Of a tile's triangles, those that may be seen from any of the entries.
void SilhouetteWork::find_near_triangles(const MeshBatch& batch, int tile_index) {
  const float *const x[] = {&crossing(kernels::crossing_inner, 0), &crossing(kernels::crossing_inside, 0)},
                     *const y[] = {&crossing(kernels::crossing_inner + 1, 0),
                                   &crossing(kernels::crossing_inside + 1, 0)};
  const Box box(x, y, 0, entries_);
  const float low_x = _mm_cvtss_f32(box.low_x), high_x = _mm_cvtss_f32(box.high_x),
              low_y = _mm_cvtss_f32(box.low_y), high_y = _mm_cvtss_f32(box.high_y);
  NearTriangles& near = near_triangles_;
  const auto most = static_cast<std::size_t>(batch.tiles.end(tile_index) - batch.tiles.begin(tile_index));
  if (near.ids.size() < most + together) near.resize(2 * (most + together));
  const auto stride = static_cast<std::size_t>(batch.stride);
  std::size_t count = 0;
  for (int entry = batch.tiles.begin(tile_index); entry < batch.tiles.end(tile_index); ++entry) {
    const int k = batch.tiles.candidate(entry);
    const float* b = batch.wide_bounds.data() + k;
    const float x0 = b[0], y0 = b[stride], x1 = b[2 * stride], y1 = b[3 * stride];
    near.ids[count] = k;
    near.x0[count] = x0, near.y0[count] = y0, near.x1[count] = x1, near.y1[count] = y1;
    count += (x0 <= high_x) & (x1 >= low_x) & (y0 <= high_y) & (y1 >= low_y) ? 1 : 0;
  }
  near_count_ = static_cast<int>(count);
  for (std::size_t k = count; k < count + together; ++k) near.x0[k] = 2e9f;  // nowhere
}

// And of those, the ones that may be seen from any entry of each packet.
void SilhouetteWork::find_near_entries() {
  const NearTriangles& near = near_triangles_;
  const float *const x[] = {&crossing(kernels::crossing_inner, 0), &crossing(kernels::crossing_inside, 0)},
                     *const y[] = {&crossing(kernels::crossing_inner + 1, 0),
                                   &crossing(kernels::crossing_inside + 1, 0)};
  const int packets = entries_ / lanes;
  near_offsets_.resize(static_cast<std::size_t>(packets) + 1);
  near_offsets_[0] = 0;
  std::size_t count = 0;
  for (int packet = 0; packet < packets; ++packet) {
    const Box box(x, y, packet * lanes, (packet + 1) * lanes);
    const std::size_t needed = count + static_cast<std::size_t>(near_count_) + together;
    if (near_entries_.size() < needed) near_entries_.resize(2 * needed);
    for (std::size_t k = 0; k < static_cast<std::size_t>(near_count_); k += together) {
      const __m128 across = _mm_and_ps(_mm_cmple_ps(_mm_loadu_ps(&near.x0[k]), box.high_x),
                                       _mm_cmpge_ps(_mm_loadu_ps(&near.x1[k]), box.low_x)),
                   down = _mm_and_ps(_mm_cmple_ps(_mm_loadu_ps(&near.y0[k]), box.high_y),
                                     _mm_cmpge_ps(_mm_loadu_ps(&near.y1[k]), box.low_y));
      const int mask = _mm_movemask_ps(_mm_and_ps(across, down));
      if (mask == 0) continue;
      for (std::size_t lane = 0; lane < together; ++lane) {
        near_entries_[count] = near.ids[k + lane];
        count += static_cast<std::size_t>(mask >> lane & 1);
      }
    }
    near_offsets_[static_cast<std::size_t>(packet) + 1] = static_cast<std::int32_t>(count);
  }
}

}  // namespace diffrt::renderer
