// Rows of the crossed pixels that are most where there are only spheres, or only planes: of two primitives.
#pragma once

#include "renderer/silhouettes.hpp"
#include "renderer/tiles.hpp"

namespace diffrt::renderer {

// Which side a centre lies on, and whether anything is behind, is as good as random: hence no branches.
template <class Other>
void SilhouetteWork::patch_alone(const TileContext& context, const Workspace& work, const RowTarget& target,
                                 Other&& other) {
  constexpr int slots = kernels::slots_sphere;
  const std::ptrdiff_t stride = stride_;
  const int count = alone_count_, channels = context.channels;
  const std::int32_t *ids_front = sample_ids_.data(), *ids_behind = ids_front + stride, *ids = work.ids.data();
  const CrossedPixel* pixels = crossed_.data();
  const RowValues sides[2] = {{sampled_partials_.data() + stride,
                               (slots + kernels::image_slots) * 2 * stride, 2 * stride},
                              {silhouette_rows_.data(), slots * stride, stride}};
  for (int k = 0; k < count; ++k) {
    const int e = pixels[k].first_entry, pixel = pixels[k].pixel;
    const std::int32_t id_front = ids_front[e], id_behind = ids_behind[e], seen = ids[pixel];
    const std::int32_t id = seen ^ ((seen ^ id_front) & seen >> 31);  // a centre that sees nothing gets one
    const bool is_front = id == id_front;
    RowValues own = sides[is_front ? 1 : 0], rest = sides[is_front ? 0 : 1];
    own.values += e, rest.values += e;
    const std::ptrdiff_t place = target.place_of(pixel);
    target.ids[place] = id;
    const bool third = !is_front & (id != id_behind);
    for (int c = 0; c < channels; ++c) {
      float* to = target.planes + c * slots * target.plane_stride + place;
      const float* from = own.values + c * own.channel_stride;
      for (int s = 0; s < slots; ++s) to[s * target.plane_stride] = from[s * own.plane_stride];
    }
    if (third) {
      add_third(context, pixels[k], target);
      continue;
    }
    other(pixel, own, is_front ? id_behind : id_front, rest);
  }
}

}  // namespace diffrt::renderer
