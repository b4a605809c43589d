// Silhouettes of spheres and planes enclose convex regions, so that where they meet the lines above and below
// a row of pixels tells which of its pixels they cross. In SSE2, which all x86-64 has.
#include "renderer/silhouette_regions.hpp"

#include <emmintrin.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "renderer/launch_arguments.hpp"

namespace diffrt::renderer {
namespace {

static_assert(tile == 16 && most_in_quad == 4, "a row of a quad is a word");
constexpr float far_away = 1e6f;  // [px]

inline __m128 select(__m128 condition, __m128 a, __m128 b) {
  return _mm_or_ps(_mm_and_ps(condition, a), _mm_andnot_ps(condition, b));
}

// How many whole numbers lie in (0, x].
inline __m128 whole_numbers(__m128 x) {
  const __m128 bounded = _mm_min_ps(_mm_max_ps(x, _mm_setzero_ps()), _mm_set1_ps(far_away));
  return _mm_cvtepi32_ps(_mm_cvttps_epi32(bounded));
}

// The n lowest bits, of each n up to 64.
constexpr std::array<std::uint64_t, 65> lowest_bits() {
  std::array<std::uint64_t, 65> result{};
  for (std::size_t n = 1; n < result.size(); ++n) result[n] = result[n - 1] << 1 | 1;
  return result;
}
constexpr std::array<std::uint64_t, 65> bits_up_to = lowest_bits();

// Rows of a quad, a word for each, as a mask.
inline void put_rows(const std::uint64_t* rows, QuadMask& mask) {
  for (std::size_t w = 0; w < words_of_tile; ++w) {
    // Row r has 16 pixels of each tile; a tile's word has 16 of each of four rows.
    const auto two = [&](std::size_t r) {
      return _mm_unpacklo_epi64(_mm_cvtsi64_si128(static_cast<long long>(rows[r])),
                                _mm_cvtsi64_si128(static_cast<long long>(rows[r + 1])));
    };
    const __m128i above = two(4 * w), below = two(4 * w + 2);
    const __m128i even = _mm_unpacklo_epi16(above, below), odd = _mm_unpackhi_epi16(above, below);
    const __m128i tiles[2] = {_mm_unpacklo_epi16(even, odd), _mm_unpackhi_epi16(even, odd)};
    for (std::size_t half = 0; half < 2; ++half) {
      auto* to = &mask[2 * half * words_of_tile + w];
      _mm_storel_epi64(reinterpret_cast<__m128i*>(to), tiles[half]);
      _mm_storeh_pd(reinterpret_cast<double*>(to + words_of_tile), _mm_castsi128_pd(tiles[half]));
    }
  }
}

// Masks of primitive `k` in the part of the image that a quad covers.
void find_masks(const SilhouetteLines& lines, std::size_t k, const Part& part, SilhouetteRegion& region) {
  const int from = std::max(part.top, lines.first_rows[k]) - part.top,
            to = std::min(part.top + part.rows - 1, lines.last_rows[k]) - part.top;
  const float* borders =
      lines.columns.data() + 4 * (lines.offsets[k] - lines.first_rows[k] + part.top + from);
  const __m128 first = _mm_set1_ps(static_cast<float>(part.left)),
               most = _mm_set1_ps(static_cast<float>(part.columns));
  std::uint64_t crossed[tile], full[tile];
  for (int row = 0; row < tile; ++row) {
    if (row == from) row = std::max(to + 1, from);
    if (row < tile) crossed[row] = full[row] = 0;
  }
  std::uint64_t crosses = 0, surrounds = 0;
  for (int row = from; row <= to; ++row, borders += 4) {
    const __m128 x = _mm_sub_ps(_mm_load_ps(borders), first);
    alignas(16) unsigned n[4];
    _mm_store_si128(reinterpret_cast<__m128i*>(n),
                    _mm_cvttps_epi32(_mm_min_ps(_mm_max_ps(x, _mm_setzero_ps()), most)));
    const std::uint64_t inside = bits_up_to[n[2]] & ~bits_up_to[n[1]],
                        touched = bits_up_to[n[3]] & ~bits_up_to[n[0]];
    crossed[row] = touched & ~inside, full[row] = inside;
    crosses |= crossed[row], surrounds |= inside;
  }
  region.crosses = crosses != 0, region.surrounds = surrounds != 0;
  put_rows(crossed, region.crossed), put_rows(full, region.full);
}

// In which tiles of a quad, as masks, one object hides the other one's silhouette where its own surrounds a
// pixel: its surface is nearer than the plane of its silhouette, and that plane is nearer than the other's,
// all over the tile, whose borders are half_x and half_y from its centre in z = 1.
inline __m128i hides(const SilhouetteRegion& front, const SilhouetteRegion& other, float half_x,
                     float half_y) {
  constexpr float margin = 1e-4f;  // of 1/z, for rounding
  const float change =
      half_x * std::abs(front.along_x - other.along_x) + half_y * std::abs(front.along_y - other.along_y);
  const __m128 mine = _mm_loadu_ps(front.inverse.data()), theirs = _mm_loadu_ps(other.inverse.data());
  const __m128 nearer = _mm_sub_ps(_mm_mul_ps(mine, _mm_set1_ps(1 - margin)), theirs);
  return _mm_castps_si128(
      _mm_and_ps(_mm_cmpgt_ps(mine, _mm_setzero_ps()), _mm_cmpgt_ps(nearer, _mm_set1_ps(change))));
}

// Takes pixels out of a set, in some tiles.
template <int Tile>
inline void take_out(const QuadMask& pixels, __m128i tiles, QuadMask& from) {
  const __m128i here = _mm_shuffle_epi32(tiles, Tile * 0b01010101);
  for (std::size_t w = Tile * words_of_tile; w < (Tile + 1) * words_of_tile; w += 2) {
    auto* to = reinterpret_cast<__m128i*>(&from[w]);
    const __m128i out = _mm_and_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(&pixels[w])), here);
    _mm_storeu_si128(to, _mm_andnot_si128(out, _mm_loadu_si128(to)));
  }
}

}  // namespace

