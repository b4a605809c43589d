#include <algorithm>
#include <cmath>

#include "renderer/placement.hpp"
#include "renderer/silhouette_regions.hpp"

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

void find_silhouettes(Group& group, const scene::State& state, const Frame& frame) {
  Silhouettes& s = group.silhouettes;
  const int edges = s.edges.count(), chunks = std::clamp(edges / 2048, 1, frame.pool.threads());
  const int per_chunk = (edges + chunks - 1) / chunks;
  s.found_counts.resize(static_cast<std::size_t>(chunks));
  frame.pool.parallel_for(chunks, 1, [&](int first, int last, int) {
    for (int chunk = first; chunk < last; ++chunk) {
      kernels::silhouette_edges_arguments a;
      a.chunk = chunk, a.stride = edges;
      a.vertex_stride = group.vertex_stride, a.face_stride = group.stride;
      a.width = static_cast<float>(frame.grid.width), a.height = static_cast<float>(frame.grid.height);
      a.fx = static_cast<float>(state.fx), a.fy = static_cast<float>(state.fy);
      a.cx = static_cast<float>(state.cx), a.cy = static_cast<float>(state.cy);
      a.first_faces = runtime::array(s.first_faces.data()),
      a.second_faces = runtime::array(s.second_faces.data());
      a.starts = runtime::array(s.edges.starts.data()),
      a.half_edges = runtime::array(s.edges.half_edges.data());
      a.along = runtime::array(s.along.data()), a.faces = runtime::array(group.faces.data());
      a.vertices_camera = runtime::array(group.vertices_camera.data());
      a.triangles = runtime::array(group.table.data());
      a.edges = runtime::array(s.found_edges.data()), a.components = runtime::array(s.found.data());
      a.counts = runtime::array(s.found_counts.data());
      runtime::launch(frame.kernels.silhouette_edges, a, std::min(chunk * per_chunk, edges),
                      std::min((chunk + 1) * per_chunk, edges));
    }
  });
  s.count = 0;
  for (int chunk = 0; chunk < chunks; ++chunk) s.count += s.found_counts[static_cast<std::size_t>(chunk)];
  s.stride = whole_packets(static_cast<std::size_t>(std::max(s.count, 1)));
  s.components.resize(static_cast<std::size_t>(kernels::edge_components * s.stride));
  s.half_edges.clear(), s.ends.clear();
  for (int chunk = 0, n = 0; chunk < chunks; ++chunk) {
    const int first = std::min(chunk * per_chunk, edges),
              count = s.found_counts[static_cast<std::size_t>(chunk)];
    for (int c = 0; c < kernels::edge_components; ++c)
      std::copy_n(s.found.data() + static_cast<std::ptrdiff_t>(c) * edges + first, count,
                  s.components.data() + static_cast<std::ptrdiff_t>(c) * s.stride + n);
    for (int i = first; i < first + count; ++i) {
      const auto e = static_cast<std::size_t>(s.found_edges[static_cast<std::size_t>(i)]);
      s.half_edges.push_back(s.edges.half_edges[static_cast<std::size_t>(s.edges.starts[e])]);
      s.ends.push_back(s.edges.ends[2 * e]), s.ends.push_back(s.edges.ends[2 * e + 1]);
    }
    n += count;
  }
  s.tiles.update(frame.kernels, frame.pool, frame.grid,
                 s.components.data() + static_cast<std::ptrdiff_t>(kernels::edge_bounds) * s.stride, s.count,
                 s.stride);
}

void prepare_mesh(Group& group, const scene::State& state, const Frame& frame) {
  const int vertex_numbers = group.vertex_stride / kernels::lanes, numbers = group.stride / kernels::lanes;
  constexpr int grain = 128;
  frame.pool.parallel_for(vertex_numbers, grain, [&](int begin, int end, int) {
    kernels::prepare_vertices_arguments a;
    a.stride = vertex_numbers;
    a.T_camera_mesh = runtime::array(group.T_camera_mesh), a.vertices = runtime::array(group.vertices.data());
    a.vertices_camera = runtime::array(group.vertices_camera.data());
    runtime::launch(frame.kernels.prepare_vertices, a, begin, end);
  });
  frame.pool.parallel_for(numbers, grain, [&](int begin, int end, int) {
    kernels::prepare_triangles_arguments a;
    a.stride = numbers, a.vertex_stride = group.vertex_stride;
    a.width = static_cast<float>(frame.grid.width), a.height = static_cast<float>(frame.grid.height);
    a.fx = static_cast<float>(state.fx), a.fy = static_cast<float>(state.fy);
    a.cx = static_cast<float>(state.cx), a.cy = static_cast<float>(state.cy);
    a.margin = static_cast<float>(pixel_reach);
    a.faces = runtime::array(group.faces.data()),
    a.vertices_camera = runtime::array(group.vertices_camera.data());
    a.triangles = runtime::array(group.table.data()), a.bounds = runtime::array(group.bounds.data());
    a.wide_bounds = runtime::array(group.wide_bounds.data());
    runtime::launch(frame.kernels.prepare_triangles, a, begin, end);
  });
  group.tiles.update(frame.kernels, frame.pool, frame.grid, group.reach(), group.count, group.stride,
                     group.exact ? group.bounds.data() : nullptr);
  if (group.exact && group.rules[0] != BoundaryRule::none) find_silhouettes(group, state, frame);
}

}  // namespace

void prepare(Group& group, const scene::State& state, const Frame& frame) {
  if (group.mesh != nullptr) return prepare_mesh(group, state, frame);
  if (group.exact) find_lines(group, state, frame);
  if (group.kind == GroupKind::spheres)
    group.tiles.update(frame.kernels, frame.pool, frame.grid, group.bounds.data(), group.count, group.stride);
}

}  // namespace diffrt::renderer
