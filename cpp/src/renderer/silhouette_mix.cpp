// From entries to pixels: values, jumps along the silhouettes, rows.
#include <algorithm>
#include <cmath>

#include "renderer/launch_arguments.hpp"
#include "renderer/silhouettes.hpp"

namespace diffrt::renderer {

using kernels::least_area;

void SilhouetteWork::combine(const TileContext& context, Workspace& work) {
  next_entry_.resize(static_cast<std::size_t>(entries_));
  touched_.clear();
  for (int e = entries_ - 1; e >= 0; --e) {
    if (active_[static_cast<std::size_t>(e)] == 0) continue;
    const int pixel = entry_pixels_[static_cast<std::size_t>(e)];
    int& first = first_entry_[static_cast<std::size_t>(pixel)];
    if (first < 0) touched_.push_back(pixel);
    next_entry_[static_cast<std::size_t>(e)] = first;
    first = e;
  }
  for (const int pixel : touched_) {
    int& first = first_entry_[static_cast<std::size_t>(pixel)];
    bool changed = false;
    for (const OutputChannels& output : context.outputs) {
      for (int c = output.first; c < output.first + output.count; ++c) {
        keeps_centre_[static_cast<std::size_t>(c * tile_pixels + pixel)] = 1;
        changed = combine_pixel(pixel, first, c, output.background, work) || changed;
      }
    }
    if (changed) crossed_.push_back(pixel);
    first = -1;
  }
}

// One channel of a pixel. The rule's derivatives of its entries become those of the pixel.
bool SilhouetteWork::combine_pixel(int pixel, int first, int c, float background, Workspace& work) {
  const auto place = [&](int e) { return static_cast<std::size_t>(c * 2 * stride_ + e); };
  const auto inside = [&](int e) { return sampled_[place(e)]; };
  const auto outside = [&](int e) { return sampled_[place(e) + static_cast<std::size_t>(stride_)]; };
  const auto silence = [&](int e) { by_area_[place(e)] = by_inside_[place(e)] = by_outside_[place(e)] = 0; };
  float& shown = work.rendered[static_cast<std::size_t>(c * tile_pixels + pixel)];
  std::uint8_t& keeps = keeps_centre_[static_cast<std::size_t>(c * tile_pixels + pixel)];

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
    const bool centre_inside = crossing(kernels::crossing_centre, e) >= 0;
    total += values_[place(e)] - (centre_inside ? inside(e) : outside(e));
    (centre_inside ? by_inside_ : by_outside_)[place(e)] -= 1;
    low = std::min({low, inside(e), outside(e)}), high = std::max({high, inside(e), outside(e)});
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

// The row of an entry is by_area d(area) + by_inside (d f_in + grad f_in . d u_in + ...) + by_outside (...),
// with the centroids u_in = moment / area and u_out = -moment / (1 - area). All that moves with the
// silhouette is a boundary integral, of a jump that is linear in x and y.
void SilhouetteWork::find_jumps(const TileContext& context) {
  const int channels = context.channels, S = context.planes + kernels::image_slots;
  for (int c = 0; c < channels; ++c) {
    const auto partial = [&](int k, int e) {
      return sampled_partials_[static_cast<std::size_t>((c * S + k) * 2 * stride_ + e)];
    };
    for (int e = 0; e < entries_; ++e) {
      const auto j = static_cast<std::size_t>(c * 2 * stride_ + e);
      float constant = 0, by_x = 0, by_y = 0;
      if (active_[static_cast<std::size_t>(e)] != 0) {
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

float* SilhouetteWork::row_of(const TileContext& context, int pixel, int g, std::int32_t id) {
  const Group& group = context.groups[static_cast<std::size_t>(g)];
  int& first = first_row_[static_cast<std::size_t>(pixel)];
  for (int r = first; r >= 0; r = rows_[static_cast<std::size_t>(r)].next) {
    if (rows_[static_cast<std::size_t>(r)].group == g &&
        same_block(group, rows_[static_cast<std::size_t>(r)].id, id))
      return row_values_.data() + r * row_size_;
  }
  const int r = static_cast<int>(rows_.size());
  rows_.push_back({id, g, first});
  first = r;
  row_values_.resize(static_cast<std::size_t>((r + 1) * row_size_), 0.0f);
  return row_values_.data() + r * row_size_;
}

void SilhouetteWork::gather_rows(const TileContext& context, Workspace& work) {
  const int channels = context.channels, planes = context.planes, cameras = context.camera_slots;
  const int S = planes + kernels::image_slots;
  row_size_ = channels * planes;
  rows_.clear(), row_values_.clear();
  first_row_.assign(tile_pixels, -1);
  std::size_t last_group = 0;
  const auto group_of = [&](std::int32_t id) {
    while (id < context.groups[last_group].first_id) --last_group;
    while (id >= context.groups[last_group].first_id + context.groups[last_group].count) ++last_group;
    return last_group;
  };

  // By the motion of silhouettes; of spheres and planes, which have one primitive, also by what they show.
  for (const Segment& s : segments_) {
    const Group& group = context.groups[static_cast<std::size_t>(s.group)];
    if (s.kind < 0) continue;
    for (int e = s.begin; e < s.end; ++e) {
      const auto i = static_cast<std::size_t>(e);
      if (active_[i] == 0 || !group.depends_on_theta(entry_primitives_[i])) continue;
      float* row = row_of(context, entry_pixels_[i], s.group, group.first_id + entry_primitives_[i]);
      for (int c = 0; c < channels; ++c) {
        const float factor = by_inside_[static_cast<std::size_t>(c * 2 * stride_ + e)];
        const auto value = [&](int k) {
          return silhouette_rows_[static_cast<std::size_t>((c * planes + k) * stride_ + e)] +
                 factor * sampled_partials_[static_cast<std::size_t>((c * S + k) * 2 * stride_ + e)];
        };
        for (int k = 0; k < group.slots; ++k) row[c * planes + k] += value(k);
        for (int k = planes - cameras; k < planes; ++k) row[c * planes + k] += value(k);
      }
    }
  }
  for (const PieceSegment& s : piece_segments_) {
    const Group& group = context.groups[static_cast<std::size_t>(s.group)];
    if (!group.depends_on_theta(0)) continue;
    const int piece_planes = 6 + cameras;
    for (int i = s.begin; i < s.end; ++i) {
      const int e = piece_entries_[static_cast<std::size_t>(i)];
      if (e < 0 || active_[static_cast<std::size_t>(e)] == 0) continue;
      const int half_edge =
          group.silhouettes.half_edges[static_cast<std::size_t>(piece_edges_[static_cast<std::size_t>(i)])];
      float* row = row_of(context, piece_pixels_[static_cast<std::size_t>(i)], s.group,
                          group.first_id + half_edge / 3);
      for (int c = 0; c < channels; ++c) {
        const auto value = [&](int k) {
          return piece_rows_[static_cast<std::size_t>((c * piece_planes + k) * piece_stride_ + i)];
        };
        for (int k = 0; k < 6; ++k) {
          // Of free vertices: the ends of the half-edge, opposite its corner.
          const int slot =
              group.kind == GroupKind::free_mesh ? 3 * ((half_edge % 3 + 1 + k / 3) % 3) + k % 3 : k;
          row[c * planes + slot] += value(k);
        }
        for (int k = 0; k < cameras; ++k) row[c * planes + planes - cameras + k] += value(6 + k);
      }
    }
  }
  // By what either side shows.
  for (int e = 0; e < entries_; ++e) {
    if (active_[static_cast<std::size_t>(e)] == 0) continue;
    for (const int side : {0, stride_}) {
      const std::int32_t id = sample_ids_[static_cast<std::size_t>(side + e)];
      if (id < 0 || (side == 0 && e < first_mesh_)) continue;
      const std::size_t g = group_of(id);
      const Group& group = context.groups[g];
      if (!group.depends_on_theta(id - group.first_id)) continue;
      const runtime::Buffer<float>& factors = side == 0 ? by_inside_ : by_outside_;
      float* row = nullptr;
      for (int c = 0; c < channels; ++c) {
        const float factor = factors[static_cast<std::size_t>(c * 2 * stride_ + e)];
        if (factor == 0) continue;
        if (row == nullptr)
          row = row_of(context, entry_pixels_[static_cast<std::size_t>(e)], static_cast<int>(g), id);
        const auto value = [&](int k) {
          return sampled_partials_[static_cast<std::size_t>((c * S + k) * 2 * stride_ + side + e)];
        };
        for (int k = 0; k < group.slots; ++k) row[c * planes + k] += factor * value(k);
        for (int k = planes - cameras; k < planes; ++k) row[c * planes + k] += factor * value(k);
      }
    }
  }
  for (const int pixel : crossed_) {
    const auto p = static_cast<std::size_t>(pixel);
    if (work.ids[p] >= 0 || first_row_[p] < 0) continue;
    work.ids[p] = rows_[static_cast<std::size_t>(first_row_[p])].id;
    for (int c = 0; c < channels; ++c) keeps_centre_[static_cast<std::size_t>(c * tile_pixels + pixel)] = 0;
  }
}

void SilhouetteWork::patch(const TileContext& context, const Group& group, int planes,
                           Workspace& work) const {
  for (const int pixel : crossed_) {
    const std::int32_t id = work.ids[static_cast<std::size_t>(pixel)];
    if (!group.owns(id)) continue;
    for (int c = 0; c < context.channels; ++c) {
      if (keeps_centre_[static_cast<std::size_t>(c * tile_pixels + pixel)] != 0) continue;
      for (int k = 0; k < planes; ++k)
        work.rows[static_cast<std::size_t>((c * planes + k) * tile_pixels + pixel)] = 0;
    }
    for_each_row(pixel, [&](const CrossedRow& row, const float* values) {
      if (&context.groups[static_cast<std::size_t>(row.group)] != &group || !same_block(group, row.id, id))
        return;
      for (int c = 0; c < context.channels; ++c) {
        const auto add = [&](int to, int from) {
          work.rows[static_cast<std::size_t>((c * planes + to) * tile_pixels + pixel)] +=
              values[c * context.planes + from];
        };
        for (int k = 0; k < group.slots; ++k) add(k, k);
        for (int k = 1; k <= context.camera_slots; ++k) add(planes - k, context.planes - k);
      }
    });
  }
}

}  // namespace diffrt::renderer