void find_columns(Group& group, int k) {
  const auto i = static_cast<std::size_t>(k), stride = static_cast<std::size_t>(group.stride);
  SilhouetteLines& lines = group.lines;
  const bool bounded = group.kind == GroupKind::spheres;
  // A silhouette that lies between two lines. Of a plane all lines are met, or none.
  const __m128 lowest = _mm_set1_ps(bounded ? group.bounds[i] - 1 : far_away),
               highest = _mm_set1_ps(bounded ? group.bounds[2 * stride + i] + 1 : -far_away);
  const float slack = lines.bulges[i];
  // Column c covers c +- 1/2.
  const __m128 from = _mm_set1_ps(0.5f - slack), to = _mm_set1_ps(1.5f + slack);
  const int offset = lines.offsets[i], rows = lines.last_rows[i] - lines.first_rows[i] + 1;
  const float *lows = lines.low.data() + offset, *highs = lines.high.data() + offset;
  float* columns = lines.columns.data() + 4 * offset;
  for (int row = 0; row < rows; row += 4, columns += 16) {
    const __m128 low_above = _mm_loadu_ps(lows + row), low_below = _mm_loadu_ps(lows + row + 1),
                 high_above = _mm_loadu_ps(highs + row), high_below = _mm_loadu_ps(highs + row + 1);
    const __m128 first = _mm_min_ps(low_above, low_below), last = _mm_max_ps(high_above, high_below);
    const __m128 between = _mm_cmpge_ps(first, last);
    __m128 touched = whole_numbers(_mm_add_ps(select(between, lowest, first), from));
    __m128 inside = whole_numbers(_mm_add_ps(_mm_max_ps(low_above, low_below), to));
    __m128 beyond = whole_numbers(_mm_add_ps(_mm_min_ps(high_above, high_below), from));
    __m128 end = whole_numbers(_mm_add_ps(select(between, highest, last), to));
    _MM_TRANSPOSE4_PS(touched, inside, beyond, end);
    _mm_store_ps(columns, touched), _mm_store_ps(columns + 4, inside);
    _mm_store_ps(columns + 8, beyond), _mm_store_ps(columns + 12, end);
  }
}

void SilhouetteRegions::find(const TileContext& context, const TileRun& run) {
  regions_.clear(), firsts_.clear(), candidates_.clear(), offsets_.clear();
  groups_ = context.smooth_groups();
  for (int quad = 0; quad < quads_of(run); ++quad) {
    firsts_.push_back(regions_.size());
    for (std::size_t g = 0; g < groups_; ++g) {
      offsets_.push_back(static_cast<int>(candidates_.size()));
      find_of_group(context, g, quad_of(run, quad));
    }
    hide(context, firsts_.back());
  }
  firsts_.push_back(regions_.size());
  offsets_.push_back(static_cast<int>(candidates_.size()));
}

