// Most triangles of a fine mesh touch one tile: four at a time, in SSE2, which all x86-64 has.
#include "renderer/parted_bins.hpp"

#include <emmintrin.h>

#include "diffrt_kernels.hpp"

namespace diffrt::renderer {
namespace {

constexpr int together = 4;
constexpr int tile_bits = 4;
static_assert(1 << tile_bits == kernels::tile);
// A primitive's place is the number of its only counter, or
constexpr std::int32_t nowhere = -1, in_several = -2;

// Tiles of the bounds of four primitives.
inline __m128i tiles_of(const float* bounds) {
  return _mm_srai_epi32(_mm_cvttps_epi32(_mm_loadu_ps(bounds)), tile_bits);
}
inline int tile_of(float bound) { return static_cast<int>(bound) >> tile_bits; }

// Calls body(counter) for each tile that primitive i touches.
template <bool Parted, class F>
void over_tiles_of(const PartedBounds& bounds, int i, F&& body) {
  const float* touched = bounds.touched + i;
  const std::ptrdiff_t stride = bounds.stride;
  const int x0 = tile_of(touched[0]), y0 = tile_of(touched[stride]), x1 = tile_of(touched[2 * stride]),
            y1 = tile_of(touched[3 * stride]);
  if constexpr (Parted) {
    const float* centres = bounds.centres + i;
    const int u0 = tile_of(centres[0]), v0 = tile_of(centres[stride]), u1 = tile_of(centres[2 * stride]),
              v1 = tile_of(centres[3 * stride]);
    for (int y = y0; y <= y1; ++y) {
      for (int x = x0; x <= x1; ++x) {
        const bool beside = (x < u0) | (x > u1) | (y < v0) | (y > v1);
        body(2 * (y * bounds.tiles_x + x) + (beside ? 1 : 0));
      }
    }
  } else {
    for (int y = y0; y <= y1; ++y) {
      for (int x = x0; x <= x1; ++x) body(y * bounds.tiles_x + x);
    }
  }
}

template <bool Parted>
void count(const PartedBounds& bounds, int begin, int end, std::int32_t* counters, std::int32_t* places) {
  const std::ptrdiff_t stride = bounds.stride;
  // Row and column in the halves of a number, which are multiplied and added at once.
  const __m128i across = _mm_set1_epi32(bounds.tiles_x << 16 | 1);
  for (int first = begin; first < end; first += together) {
    const float* touched = bounds.touched + first;
    const __m128i x0 = tiles_of(touched), y0 = tiles_of(touched + stride),
                  x1 = tiles_of(touched + 2 * stride), y1 = tiles_of(touched + 3 * stride);
    const __m128i single = _mm_and_si128(_mm_cmpeq_epi32(x0, x1), _mm_cmpeq_epi32(y0, y1)),
                  empty = _mm_cmpgt_epi32(x0, x1);
    __m128i counter = _mm_madd_epi16(_mm_or_si128(_mm_slli_epi32(y0, 16), x0), across);
    if constexpr (Parted) {
      // If its centres are not empty, they are in the same tile.
      const __m128i seen = _mm_cmpeq_epi32(tiles_of(bounds.centres + first), x0);
      counter = _mm_add_epi32(_mm_add_epi32(counter, counter), _mm_add_epi32(_mm_set1_epi32(1), seen));
    }
    const __m128i other = _mm_sub_epi32(_mm_set1_epi32(in_several), empty);
    const __m128i place = _mm_or_si128(_mm_and_si128(single, counter), _mm_andnot_si128(single, other));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(places + first), place);
  }
  static_assert(in_several + 1 == nowhere, "`empty` is -1");
  for (int i = begin; i < end; ++i) {
    if (places[i] >= 0) {
      ++counters[places[i]];
    } else if (places[i] == in_several) {
      over_tiles_of<Parted>(bounds, i, [&](int counter) { ++counters[counter]; });
    }
  }
}

template <bool Parted>
void fill(const PartedBounds& bounds, int begin, int end, const std::int32_t* places, std::int32_t* counters,
          std::int32_t* candidates) {
  for (int i = begin; i < end; ++i) {
    if (places[i] >= 0) {
      candidates[counters[places[i]]++] = i;
    } else if (places[i] == in_several) {
      over_tiles_of<Parted>(bounds, i, [&](int counter) { candidates[counters[counter]++] = i; });
    }
  }
}

}  // namespace

void count_bins(const PartedBounds& bounds, int begin, int end, std::int32_t* counters,
                std::int32_t* places) {
  (bounds.centres != nullptr ? count<true> : count<false>)(bounds, begin, end, counters, places);
}

void fill_bins(const PartedBounds& bounds, int begin, int end, const std::int32_t* places,
               std::int32_t* counters, std::int32_t* candidates) {
  (bounds.centres != nullptr ? fill<true> : fill<false>)(bounds, begin, end, places, counters, candidates);
}

}  // namespace diffrt::renderer
