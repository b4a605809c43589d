#include <algorithm>

#include "renderer/mesh_batch.hpp"
#include "renderer/placement.hpp"
#include "runtime/launch.hpp"

namespace diffrt::renderer {
namespace {

template <class Arguments>
void set_image(Arguments& a, const scene::State& state, const TileGrid& grid) {
  a.width = static_cast<float>(grid.width), a.height = static_cast<float>(grid.height);
  a.fx = static_cast<float>(state.fx), a.fy = static_cast<float>(state.fy);
  a.cx = static_cast<float>(state.cx), a.cy = static_cast<float>(state.cy);
}

void prepare_vertices(MeshBatch& batch, const std::vector<Group>& groups, const Frame& frame) {
  constexpr int lanes = kernels::lanes;
  frame.pool.parallel_for(batch.vertex_stride / lanes, 128, [&](int begin, int end, int) {
    // The last mesh that begins at `begin` or before.
    const std::vector<int>& firsts = batch.first_vertices;
    auto mesh = static_cast<std::size_t>(std::upper_bound(firsts.begin(), firsts.end(), begin * lanes) -
                                         firsts.begin() - 1);
    for (; mesh < firsts.size() && firsts[mesh] < end * lanes; ++mesh) {
      const Group& group = groups[static_cast<std::size_t>(batch.first_group) + mesh];
      const int first = firsts[mesh] / lanes, numbers = group.vertex_stride / lanes;
      kernels::prepare_vertices_arguments a;
      a.stride = numbers, a.first = first, a.camera_stride = batch.vertex_stride / lanes;
      a.T_camera_mesh = runtime::array(group.T_camera_mesh),
      a.vertices = runtime::array(group.vertices.data());
      a.vertices_camera = runtime::array(batch.vertices_camera.data());
      runtime::launch(frame.kernels.prepare_vertices, a, std::max(begin - first, 0),
                      std::min(end - first, numbers));
    }
  });
}

void prepare_triangles(MeshBatch& batch, const scene::State& state, const Frame& frame) {
  const int numbers = batch.stride / kernels::lanes;
  frame.pool.parallel_for(numbers, 128, [&](int begin, int end, int) {
    kernels::prepare_triangles_arguments a;
    set_image(a, state, frame.grid);
    a.stride = numbers, a.vertex_stride = batch.vertex_stride;
    a.margin = static_cast<float>(pixel_reach);
    a.faces = runtime::array(batch.faces.data()),
    a.vertices_camera = runtime::array(batch.vertices_camera.data());
    a.triangles = runtime::array(batch.table.data()), a.bounds = runtime::array(batch.bounds.data());
    a.wide_bounds = runtime::array(batch.wide_bounds.data());
    runtime::launch(frame.kernels.prepare_triangles, a, begin, end);
  });
}

// Puts what was found chunk by chunk side by side.
void gather_silhouettes(BatchSilhouettes& s, int chunks, int per_chunk, runtime::ThreadPool& pool) {
  s.count = 0;
  for (int chunk = 0; chunk < chunks; ++chunk) s.count += s.found_counts[static_cast<std::size_t>(chunk)];
  s.stride = whole_packets(static_cast<std::size_t>(std::max(s.count, 1)));
  s.components.resize(static_cast<std::size_t>(kernels::edge_components * s.stride));
  s.found_half_edges.resize(static_cast<std::size_t>(s.count));
  s.found_ends.resize(2 * static_cast<std::size_t>(s.count));
  const int edges = s.edges();
  pool.parallel_for(chunks, 1, [&](int begin, int end, int) {
    for (int chunk = begin; chunk < end; ++chunk) {
      const int first = std::min(chunk * per_chunk, edges),
                count = s.found_counts[static_cast<std::size_t>(chunk)];
      std::ptrdiff_t n = 0;
      for (int before = 0; before < chunk; ++before) n += s.found_counts[static_cast<std::size_t>(before)];
      for (int c = 0; c < kernels::edge_components; ++c)
        std::copy_n(s.found.data() + static_cast<std::ptrdiff_t>(c) * edges + first, count,
                    s.components.data() + static_cast<std::ptrdiff_t>(c) * s.stride + n);
      auto to = static_cast<std::size_t>(n);
      for (int i = first; i < first + count; ++i, ++to) {
        const auto e = static_cast<std::size_t>(s.found_edges[static_cast<std::size_t>(i)]);
        s.found_half_edges[to] = s.half_edges[static_cast<std::size_t>(s.starts[e])];
        s.found_ends[2 * to] = s.ends[2 * e], s.found_ends[2 * to + 1] = s.ends[2 * e + 1];
      }
    }
  });
}

void find_silhouettes(MeshBatch& batch, const scene::State& state, const Frame& frame) {
  BatchSilhouettes& s = batch.silhouettes;
  const int edges = s.edges(), chunks = std::clamp(edges / 2048, 1, frame.pool.threads());
  const int per_chunk = (edges + chunks - 1) / chunks;
  s.found_counts.resize(static_cast<std::size_t>(chunks));
  frame.pool.parallel_for(chunks, 1, [&](int first, int last, int) {
    for (int chunk = first; chunk < last; ++chunk) {
      kernels::silhouette_edges_arguments a;
      set_image(a, state, frame.grid);
      a.chunk = chunk, a.stride = edges;
      a.vertex_stride = batch.vertex_stride, a.face_stride = batch.stride;
      a.first_faces = runtime::array(s.first_faces.data()),
      a.second_faces = runtime::array(s.second_faces.data());
      a.starts = runtime::array(s.starts.data()), a.half_edges = runtime::array(s.half_edges.data());
      a.along = runtime::array(s.along.data()), a.faces = runtime::array(batch.faces.data());
      a.vertices_camera = runtime::array(batch.vertices_camera.data());
      a.triangles = runtime::array(batch.table.data());
      a.edges = runtime::array(s.found_edges.data()), a.components = runtime::array(s.found.data());
      a.counts = runtime::array(s.found_counts.data());
      runtime::launch(frame.kernels.silhouette_edges, a, std::min(chunk * per_chunk, edges),
                      std::min((chunk + 1) * per_chunk, edges));
    }
  });
  gather_silhouettes(s, chunks, per_chunk, frame.pool);
  s.tiles.update(frame.pool, frame.grid,
                 s.components.data() + static_cast<std::ptrdiff_t>(kernels::edge_bounds) * s.stride, s.count,
                 s.stride);
}

}  // namespace

void prepare(MeshBatch& batch, const std::vector<Group>& groups, const scene::State& state,
             const Frame& frame) {
  prepare_vertices(batch, groups, frame);
  prepare_triangles(batch, state, frame);
  batch.tiles.update(frame.pool, frame.grid, batch.reach(), batch.count, batch.stride,
                     batch.exact ? batch.bounds.data() : nullptr);
  batch.find_groups(frame.pool, frame.grid);
  if (batch.silhouettes.edges() > 0) find_silhouettes(batch, state, frame);
}

}  // namespace diffrt::renderer