void SilhouetteRegions::find_of_group(const TileContext& context, std::size_t g, const TileRun& quad) {
  const Group& group = context.groups[g];
  const Part part = part_in_image(context.grid, quad);
  const bool round = group.kind == GroupKind::spheres;
  if (round) merge_candidates(group.tiles, quad);
  const int first = round ? offsets_.back() : 0,
            last = round ? static_cast<int>(candidates_.size()) : group.count;
  // The tiles' centres in z = 1.
  std::array<float, most_in_quad> x;
  const float middle = 0.5f * static_cast<float>(tile) - 0.5f;
  for (std::size_t j = 0; j < most_in_quad; ++j)
    x[j] = (static_cast<float>(part.left) + static_cast<float>(tile * static_cast<int>(j)) + middle -
            static_cast<float>(context.state.cx)) *
           static_cast<float>(1 / context.state.fx);
  const float y = (static_cast<float>(part.top) + middle - static_cast<float>(context.state.cy)) *
                  static_cast<float>(1 / context.state.fy);
  for (int entry = first; entry < last; ++entry) {
    const int k = round ? candidates_[static_cast<std::size_t>(entry)] : entry;
    const int kind = group.kinds[static_cast<std::size_t>(k)];
    if (kind < 0) continue;
    SilhouetteRegion& region = regions_.emplace_back();
    region.group = static_cast<int>(g), region.kind = kind, region.primitive = k;
    find_masks(group.lines, static_cast<std::size_t>(k), part, region);
    if (round) {
      const float* row = group.table.data() + static_cast<std::ptrdiff_t>(k) * kernels::sphere_components;
      region.along_x = row[0] * row[4], region.along_y = row[1] * row[4];
      for (std::size_t j = 0; j < most_in_quad; ++j)
        region.inverse[j] = region.along_x * x[j] + (region.along_y * y + row[2] * row[4]);
    } else {
      region.along_x = region.along_y = 0, region.inverse = {};
    }
    if (!region.crosses && !(round && region.surrounds)) regions_.pop_back();
  }
}

void SilhouetteRegions::merge_candidates(const TileLists& tiles, const TileRun& quad) {
  int next[most_in_quad] = {}, ends[most_in_quad] = {};
  for (int j = 0; j < quad.count; ++j)
    next[j] = tiles.begin(quad.first + j), ends[j] = tiles.end(quad.first + j);
  if (quad.count == 1) {
    for (int entry = next[0]; entry < ends[0]; ++entry) candidates_.push_back(tiles.candidate(entry));
    return;
  }
  constexpr int none = std::numeric_limits<int>::max();
  while (true) {
    int k = none;
    for (int j = 0; j < quad.count; ++j) k = next[j] < ends[j] ? std::min(k, tiles.candidate(next[j])) : k;
    if (k == none) return;
    candidates_.push_back(k);
    for (int j = 0; j < quad.count; ++j)
      next[j] += next[j] < ends[j] && tiles.candidate(next[j]) == k ? 1 : 0;
  }
}

// Takes out pixels where a silhouette is hidden for certain: behind a sphere whose own is not in the pixel.
// In a quad, whose regions are all from `first` on.
void SilhouetteRegions::hide(const TileContext& context, std::size_t first) {
  constexpr int most = 16;  // spheres tried; large ones in one tile are few
  const float half = 0.5f * static_cast<float>(tile),
              half_x = half * static_cast<float>(1 / context.state.fx),
              half_y = half * static_cast<float>(1 / context.state.fy);
  std::array<int, most_in_quad> tried{};
  const Span<SilhouetteRegion> regions{regions_.data() + first, regions_.size() - first};
  for (const SilhouetteRegion& front : regions) {
    if (!front.surrounds) continue;
    alignas(16) std::int32_t tries[most_in_quad];
    for (std::size_t j = 0; j < most_in_quad; ++j) {
      const std::uint64_t* full = front.full.data() + j * words_of_tile;
      const int any = (full[0] | full[1] | full[2] | full[3]) != 0 ? 1 : 0;
      tried[j] += any;
      tries[j] = -(any & (tried[j] <= most ? 1 : 0));
    }
    const __m128i there = _mm_load_si128(reinterpret_cast<const __m128i*>(tries));
    // No branches: which of two spheres is nearer is as good as random. None hides itself.
    for (SilhouetteRegion& region : regions) {
      const __m128i hidden = _mm_and_si128(hides(front, region, half_x, half_y), there);
      take_out<0>(front.full, hidden, region.crossed), take_out<1>(front.full, hidden, region.crossed);
      take_out<2>(front.full, hidden, region.crossed), take_out<3>(front.full, hidden, region.crossed);
    }
  }
}

}  // namespace diffrt::renderer
