// From entries to rows: what crossed pixels depend on, primitive by primitive.
#include "renderer/launch_arguments.hpp"
#include "renderer/silhouettes.hpp"

namespace diffrt::renderer {

void SilhouetteWork::gather_rows(const TileContext& context, Workspace& work) {
  row_size_ = context.channels * context.planes;
  rows_.clear(), row_values_.clear();
  first_row_.assign(tile_pixels, -1);
  // Rows are referred to by address: room for all that there can be.
  const auto pieces = static_cast<std::size_t>(piece_segments_.empty() ? 0 : count_);
  row_values_.reserve((2 * static_cast<std::size_t>(entries_) + pieces) *
                      static_cast<std::size_t>(row_size_));
  weigh_partials(context);
  for (int e = 0; e < entries_; ++e) {
    const auto i = static_cast<std::size_t>(e);
    if (active_[i] == 0) continue;
    if (alone_[i] != 0 && e < first_mesh_) {
      gather_single(context, e);
    } else {
      gather_shared(context, e);
    }
  }
  gather_pieces(context);
  for (const int pixel : crossed_) {
    const auto p = static_cast<std::size_t>(pixel);
    if (work.ids[p] >= 0 || first_row_[p] < 0) continue;
    work.ids[p] = rows_[static_cast<std::size_t>(first_row_[p])].id;
    for (int c = 0; c < context.channels; ++c)
      keeps_centre_[static_cast<std::size_t>(c * tile_pixels + pixel)] = 0;
  }
}

// Partials of what either side shows, times the rule's derivatives. Those of a sphere or plane in front join
// the motion of its silhouette in silhouette_rows_.
void SilhouetteWork::weigh_partials(const TileContext& context) {
  const int planes = context.planes, cameras = context.camera_slots, S = planes + kernels::image_slots;
  for (int c = 0; c < context.channels; ++c) {
    const float *inside = by_inside_.data() + static_cast<std::ptrdiff_t>(c) * 2 * stride_,
                *outside = by_outside_.data() + static_cast<std::ptrdiff_t>(c) * 2 * stride_;
    for (int k = 0; k < planes; ++k) {
      float* partials = sampled_partials_.data() + static_cast<std::ptrdiff_t>(c * S + k) * 2 * stride_;
      for (int e = 0; e < entries_; ++e) partials[e] = inside[e] == 0 ? 0 : inside[e] * partials[e];
      partials += stride_;
      for (int e = 0; e < entries_; ++e) partials[e] = outside[e] == 0 ? 0 : outside[e] * partials[e];
    }
    for (const Segment& s : segments_) {
      if (s.kind < 0) continue;
      const int slots = context.groups[static_cast<std::size_t>(s.group)].slots;
      for (int k = 0; k < planes; ++k) {
        if (k >= slots && k < planes - cameras) continue;
        const float* partials =
            sampled_partials_.data() + static_cast<std::ptrdiff_t>(c * S + k) * 2 * stride_;
        float* rows = silhouette_rows_.data() + static_cast<std::ptrdiff_t>(c * planes + k) * stride_;
        for (int e = s.begin; e < s.end; ++e) rows[e] += partials[e];
      }
    }
  }
}

// Of a silhouette that is alone in its pixel, the rows as they lie in the kernels' arrays.
void SilhouetteWork::gather_single(const TileContext& context, int e) {
  const auto i = static_cast<std::size_t>(e);
  const int pixel = entry_pixels_[i], S = context.planes + kernels::image_slots;
  const std::int32_t behind = sample_ids_[static_cast<std::size_t>(stride_ + e)];
  if (behind >= 0) {
    const int g = group_of(context, behind);
    const Group& group = context.groups[static_cast<std::size_t>(g)];
    if (group.depends_on_theta(behind - group.first_id))
      add_row(pixel, g, behind, sampled_partials_.data() + stride_ + e,
              static_cast<std::ptrdiff_t>(S) * 2 * stride_, 2 * stride_);
  }
  const Group& group = context.groups[static_cast<std::size_t>(entry_groups_[i])];
  if (group.depends_on_theta(entry_primitives_[i]))
    add_row(pixel, entry_groups_[i], group.first_id + entry_primitives_[i], silhouette_rows_.data() + e,
            static_cast<std::ptrdiff_t>(context.planes) * stride_, stride_);
}

// Of several in a pixel, sums by primitive.
void SilhouetteWork::gather_shared(const TileContext& context, int e) {
  const auto i = static_cast<std::size_t>(e);
  const int channels = context.channels, planes = context.planes, cameras = context.camera_slots;
  const auto add = [&](int g, std::int32_t id, const float* from, std::ptrdiff_t channel_stride,
                       std::ptrdiff_t plane_stride) {
    const Group& group = context.groups[static_cast<std::size_t>(g)];
    if (!group.depends_on_theta(id - group.first_id)) return;
    float* row = row_of(context, entry_pixels_[i], g, id);
    for (int c = 0; c < channels; ++c) {
      const float* values = from + c * channel_stride;
      for (int k = 0; k < group.slots; ++k) row[c * planes + k] += values[k * plane_stride];
      for (int k = planes - cameras; k < planes; ++k) row[c * planes + k] += values[k * plane_stride];
    }
  };
  if (e < first_mesh_) {
    const Group& group = context.groups[static_cast<std::size_t>(entry_groups_[i])];
    add(entry_groups_[i], group.first_id + entry_primitives_[i], silhouette_rows_.data() + e,
        static_cast<std::ptrdiff_t>(planes) * stride_, stride_);
  }
  const std::ptrdiff_t sampled = static_cast<std::ptrdiff_t>(planes + kernels::image_slots) * 2 * stride_;
  for (const int side : {0, stride_}) {
    const std::int32_t id = sample_ids_[static_cast<std::size_t>(side + e)];
    if (id < 0 || (side == 0 && e < first_mesh_)) continue;
    const runtime::Buffer<float>& factors = side == 0 ? by_inside_ : by_outside_;
    bool any = false;
    for (int c = 0; c < channels; ++c)
      any = any || factors[static_cast<std::size_t>(c * 2 * stride_ + e)] != 0;
    if (any) add(group_of(context, id), id, sampled_partials_.data() + side + e, sampled, 2 * stride_);
  }
}

// By the motion of a mesh's edges.
void SilhouetteWork::gather_pieces(const TileContext& context) {
  const int channels = context.channels, planes = context.planes, cameras = context.camera_slots;
  const int piece_planes = 6 + cameras;
  for (const PieceSegment& s : piece_segments_) {
    const Group& group = context.groups[static_cast<std::size_t>(s.group)];
    if (!group.depends_on_theta(0)) continue;
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
}

int SilhouetteWork::group_of(const TileContext& context, std::int32_t id) {
  const auto& groups = context.groups;
  while (id < groups[last_group_].first_id) --last_group_;
  while (id >= groups[last_group_].first_id + groups[last_group_].count) ++last_group_;
  return static_cast<int>(last_group_);
}

void SilhouetteWork::add_row(int pixel, int g, std::int32_t id, float* values, std::ptrdiff_t channel_stride,
                             std::ptrdiff_t plane_stride) {
  int& first = first_row_[static_cast<std::size_t>(pixel)];
  rows_.push_back({id, g, first, values, channel_stride, plane_stride});
  first = static_cast<int>(rows_.size()) - 1;
}

// The sums of a pixel for a primitive, in row_values_.
float* SilhouetteWork::row_of(const TileContext& context, int pixel, int g, std::int32_t id) {
  const Group& group = context.groups[static_cast<std::size_t>(g)];
  for (int r = first_row_[static_cast<std::size_t>(pixel)]; r >= 0;
       r = rows_[static_cast<std::size_t>(r)].next) {
    const CrossedRow& row = rows_[static_cast<std::size_t>(r)];
    if (row.group == g && same_block(group, row.id, id)) return row.values;
  }
  const std::size_t place = row_values_.size();
  row_values_.resize(place + static_cast<std::size_t>(row_size_), 0.0f);
  add_row(pixel, g, id, row_values_.data() + place, context.planes, 1);
  return row_values_.data() + place;
}

void SilhouetteWork::patch(const TileContext& context, const Group& group, int planes,
                           Workspace& work) const {
  const int cameras = context.camera_slots;
  for (const int pixel : crossed_) {
    const std::int32_t id = work.ids[static_cast<std::size_t>(pixel)];
    if (!group.owns(id)) continue;
    const CrossedRow* mine = nullptr;
    for_each_row(pixel, [&](const CrossedRow& row) {
      if (&context.groups[static_cast<std::size_t>(row.group)] == &group && same_block(group, row.id, id))
        mine = &row;
    });
    for (int c = 0; c < context.channels; ++c) {
      float* to = work.rows.data() + static_cast<std::ptrdiff_t>(c) * planes * tile_pixels + pixel;
      if (keeps_centre_[static_cast<std::size_t>(c * tile_pixels + pixel)] == 0) {
        for (int k = 0; k < planes; ++k) to[k * tile_pixels] = 0;
      }
      if (mine == nullptr) continue;
      const float* from = mine->values + c * mine->channel_stride;
      for (int k = 0; k < group.slots; ++k) to[k * tile_pixels] += from[k * mine->plane_stride];
      for (int k = 1; k <= cameras; ++k)
        to[(planes - k) * tile_pixels] += from[(context.planes - k) * mine->plane_stride];
    }
  }
}

}  // namespace diffrt::renderer
