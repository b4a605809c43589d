// Silhouettes of spheres and planes enclose convex regions, so that where they meet the lines above and below
// a row of pixels tells which of its pixels they cross: four rows at a time, in SSE2, which all x86-64 has.
#include "renderer/silhouette_regions.hpp"

#include <emmintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "renderer/groups.hpp"

namespace diffrt::renderer {
namespace {

constexpr int tile = kernels::tile;
static_assert(tile == 16, "a row of a mask has 16 bits");
// How far [px] a silhouette may bulge beyond its intersections with two lines one pixel apart, by kind.
constexpr float bulge[] = {0.02f, 0.2f, 0.2f};

// For each x, a number with its lowest bits set, as many as whole numbers in (0, x + shift], 16 at most.
inline __m128i bits_up_to(__m128 x, __m128 shift) {
  const __m128 count = _mm_min_ps(_mm_max_ps(_mm_add_ps(x, shift), _mm_setzero_ps()), _mm_set1_ps(tile));
  // 2^n as a float has the exponent n + 127: shifts by different numbers of bits are not in SSE2.
  const __m128i exponent = _mm_add_epi32(_mm_cvttps_epi32(count), _mm_set1_epi32(127));
  const __m128i power = _mm_cvttps_epi32(_mm_castsi128_ps(_mm_slli_epi32(exponent, 23)));
  return _mm_sub_epi32(power, _mm_set1_epi32(1));
}

inline __m128 select(__m128 condition, __m128 a, __m128 b) {
  return _mm_or_ps(_mm_and_ps(condition, a), _mm_andnot_ps(condition, b));
}

// The lower halves of four numbers, one after another: packing saturates numbers with a sign.
inline void put_halves(__m128i numbers, std::uint16_t* to) {
  const __m128i extended = _mm_srai_epi32(_mm_slli_epi32(numbers, 16), 16);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packs_epi32(extended, extended));
}

// Of word w of a mask the bits of the rows up to `last`.
inline std::uint64_t rows_up_to(int last, int w) {
  const int wanted = std::clamp(last + 1 - 4 * w, 0, 4);
  return wanted == 4 ? ~std::uint64_t{0} : (std::uint64_t{1} << 16 * wanted) - 1;
}

}  // namespace

void find_region(const Group& group, int k, int left, int top, int columns, int rows,
                 SilhouetteRegion& region) {
  const auto i = static_cast<std::size_t>(k);
  const SilhouetteLines& lines = group.lines;
  const int from = std::max(top, lines.first_rows[i]) - top,
            to = std::min(top + rows - 1, lines.last_rows[i]) - top;
  const std::ptrdiff_t first_line = lines.offsets[i] - lines.first_rows[i] + top;
  const float *lows = lines.low.data() + first_line, *highs = lines.high.data() + first_line;
  // A silhouette that lies between two lines. Of a plane all lines are met, or none.
  const auto stride = static_cast<std::size_t>(group.stride);
  const bool bounded = group.kind == GroupKind::spheres;
  const __m128 lowest = _mm_set1_ps(bounded ? group.bounds[i] - 1 : 1e6f),
               highest = _mm_set1_ps(bounded ? group.bounds[2 * stride + i] + 1 : -1e6f);
  // Column c covers c +- 1/2. Of columns [0, n) of the tile: first and last are crossed, and between `low`
  // and `high` lies what the silhouette surrounds.
  const float slack = bulge[region.kind], origin = 0.5f - static_cast<float>(left);
  // What the silhouette surrounds is convex: between two lines it is as wide as at the narrower of them.
  if (from == 0 && to == rows - 1 && std::max(lows[0], lows[rows]) + origin < -slack &&
      std::min(highs[0], highs[rows]) + origin >= static_cast<float>(columns) + slack) {
    const std::uint64_t row = (std::uint64_t{1} << columns) - 1;
    for (int w = 0; w < 4; ++w)
      region.full[static_cast<std::size_t>(w)] = row * 0x0001000100010001u & rows_up_to(to, w);
    region.crossed = TileMask{};
    return;
  }
  const __m128 before_first = _mm_set1_ps(origin - slack), to_last = _mm_set1_ps(origin + slack + 1),
               to_low = _mm_set1_ps(origin + slack + 1), before_high = _mm_set1_ps(origin - slack);
  const __m128i in_image = _mm_set1_epi32((1 << columns) - 1);
  std::uint16_t crossed[tile + 4] = {}, full[tile + 4] = {};
  for (int row = from; row <= to; row += 4) {
    const __m128 low_above = _mm_loadu_ps(lows + row), low_below = _mm_loadu_ps(lows + row + 1),
                 high_above = _mm_loadu_ps(highs + row), high_below = _mm_loadu_ps(highs + row + 1);
    __m128 first = _mm_min_ps(low_above, low_below), last = _mm_max_ps(high_above, high_below);
    const __m128 low = _mm_max_ps(low_above, low_below), high = _mm_min_ps(high_above, high_below);
    const __m128 between = _mm_cmpge_ps(first, last);
    first = select(between, lowest, first), last = select(between, highest, last);
    const __m128i inside = _mm_andnot_si128(bits_up_to(low, to_low), bits_up_to(high, before_high));
    const __m128i touched = _mm_andnot_si128(bits_up_to(first, before_first), bits_up_to(last, to_last));
    put_halves(_mm_and_si128(_mm_andnot_si128(inside, touched), in_image), crossed + row);
    put_halves(_mm_and_si128(inside, in_image), full + row);
  }
  for (int w = 0; w < 4; ++w) {
    const auto word = [&](const std::uint16_t* halves) {
      std::uint64_t bits;
      std::memcpy(&bits, halves + 4 * w, sizeof bits);
      return bits & rows_up_to(to, w);
    };
    region.crossed[static_cast<std::size_t>(w)] = word(crossed);
    region.full[static_cast<std::size_t>(w)] = word(full);
  }
}

}  // namespace diffrt::renderer
