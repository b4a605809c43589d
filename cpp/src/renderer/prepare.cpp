#include <algorithm>
#include <cmath>

#include "renderer/placement.hpp"
#include "renderer/silhouette_regions.hpp"
#include "runtime/launch.hpp"

namespace diffrt::renderer {
namespace {

// Intersects the silhouettes of spheres or planes with the lines between rows.
void find_lines(Group& group, const scene::State& state, const Frame& frame) {
  SilhouetteLines& lines = group.lines;
  int total = 0;
  for (std::size_t k = 0; k < group.kinds.size(); ++k) {
    lines.offsets[k] = total;
    if (group.kinds[k] >= 0)
      // They are read four at a time.
      total += whole_packets(static_cast<std::size_t>(lines.last_rows[k] - lines.first_rows[k] + 2 + 3));
  }
  lines.low.resize(static_cast<std::size_t>(total)), lines.high.resize(static_cast<std::size_t>(total));
  lines.columns.resize(4 * static_cast<std::size_t>(total));
  const int shape = group.kind == GroupKind::spheres ? 0 : 1;
  frame.pool.parallel_for(group.count, 8, [&](int begin, int end, int) {
    for (int k = begin; k < end; ++k) {
      const auto i = static_cast<std::size_t>(k);
      if (group.kinds[i] < 0) continue;
      kernels::lines_arguments a;
      a.primitive = k;
      a.first_y = static_cast<float>(lines.first_rows[i]) - 0.5f;
      a.middle_x = 0.5f * static_cast<float>(frame.grid.width - 1);
      if (shape == 0) {
        const auto stride = static_cast<std::size_t>(group.stride);
        a.middle_x = std::floor(0.5f * (group.bounds[i] + group.bounds[2 * stride + i]));
      }
      a.offset = lines.offsets[i] / kernels::lanes;
      a.fx = static_cast<float>(state.fx), a.fy = static_cast<float>(state.fy);
      a.cx = static_cast<float>(state.cx), a.cy = static_cast<float>(state.cy);
      a.table = runtime::array(group.table.data());
      a.low = runtime::array(lines.low.data()), a.high = runtime::array(lines.high.data());
      const int count = lines.last_rows[i] - lines.first_rows[i] + 2;
      runtime::launch(frame.kernels.lines[shape][group.kinds[i] == kernels::kind_open ? 1 : 0], a, 0,
                      (count + kernels::lanes - 1) / kernels::lanes);
      find_columns(group, k);
    }
  });
}

}  // namespace

void prepare(Group& group, const scene::State& state, const Frame& frame) {
  if (group.exact) find_lines(group, state, frame);
  if (group.kind == GroupKind::spheres)
    group.tiles.update(frame.pool, frame.grid, group.bounds.data(), group.count, group.stride);
}

void prepare_strips(Group& group, const Frame& frame) {
  const TileGrid strips(strips_across(frame.grid) * kernels::tile, frame.grid.height);
  const auto stride = static_cast<std::size_t>(group.stride);
  group.strip_bounds.resize(4 * stride);
  for (std::size_t i = 0; i < 4 * stride; ++i) {
    const bool across = i / stride % 2 == 0;
    group.strip_bounds[i] = across ? std::floor(group.bounds[i] / tiles_in_strip) : group.bounds[i];
  }
  group.strips.update(frame.pool, strips, group.strip_bounds.data(), group.count, group.stride);
}

}  // namespace diffrt::renderer
