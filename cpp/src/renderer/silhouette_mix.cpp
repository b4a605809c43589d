// From entries to pixels: values, jumps along the silhouettes, rows.
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "renderer/launch_arguments.hpp"
#include "renderer/silhouettes.hpp"

namespace diffrt::renderer {

using kernels::least_area;

void SilhouetteWork::combine(const TileContext& context, Workspace& work, bool with_rows) {
  std::fill_n(next_entry_.data(), entries_, -1);
  float* rendered = work.all_rendered.data();
  bool backgrounds = true;
  for (const OutputChannels& output : context.outputs)
    backgrounds = backgrounds && !std::isnan(output.background);
  const bool one_channel = context.channels == 1;
  if (backgrounds && (one_channel ? combine_singles(std::integral_constant<int, 1>(), rendered)
                                  : combine_singles(context.channels, rendered))) {
    if (context.pairs) {
      alone_counts_ = crossed_counts_;
    } else if (with_rows) {
      drop_centres(context.channels);
    }
  } else {
    combine_one_by_one(context, rendered);
  }
  combine_others(context, rendered);
}

// Whether several entries are in its pixel, or one surface is on both its sides: sums are to be made.
bool SilhouetteWork::is_shared(int e) const {
  const auto i = static_cast<std::size_t>(e);
  const auto pixel = static_cast<std::size_t>(entry_pixels_[i]);
  return ((shared_[pixel / 64] >> (pixel % 64) & 1) != 0) |
         (sample_ids_[i] == sample_ids_[i + static_cast<std::size_t>(stride_)]);
}

// Where all backgrounds have a value: the visible entries that are alone in their pixels show what the rule
// says, and the others are listed. Returns false if a centre has none nevertheless, whose pixel is left. The
// loop has pointers of its own: what is written might be anything that `this` holds.
template <class Channels>
bool SilhouetteWork::combine_singles(Channels channels, float* rendered) {
  const std::int32_t *pixels = entry_pixels_.data(), *ids = sample_ids_.data();
  const float* values = values_.data();
  const std::uint64_t* mask = shared_.data();
  CrossedPixel* crossed = all_crossed_.data();
  std::array<int, most_in_run> counts{};
  int* other = others_.data();
  const int stride = stride_;
  bool none = false;
  for (int e = 0, count = entries_; e < count; ++e) {
    const auto pixel = static_cast<std::uint32_t>(pixels[e]);
    const std::int32_t id = ids[e];
    const bool visible = id >= 0,
               shared = ((mask[pixel / 64] >> pixel % 64 & 1) != 0) | (id == ids[stride + e]);
    if (visible & shared) {
      *other++ = e;
      continue;
    }
    // No branches: one that is not visible is written over by the next, and changes nothing.
    const std::uint32_t j = pixel / tile_pixels;
    const int number = counts[j];
    crossed[j * crossed_room + static_cast<std::size_t>(number)] = {static_cast<int>(pixel % tile_pixels), e,
                                                                    0};
    counts[j] = number + (visible ? 1 : 0);
    float* shown = rendered + place_of(static_cast<int>(pixel), channels);
    for (int c = 0; c < channels; ++c, shown += tile_pixels) {
      const float before = *shown, value = values[c * 2 * stride + e];
      none |= std::isnan(before);
      *shown = visible & !std::isnan(before) ? value : before;
    }
  }
  other_count_ = static_cast<int>(other - others_.data());
  crossed_counts_ = counts;
  return !none;
}

// The same where a background has no value, or a centre.
void SilhouetteWork::combine_one_by_one(const TileContext& context, float* rendered) {
  crossed_counts_ = {}, other_count_ = 0;
  for (int e = 0; e < entries_; ++e) {
    if (!active(e)) continue;
    const int pixel = entry_pixels_[static_cast<std::size_t>(e)];
    if (is_shared(e)) {
      others_[static_cast<std::size_t>(other_count_++)] = e;
    } else if (combine_channels(context, pixel, e, rendered)) {
      add_crossed(pixel, e);
    }
  }
}

// What the centres of the pixels noted so far see is no part of their rows.
void SilhouetteWork::drop_centres(int channels) {
  for (std::size_t j = 0; j < most_in_run; ++j) {
    std::uint8_t* keeps_centre =
        all_keep_centre_.data() + j * static_cast<std::size_t>(channels * tile_pixels);
    const CrossedPixel* crossed = all_crossed_.data() + j * crossed_room;
    for (int k = 0; k < crossed_counts_[j]; ++k) {
      for (int c = 0; c < channels; ++c) keeps_centre[c * tile_pixels + crossed[k].pixel] = 0;
    }
  }
}

void SilhouetteWork::combine_others(const TileContext& context, float* rendered) {
  touched_.clear();
  for (int k = other_count_ - 1; k >= 0; --k) {
    const int e = others_[static_cast<std::size_t>(k)], pixel = entry_pixels_[static_cast<std::size_t>(e)];
    int& first = first_entry_[static_cast<std::size_t>(pixel)];
    if (first < 0) touched_.push_back(pixel);
    next_entry_[static_cast<std::size_t>(e)] = first;
    first = e;
  }
  for (const int pixel : touched_) {
    int& first = first_entry_[static_cast<std::size_t>(pixel)];
    if (combine_channels(context, pixel, first, rendered)) add_crossed(pixel, first);
    first = -1;
  }
}

bool SilhouetteWork::combine_channels(const TileContext& context, int pixel, int first, float* rendered) {
  bool changed = false;
  for (const OutputChannels& output : context.outputs) {
    for (int c = output.first; c < output.first + output.count; ++c) {
      const auto place = static_cast<std::size_t>(place_of(pixel, context.channels) + c * tile_pixels);
      all_keep_centre_[place] = 1;
      changed = combine_pixel(context, place, first, c, output.background, rendered) || changed;
    }
  }
  return changed;
}

// One channel of a pixel. The rule's derivatives of its entries become those of the pixel.
bool SilhouetteWork::combine_pixel(const TileContext& context, std::size_t shown_at, int first, int c,
                                   float background, float* rendered) {
  const auto place = [&](int e) { return static_cast<std::size_t>(c * 2 * stride_ + e); };
  const auto inside = [&](int e) { return sampled_[place(e)]; };
  const auto outside = [&](int e) { return sampled_[place(e) + static_cast<std::size_t>(stride_)]; };
  const auto silence = [&](int e) { by_area_[place(e)] = by_inside_[place(e)] = by_outside_[place(e)] = 0; };
  float& shown = rendered[shown_at];
  std::uint8_t& keeps = all_keep_centre_[shown_at];

  if (next_entry_[static_cast<std::size_t>(first)] < 0 && !std::isnan(background) && !std::isnan(shown)) {
    shown = values_[place(first)];
    keeps = 0;
    return true;
  }
  // Against a background without value there is nothing to mix.
  const auto applies = [&](int e) {
    return sample_ids_[static_cast<std::size_t>(stride_ + e)] >= 0 || !std::isnan(background);
  };
  int count = 0, only = -1;
  for (int e = first; e >= 0; e = next_entry_[static_cast<std::size_t>(e)]) {
    if (applies(e)) {
      ++count, only = e;
    } else {
      silence(e);
    }
  }
  if (count == 0) return false;
  if (std::isnan(shown)) {
    for (int e = first; e >= 0; e = next_entry_[static_cast<std::size_t>(e)]) silence(e);
    return false;
  }
  if (count == 1) {
    shown = values_[place(only)];
    keeps = 0;
    return true;
  }
  float low = shown, high = shown, total = shown;
  for (int e = first; e >= 0; e = next_entry_[static_cast<std::size_t>(e)]) {
    if (!applies(e)) continue;
    const float centre = crossing(kernels::crossing_centre, e);
    bool centre_inside = centre >= 0;
    // So near to an edge, the ray through the centre may find it on the other side.
    if (std::abs(centre) < kernels::as_near && is_chain(context, e))
      centre_inside = std::abs(shown - inside(e)) <= std::abs(shown - outside(e));
    total += values_[place(e)] - (centre_inside ? inside(e) : outside(e));
    (centre_inside ? by_inside_ : by_outside_)[place(e)] -= 1;
    low = std::min({low, inside(e), outside(e)}), high = std::max({high, inside(e), outside(e)});
  }
  if (std::isnan(total)) {  // a rule has no value
    for (int e = first; e >= 0; e = next_entry_[static_cast<std::size_t>(e)]) silence(e);
    shown = total, keeps = 0;
    return true;
  }
  if (total >= low && total <= high) {
    shown = total;
    return true;
  }
  // Beyond all that is mixed: the bound, and its derivative.
  const float bound = total < low ? low : high;
  bool found = shown == bound;
  keeps = found ? 1 : 0;
  for (int e = first; e >= 0; e = next_entry_[static_cast<std::size_t>(e)]) {
    if (!applies(e)) continue;
    silence(e);
    if (!found && inside(e) == bound) found = true, by_inside_[place(e)] = 1;
    if (!found && outside(e) == bound) found = true, by_outside_[place(e)] = 1;
  }
  shown = bound;
  return true;
}

// The jumps along silhouettes of meshes, whose entries are chains: the same as in
// kernels/pipeline/silhouette_rows.py.
void SilhouetteWork::find_jumps(const TileContext& context) {
  const int channels = context.channels, S = context.planes + kernels::image_slots;
  for (int c = 0; c < channels; ++c) {
    const auto partial = [&](int k, int e) {
      return sampled_partials_[static_cast<std::size_t>((c * S + k) * 2 * stride_ + e)];
    };
    for (int e = first_mesh_; e < entries_; ++e) {
      const auto j = static_cast<std::size_t>(c * 2 * stride_ + e);
      float constant = 0, by_x = 0, by_y = 0;
      if (active(e)) {
        const float area = crossing(kernels::crossing_area, e), rest = 1 - area;
        const float mx = crossing(kernels::crossing_moment, e),
                    my = crossing(kernels::crossing_moment + 1, e);
        const float inside = area > least_area ? by_inside_[j] / area : 0;
        const float outside = rest > least_area ? by_outside_[j] / rest : 0;
        const float in_x = inside * partial(S - 3, e), in_y = inside * partial(S - 2, e);
        const float out_x = outside * partial(S - 3, stride_ + e),
                    out_y = outside * partial(S - 2, stride_ + e);
        by_x = in_x - out_x, by_y = in_y - out_y;
        constant =
            by_area_[j] + by_inside_[j] * partial(S - 1, e) * crossing(kernels::crossing_spread_slope, e);
        if (area > least_area) constant -= (in_x * mx + in_y * my) / area;
        if (rest > least_area) constant -= (out_x * mx + out_y * my) / rest;
      }
      const auto place = static_cast<std::size_t>(3 * c * stride_ + e),
                 step = static_cast<std::size_t>(stride_);
      jumps_[place] = constant, jumps_[place + step] = by_x, jumps_[place + 2 * step] = by_y;
    }
  }
}

}  // namespace diffrt::renderer
