// From entries to rows: what crossed pixels depend on, primitive by primitive.
#include <emmintrin.h>

#include <algorithm>
#include <type_traits>

#include "renderer/launch_arguments.hpp"
#include "renderer/silhouettes.hpp"

namespace diffrt::renderer {

void SilhouetteWork::gather_rows(const TileContext& context, Workspace& work) {
  if (crossed_count_ == 0) return;
  make_row_room(context);
  find_sources(context);
  weigh_partials(context);
  const int first_shared = gather_singles(context, alone_count_, work);
  if (first_shared < crossed_count_) gather_sums(context, first_shared, work);
}

void SilhouetteWork::make_row_room(const TileContext& context) {
  // Values are referred to by address: room for all that there can be. A row is written before it is known
  // whether it is needed.
  const auto pieces = static_cast<std::size_t>(piece_segments_.empty() ? 0 : count_);
  const std::size_t most = 2 * static_cast<std::size_t>(entries_) + pieces;
  row_values_.reserve(most * static_cast<std::size_t>(context.channels * context.planes));
  if (rows_.size() < most) rows_.resize(2 * most);
  if (other_rows_.size() < most + 1) other_rows_.resize(2 * most + 1);
}

void SilhouetteWork::find_sources(const TileContext& context) {
  static constexpr float zero = 0;
  const std::ptrdiff_t planes = context.planes, sampled_planes = planes + kernels::image_slots;
  sources_[behind] = {sampled_partials_.data() + stride_, sampled_planes * 2 * stride_, 2 * stride_};
  sources_[front] = {silhouette_rows_.data(), planes * stride_, stride_};
  sources_[sums] = {row_values_.data(), planes, 1};
  sources_[zeros] = {&zero, 0, 0};
}

// Of a scene of pairs: rows of an entry side by side.
void SilhouetteWork::pair_rows(const TileContext& context) {
  static_assert(sizeof(PairRow) == 2 * 4 * sizeof(float));
  const std::ptrdiff_t stride = stride_;
  for (int c = 0; c < context.channels; ++c) {
    float* to = pair_rows_[static_cast<std::size_t>(c * stride)].sides[0];
    const float *front = silhouette_rows_.data() + c * pair_slots * stride,
                *behind =
                    sampled_partials_.data() + (2 * c * (pair_slots + kernels::image_slots) + 1) * stride;
    const auto transpose = [&](const float* from, std::ptrdiff_t plane, float* rows) {
      __m128 a = _mm_load_ps(from), b = _mm_load_ps(from + plane), d = _mm_load_ps(from + 2 * plane),
             f = _mm_load_ps(from + 3 * plane);
      _MM_TRANSPOSE4_PS(a, b, d, f);
      _mm_store_ps(rows, a), _mm_store_ps(rows + 8, b), _mm_store_ps(rows + 16, d),
          _mm_store_ps(rows + 24, f);
    };
    for (int e = 0; e < entries_; e += 4, front += 4, behind += 4, to += 32)
      transpose(front, stride, to), transpose(behind, 2 * stride, to + 4);
  }
}

// A pixel of one entry whose centre sees neither of its sides but something else.
void SilhouetteWork::add_third(int channels, const CrossedPixel& crossed, const RowTarget& target) {
  for (int plane = 0; plane < channels * pair_slots; ++plane)
    target.planes[plane * target.plane_stride + target.place_of(crossed.pixel)] = 0;
  for (const Source side : {behind, front}) {
    const std::int32_t id =
        sample_ids_[static_cast<std::size_t>((side == behind ? stride_ : 0) + crossed.first_entry)];
    if (id >= 0)
      other_rows_[static_cast<std::size_t>(other_row_count_++)] = {id, crossed.pixel,
                                                                   crossed.first_entry * source_count + side};
  }
}

// Of silhouettes of spheres and planes that are alone in their pixels, the rows as they lie in the kernels'
// arrays: of two primitives. Which side a centre lies on, and whether anything is behind, is as good as
// random: hence no branches. Of crossed pixels from `first` on, of whatever blocks of S, -1 where theta does
// not move them. Returns the first that has several entries, or a mesh's.
int SilhouetteWork::gather_singles(const TileContext& context, int first, Workspace& work) {
  const PrimitiveBlock* blocks = context.blocks.data() + 1;  // of id -1, too
  const std::int32_t *ids_front = sample_ids_.data(), *ids_behind = ids_front + stride_;
  const int *next_entry = next_entry_.data(), first_mesh = first_mesh_, count = crossed_count_,
            channels = context.channels;
  std::int32_t* ids = work.ids.data();
  std::uint8_t* keeps_centre = keeps_centre_.data();
  CrossedPixel* pixels = crossed_.data();
  CrossedRow* others = other_rows_.data();
  int first_shared = count, other = other_row_count_;
  for (int k = first; k < count; ++k) {
    CrossedPixel& crossed = pixels[k];
    const int e = crossed.first_entry, pixel = crossed.pixel;
    const std::int32_t id_front = ids_front[e], id_behind = ids_behind[e], id = ids[pixel];
    if (e >= first_mesh || next_entry[e] >= 0 || id_front == id_behind) {
      first_shared = std::min(first_shared, k);
      continue;
    }
    const std::int32_t block_front = blocks[id_front].first_id, block_behind = blocks[id_behind].first_id;
    const bool front_moves = block_front >= 0, behind_moves = block_behind >= 0;
    // The centre of a pixel that sees nothing gets the id of a row, if there is one. As masks: all bits or
    // none.
    const std::int32_t id_given = front_moves ? id_front : id_behind, unseen = id >> 31;
    const std::int32_t given = unseen & -static_cast<int>(front_moves | behind_moves);
    const std::int32_t id_now = id ^ ((id ^ id_given) & given), block = blocks[id_now].first_id;
    const bool front_is_own = front_moves & (block == block_front),
               behind_is_own = behind_moves & (block == block_behind);
    ids[pixel] = id_now;
    for (int c = 0; c < channels; ++c) {
      std::uint8_t& keeps = keeps_centre[c * tile_pixels + pixel];
      keeps = unseen < 0 ? 0 : keeps;
    }
    const int place_front = e * source_count + front, place_behind = e * source_count + behind;
    crossed.own_place = front_is_own ? place_front : behind_is_own ? place_behind : zeros;
    others[other] = {id_behind, pixel, place_behind};
    other += behind_moves & !behind_is_own ? 1 : 0;
    others[other] = {id_front, pixel, place_front};
    other += front_moves & !front_is_own ? 1 : 0;
  }
  other_row_count_ = other;
  return first_shared;
}

// Of the pixels that have several entries, or a mesh's.
void SilhouetteWork::gather_sums(const TileContext& context, int first_crossed, Workspace& work) {
  row_count_ = 0, row_values_.clear();
  first_row_.assign(tile_pixels, -1);
  const auto for_each = [&](auto&& body) {
    for (int k = first_crossed; k < crossed_count_; ++k) {
      CrossedPixel& crossed = crossed_[static_cast<std::size_t>(k)];
      if (!has_single_entry(crossed)) body(crossed);
    }
  };
  for_each([&](const CrossedPixel& crossed) {
    for (int e = crossed.first_entry; e >= 0; e = next_entry_[static_cast<std::size_t>(e)])
      gather_shared(context, e);
  });
  gather_pieces(context);
  for_each([&](CrossedPixel& crossed) { part_rows(context, crossed, work); });
}

void SilhouetteWork::give_id(int channels, int pixel, std::int32_t id, Workspace& work) {
  work.ids[static_cast<std::size_t>(pixel)] = id;
  for (int c = 0; c < channels; ++c) keeps_centre_[static_cast<std::size_t>(c * tile_pixels + pixel)] = 0;
}

// The sums of a pixel: its own, and others.
void SilhouetteWork::part_rows(const TileContext& context, CrossedPixel& crossed, Workspace& work) {
  const auto p = static_cast<std::size_t>(crossed.pixel);
  crossed.own_place = zeros;
  const int first = first_row_[p];
  if (first >= 0 && work.ids[p] < 0)
    give_id(context.channels, crossed.pixel, rows_[static_cast<std::size_t>(first)].id, work);
  const std::int32_t block = context.block_of(work.ids[p]).first_id;
  for (int r = first; r >= 0; r = rows_[static_cast<std::size_t>(r)].next) {
    const SharedRow& row = rows_[static_cast<std::size_t>(r)];
    const int place = row.start * source_count + sums;
    if (row.block == block) {
      crossed.own_place = place;
    } else {
      other_rows_[static_cast<std::size_t>(other_row_count_++)] = {row.id, crossed.pixel, place};
    }
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

// Of several in a pixel, sums by primitive.
void SilhouetteWork::gather_shared(const TileContext& context, int e) {
  const auto i = static_cast<std::size_t>(e);
  const int channels = context.channels, planes = context.planes, cameras = context.camera_slots;
  const auto add = [&](std::int32_t id, const float* from, std::ptrdiff_t channel_stride,
                       std::ptrdiff_t plane_stride) {
    const PrimitiveBlock& block = context.block_of(id);
    if (block.first_id < 0) return;
    const Group& group = context.groups[static_cast<std::size_t>(block.group)];
    float* row = row_of(context, entry_pixels_[i] % tile_pixels, id);
    for (int c = 0; c < channels; ++c) {
      const float* values = from + c * channel_stride;
      for (int k = 0; k < group.slots; ++k) row[c * planes + k] += values[k * plane_stride];
      for (int k = planes - cameras; k < planes; ++k) row[c * planes + k] += values[k * plane_stride];
    }
  };
  if (e < first_mesh_) {
    const Group& group = context.groups[static_cast<std::size_t>(entry_groups_[i])];
    add(group.first_id + entry_primitives_[i], silhouette_rows_.data() + e,
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
    if (any) add(id, sampled_partials_.data() + side + e, sampled, 2 * stride_);
  }
}

// By the motion of a mesh's edges.
void SilhouetteWork::gather_pieces(const TileContext& context) {
  const int channels = context.channels, planes = context.planes, cameras = context.camera_slots;
  const int piece_planes = 6 + cameras;
  for (const PieceSegment& s : piece_segments_) {
    const Group& group = context.groups[static_cast<std::size_t>(s.group)];
    if (!group.depends_on_theta(0)) continue;
    const MeshBatch& batch = context.batch_of(group);
    for (int i = s.begin; i < s.end; ++i) {
      const int e = piece_entries_[static_cast<std::size_t>(i)];
      if (e < 0 || !active(e)) continue;
      const int half_edge =
          batch.silhouettes
              .found_half_edges[static_cast<std::size_t>(piece_edges_[static_cast<std::size_t>(i)])];
      float* row =
          row_of(context, piece_pixels_[static_cast<std::size_t>(i)], batch.first_id + half_edge / 3);
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

// The sums of a pixel for the block of a primitive, in row_values_.
float* SilhouetteWork::row_of(const TileContext& context, int pixel, std::int32_t id) {
  const std::int32_t block = context.block_of(id).first_id;
  int& first = first_row_[static_cast<std::size_t>(pixel)];
  for (int r = first; r >= 0; r = rows_[static_cast<std::size_t>(r)].next) {
    const SharedRow& row = rows_[static_cast<std::size_t>(r)];
    if (row.block == block) return row_values_.data() + row.start;
  }
  const std::size_t start = row_values_.size();
  row_values_.resize(start + static_cast<std::size_t>(context.channels * context.planes), 0.0f);
  rows_[static_cast<std::size_t>(row_count_)] = {id, block, static_cast<int>(start), first};
  first = row_count_++;
  return row_values_.data() + start;
}

void SilhouetteWork::patch(const TileContext& context, const Group& group, int planes, const Workspace& work,
                           const RowTarget& target) const {
  const int first_id = group.first_id, end_id = first_id + group.count;
  const std::int32_t* ids = work.ids.data();
  // Planes: of the group's own slots, others that are zero, the camera's.
  const auto patch_all = [&](auto own_slots, auto none, auto cameras) {
    for (int k = alone_count_; k < crossed_count_; ++k) {
      const CrossedPixel& crossed = crossed_[static_cast<std::size_t>(k)];
      const int pixel = crossed.pixel;
      if (ids[pixel] < first_id || ids[pixel] >= end_id) continue;
      const RowValues own = values_at(crossed.own_place);
      for (int c = 0; c < context.channels; ++c) {
        float* to = target.planes + c * planes * target.plane_stride + target.place_of(pixel);
        const float* from = own.values + c * own.channel_stride;
        const bool keeps = keeps_centre_[static_cast<std::size_t>(c * tile_pixels + pixel)] != 0;
        const auto add = [&](float more) {
          *to = (keeps ? *to : 0) + more;
          to += target.plane_stride;
        };
        for (int k = 0; k < own_slots; ++k) add(from[k * own.plane_stride]);
        for (int k = 0; k < none; ++k) add(0);
        for (int k = context.planes - cameras; k < context.planes; ++k) add(from[k * own.plane_stride]);
      }
    }
  };
  const int none = planes - group.slots - context.camera_slots;
  // Of known length where most are.
  if (group.slots == kernels::slots_sphere && none == 0 && context.camera_slots == 0) {
    constexpr auto nothing = std::integral_constant<int, 0>();
    patch_all(std::integral_constant<int, kernels::slots_sphere>(), nothing, nothing);
  } else {
    patch_all(group.slots, none, context.camera_slots);
  }
}

}  // namespace diffrt::renderer
