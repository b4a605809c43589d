// Rows of the crossed pixels that are most where there are only spheres, or only planes: of two primitives.
#pragma once

#include <type_traits>

#include "renderer/silhouettes.hpp"
#include "renderer/tiles.hpp"

namespace diffrt::renderer {

// Which side a centre lies on, and whether anything is behind, is as good as random: hence no branches. Few
// registers are left: hence one number for the place of a pixel, and no loop where there is one channel.
template <class Other>
void SilhouetteWork::patch_alone(const TileContext& context, const Workspace& work, const RowTarget& target,
                                 Other&& other) {
  if (context.channels == 1) {
    patch_alone(std::integral_constant<int, 1>(), work, target, other);
  } else {
    patch_alone(context.channels, work, target, other);
  }
}

template <class Channels, class Other>
void SilhouetteWork::patch_alone(Channels channels, const Workspace& work, const RowTarget& target,
                                 Other& other) {
  const std::ptrdiff_t plane = target.plane_stride, row = target.row_stride, stride = stride_;
  const std::int32_t *ids_front = sample_ids_.data(), *ids = work.ids.data();
  const PairRow* const rows = pair_rows_.data();
  float* const planes = target.planes;
  std::int32_t* const ids_now = target.ids;
  const CrossedPixel *crossed = crossed_.data(), *const last = crossed + alone_count_;
  for (; crossed != last; ++crossed) {
    const int e = crossed->first_entry;
    const auto pixel = static_cast<unsigned>(crossed->pixel);
    const std::int32_t id_front = ids_front[e], id_behind = ids_front[e + stride], seen = ids[pixel];
    const std::int32_t id = seen ^ ((seen ^ id_front) & seen >> 31);  // a centre that sees nothing gets one
    const int own = id == id_front ? 0 : 1;
    const std::int32_t id_other = own == 0 ? id_behind : id_front;
    const std::ptrdiff_t place = static_cast<std::ptrdiff_t>(pixel / tile) * row + pixel % tile;
    ids_now[place] = id;
    if ((id != id_front) & (id != id_behind)) {
      add_third(channels, *crossed, target);
      continue;
    }
    for (int c = 0; c < channels; ++c) {
      const PairRow& pair = rows[c * stride + e];
      float* to = planes + c * pair_slots * plane + place;
      for (int s = 0; s < pair_slots; ++s, to += plane) *to = pair.sides[own][s];
      other(place, c, pair.sides[own], id_other, pair.sides[1 - own]);
    }
  }
}

}  // namespace diffrt::renderer
