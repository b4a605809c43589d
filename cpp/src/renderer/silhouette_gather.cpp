// From entries to rows: what crossed pixels depend on, primitive by primitive.
#include "renderer/launch_arguments.hpp"
#include "renderer/silhouettes.hpp"

namespace diffrt::renderer {

void SilhouetteWork::gather_rows(const TileContext& context, Workspace& work) {
  if (crossed_count_ == 0) return;
  row_count_ = 0;
  row_size_ = context.channels * context.planes;
  row_values_.clear();
  first_row_.assign(tile_pixels, -1);
  // Rows are referred to by address: room for all that there can be.
  const auto pieces = static_cast<std::size_t>(piece_segments_.empty() ? 0 : count_);
  const std::size_t most = 2 * static_cast<std::size_t>(entries_) + pieces;
  row_values_.reserve(most * static_cast<std::size_t>(row_size_));
  if (rows_.size() < most) rows_.resize(2 * most);
  weigh_partials(context);
  const auto single = [&](int e) {
    const auto i = static_cast<std::size_t>(e);
    return e < first_mesh_ && next_entry_[i] < 0 &&
           sample_ids_[i] != sample_ids_[i + static_cast<std::size_t>(stride_)];
  };
  for (int k = 0; k < crossed_count_; ++k) {
    CrossedPixel& crossed = crossed_[static_cast<std::size_t>(k)];
    if (single(crossed.first_entry)) {
      gather_single(context, crossed, work);
      continue;
    }
    for (int e = crossed.first_entry; e >= 0; e = next_entry_[static_cast<std::size_t>(e)])
      gather_shared(context, e);
  }
  gather_pieces(context);
  for (int k = 0; k < crossed_count_; ++k) {
    CrossedPixel& crossed = crossed_[static_cast<std::size_t>(k)];
    if (!single(crossed.first_entry)) find_own_row(context, crossed, work);
  }
}

void SilhouetteWork::give_id(const TileContext& context, int pixel, std::int32_t id, Workspace& work) {
  work.ids[static_cast<std::size_t>(pixel)] = id;
  for (int c = 0; c < context.channels; ++c)
    keeps_centre_[static_cast<std::size_t>(c * tile_pixels + pixel)] = 0;
}

void SilhouetteWork::find_own_row(const TileContext& context, CrossedPixel& crossed, Workspace& work) {
  const auto p = static_cast<std::size_t>(crossed.pixel);
  crossed.first_row = first_row_[p];
  if (crossed.first_row < 0) return;
  if (work.ids[p] < 0)
    give_id(context, crossed.pixel, rows_[static_cast<std::size_t>(crossed.first_row)].id, work);
  for (int r = crossed.first_row; r >= 0; r = rows_[static_cast<std::size_t>(r)].next) {
    const CrossedRow& row = rows_[static_cast<std::size_t>(r)];
    const Group& group = context.groups[static_cast<std::size_t>(row.group)];
    if (group.owns(work.ids[p]) && same_block(group, row.id, work.ids[p])) crossed.own_row = r;
  }
}

// Partials of what either side of a mesh's silhouettes shows, times the rule's derivatives: of spheres and
// planes, silhouette_rows does it.
void SilhouetteWork::weigh_partials(const TileContext& context) {
  if (first_mesh_ == entries_) return;
  const int planes = context.planes, S = planes + kernels::image_slots;
  for (int c = 0; c < context.channels; ++c) {
    const float *inside = by_inside_.data() + static_cast<std::ptrdiff_t>(c) * 2 * stride_,
                *outside = by_outside_.data() + static_cast<std::ptrdiff_t>(c) * 2 * stride_;
    for (int k = 0; k < planes; ++k) {
      float* partials = sampled_partials_.data() + static_cast<std::ptrdiff_t>(c * S + k) * 2 * stride_;
      for (int e = first_mesh_; e < entries_; ++e) partials[e] = inside[e] == 0 ? 0 : inside[e] * partials[e];
      partials += stride_;
      for (int e = first_mesh_; e < entries_; ++e)
        partials[e] = outside[e] == 0 ? 0 : outside[e] * partials[e];
    }
  }
}

// Of a silhouette that is alone in its pixel, the rows as they lie in the kernels' arrays: two primitives'.
void SilhouetteWork::gather_single(const TileContext& context, CrossedPixel& crossed, Workspace& work) {
  const int e = crossed.first_entry, S = context.planes + kernels::image_slots;
  const auto i = static_cast<std::size_t>(e);
  const std::int32_t behind = sample_ids_[i + static_cast<std::size_t>(stride_)], front = sample_ids_[i];
  const std::int32_t id = work.ids[static_cast<std::size_t>(crossed.pixel)];
  if (behind >= 0) {
    const int g = group_of(context, behind);
    const Group& group = context.groups[static_cast<std::size_t>(g)];
    if (group.depends_on_theta(behind - group.first_id)) {
      crossed.first_row = add_row(-1, g, behind, sampled_partials_.data() + stride_ + e,
                                  static_cast<std::ptrdiff_t>(S) * 2 * stride_, 2 * stride_);
      const bool own = group.owns(id) && same_block(group, behind, id);
      crossed.own_row = own ? crossed.first_row : -1;
    }
  }
  const int g = entry_groups_[i];
  if (context.groups[static_cast<std::size_t>(g)].depends_on_theta(entry_primitives_[i])) {
    crossed.first_row = add_row(crossed.first_row, g, front, silhouette_rows_.data() + e,
                                static_cast<std::ptrdiff_t>(context.planes) * stride_, stride_);
    if (front == id) crossed.own_row = crossed.first_row;
  }
  if (id >= 0 || crossed.first_row < 0) return;
  crossed.own_row = crossed.first_row;
  give_id(context, crossed.pixel, rows_[static_cast<std::size_t>(crossed.first_row)].id, work);
}

// Of several in a pixel, sums by primitive.
void SilhouetteWork::gather_shared(const TileContext& context, int e) {
  const auto i = static_cast<std::size_t>(e);
  const int channels = context.channels, planes = context.planes, cameras = context.camera_slots;
  const auto add = [&](int g, std::int32_t id, const float* from, std::ptrdiff_t channel_stride,
                       std::ptrdiff_t plane_stride) {
    const Group& group = context.groups[static_cast<std::size_t>(g)];
    if (!group.depends_on_theta(id - group.first_id)) return;
    float* row = row_of(context, entry_pixels_[i] % tile_pixels, g, id);
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
      if (e < 0 || !active(e)) continue;
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
  const std::vector<Group>& groups = context.groups;
  while (id < groups[last_group_].first_id) --last_group_;
  while (id >= groups[last_group_].first_id + groups[last_group_].count) ++last_group_;
  return static_cast<int>(last_group_);
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
  int& first = first_row_[static_cast<std::size_t>(pixel)];
  first = add_row(first, g, id, row_values_.data() + place, context.planes, 1);
  return row_values_.data() + place;
}

void SilhouetteWork::patch(const TileContext& context, const Group& group, int planes,
                           Workspace& work) const {
  const int cameras = context.camera_slots;
  for (const CrossedPixel& crossed : pixels()) {
    const int pixel = crossed.pixel;
    if (!group.owns(work.ids[static_cast<std::size_t>(pixel)])) continue;
    const CrossedRow* mine =
        crossed.own_row < 0 ? nullptr : &rows_[static_cast<std::size_t>(crossed.own_row)];
    for (int c = 0; c < context.channels; ++c) {
      float* to = work.rows.data() + static_cast<std::ptrdiff_t>(c) * planes * tile_pixels + pixel;
      const bool keeps = keeps_centre_[static_cast<std::size_t>(c * tile_pixels + pixel)] != 0;
      for (int k = 0; k < planes && !keeps; ++k) to[k * tile_pixels] = 0;
      if (mine == nullptr) continue;
      const float* from = mine->values + c * mine->channel_stride;
      for (int k = 0; k < group.slots; ++k) to[k * tile_pixels] += from[k * mine->plane_stride];
      for (int k = 1; k <= cameras; ++k)
        to[(planes - k) * tile_pixels] += from[(context.planes - k) * mine->plane_stride];
    }
  }
}

}  // namespace diffrt::renderer
