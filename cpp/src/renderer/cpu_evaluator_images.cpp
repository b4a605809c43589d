// Images and Jacobian rows.
#include <type_traits>

#include "renderer/cpu_evaluator.hpp"
#include "renderer/silhouette_alone.hpp"

namespace diffrt::renderer {

void CpuEvaluator::draw(Span<float> image) {
  prepare();
  const TileContext context = this->context();
  over_tiles(context, all_tiles_, false,
             [&](int t, bool touched, Workspace& work) { store_image(t, touched, work, image); });
}

void CpuEvaluator::draw_rows(Span<float> image, RowStorage& rows) {
  prepare();
  const TileContext context = this->context();
  over_tiles(context, all_tiles_, true, [&](int t, bool touched, Workspace& work) {
    if (!image.empty()) store_image(t, touched, work, image);
    store_rows(context, t, touched, work, rows);
  });
}

void CpuEvaluator::store_image(int t, bool touched, const Workspace& work, Span<float> image) const {
  const std::ptrdiff_t column_stride = channels_,
                       row_stride = static_cast<std::ptrdiff_t>(grid_.width) * channels_;
  if (!touched) {
    for (const OutputChannels& output : outputs_) {
      for (int c = output.first; c < output.first + output.count; ++c) {
        fill_plane(grid_, t, output.background, image.data() + c, row_stride, column_stride);
      }
    }
    return;
  }
  for (int c = 0; c < channels_; ++c) {
    store_plane(grid_, t, work.rendered.data() + c * tile_pixels, image.data() + c, row_stride,
                column_stride);
  }
}

void CpuEvaluator::store_rows(const TileContext& context, int t, bool touched, Workspace& work,
                              RowStorage& rows) const {
  const auto plane_at = [&](int plane) {
    return rows.planes.get() + static_cast<std::size_t>(plane) * pixels();
  };
  std::uint8_t& dirty = rows.dirty[static_cast<std::size_t>(t)];
  RowExtras& extras = rows.extras[static_cast<std::size_t>(t)];
  if (!touched) {
    extras.clear();
    if (dirty == 0) return;
    for (int plane = 0; plane < row_planes_ * channels_; ++plane)
      fill_plane(grid_, t, 0.0f, plane_at(plane), grid_.width, 1);
    std::fill_n(work.ids.data(), tile_pixels, -1);
    store_ids(grid_, t, work.ids.data(), rows.ids.data());
    dirty = 0;
    return;
  }
  dirty = 1;
  std::fill_n(work.rows.data(), static_cast<std::size_t>(channels_ * widest_ * tile_pixels), 0.0f);
  context.over_groups(t,
                      [&](int, const Group& group, int) { differentiate(context, group, widest_, t, work); });
  if (!dense_rows_) {
    store_ids(grid_, t, work.ids.data(), rows.ids.data());
    for (int plane = 0; plane < widest_ * channels_; ++plane)
      store_plane(grid_, t, work.rows.data() + plane * tile_pixels, plane_at(plane), grid_.width, 1);
    const std::ptrdiff_t corner = corner_of(t);
    if (exact())
      patch_rows(context, t, work,
                 {plane_at(0) + corner, rows.ids.data() + corner, static_cast<std::ptrdiff_t>(pixels()),
                  grid_.width},
                 extras);
    return;
  }
  if (exact()) patch_rows(context, t, work, work.row_target(), extras);
  store_ids(grid_, t, work.ids.data(), rows.ids.data());
  // One primitive: its columns of theta right away.
  const Block& block = linearization_.groups()[0].blocks[0];
  for (int c = 0; c < channels_; ++c) {
    for (int k = 0; k < block.width(); ++k) {
      const float* column =
          mix_column(block, k, work.rows.data() + c * widest_ * tile_pixels, work.residual.data());
      store_plane(grid_, t, column, plane_at(c * row_planes_ + block.columns[static_cast<std::size_t>(k)]),
                  grid_.width, 1);
    }
  }
}

// The rows of crossed pixels: into the planes of the tile, and what these do not hold into `extras`.
void CpuEvaluator::patch_rows(const TileContext& context, int t, Workspace& work, const RowTarget& target,
                              RowExtras& extras) const {
  const int corner = corner_of(t);
  extras.clear();
  if (pairs_) {
    constexpr int slots = kernels::slots_sphere;
    const int last = channels_ - 1, size = static_cast<int>(RowExtras::header) + channels_ * slots;
    // One is written before it is known whether it is needed.
    float* const first = extras.make_room(static_cast<std::size_t>(work.silhouettes.alone()) + 1,
                                          static_cast<std::size_t>(channels_ * slots));
    float* record = first;
    work.silhouettes.patch_alone(
        context, work, target,
        [&](std::ptrdiff_t place, int channel, const float*, std::int32_t id, const float* row) {
          float* to = RowExtras::begin_record(record, corner + static_cast<std::int32_t>(place), id);
          std::copy_n(row, slots, to + channel * slots);
          record += (id >= 0) & (channel == last) ? size : 0;
        });
    extras.add(static_cast<std::size_t>((record - first) / size));
  }
  context.over_groups(t, [&](int, const Group& group, int) {
    work.silhouettes.patch(context, group, widest_, work, target);
  });
  store_extras(context, corner, work, extras);
}

// What is not in the planes, nor in `extras` yet.
void CpuEvaluator::store_extras(const TileContext& context, int corner, const Workspace& work,
                                RowExtras& extras) const {
  const Span<const CrossedRow> rows = work.silhouettes.other_rows();
  float* record = extras.make_room(rows.size(), static_cast<std::size_t>(channels_ * widest_));
  const auto store_all = [&](auto planes, auto slots_of) {
    for (const CrossedRow& row : rows) {
      const int pixel = corner + row.pixel / tile * grid_.width + row.pixel % tile;
      record = RowExtras::begin_record(record, pixel, row.id);
      const RowValues values = work.silhouettes.values_at(row.place);
      const auto slots = slots_of(row);
      for (int c = 0; c < channels_; ++c, record += planes) {
        const float* from = values.values + c * values.channel_stride;
        for (int k = 0; k < planes; ++k)
          record[k] = k < slots || k >= planes - camera_slots_ ? from[k * values.plane_stride] : 0;
      }
    }
  };
  // Of known length where most are.
  if (widest_ == kernels::slots_sphere) {
    constexpr auto all = std::integral_constant<int, kernels::slots_sphere>();
    store_all(all, [&](const CrossedRow&) { return all; });
  } else {
    store_all(widest_, [&](const CrossedRow& row) {
      return groups_[static_cast<std::size_t>(context.block_of(row.id).group)].slots;
    });
  }
  extras.add(rows.size());
}

const float* CpuEvaluator::mix_column(const Block& block, int k, const float* slots, float* mixed) const {
  int used = 0, last = 0;
  for (int s = 0; s < widest_; ++s) {
    if (block.at(s, k) != 0) ++used, last = s;
  }
  if (used == 1 && block.at(last, k) == 1) return slots + last * tile_pixels;
  std::fill_n(mixed, tile_pixels, 0.0f);
  for (int s = 0; s < widest_; ++s) {
    const auto factor = static_cast<float>(block.at(s, k));
    if (factor == 0) continue;
    const float* slot = slots + s * tile_pixels;
    for (int p = 0; p < tile_pixels; ++p) mixed[p] += factor * slot[p];
  }
  return mixed;
}

}  // namespace diffrt::renderer
