#include "renderer/mesh_batch.hpp"

#include <algorithm>
#include <limits>

namespace diffrt::renderer {
namespace {

void collect_faces(MeshBatch& batch, const std::vector<Group>& groups) {
  batch.stride = whole_packets(static_cast<std::size_t>(batch.count));
  const auto stride = static_cast<std::size_t>(batch.stride);
  batch.faces.resize(3 * stride);
  const bool several = batch.last_group - batch.first_group > 1;
  std::size_t face = 0;
  for (int g = batch.first_group; g < batch.last_group; ++g) {
    const Group& group = groups[static_cast<std::size_t>(g)];
    const auto count = static_cast<std::size_t>(group.count), own = static_cast<std::size_t>(group.stride);
    const int vertex = batch.first_vertices[static_cast<std::size_t>(g - batch.first_group)];
    for (std::size_t corner = 0; corner < 3; ++corner) {
      for (std::size_t f = 0; f < count; ++f)
        batch.faces[corner * stride + face + f] = group.faces[corner * own + f] + vertex;
    }
    if (several) batch.face_groups.insert(batch.face_groups.end(), count, g);
    face += count;
  }
  for (; face < stride; ++face) {  // padding: a single point, which no ray hits
    for (std::size_t corner = 0; corner < 3; ++corner) batch.faces[corner * stride + face] = 0;
  }
}

void allocate(MeshBatch& batch) {
  const auto stride = static_cast<std::size_t>(batch.stride);
  batch.vertices_camera.resize(3 * static_cast<std::size_t>(batch.vertex_stride));
  batch.table.resize(static_cast<std::size_t>(kernels::triangle_components) * stride);
  batch.bounds.resize(4 * stride), batch.wide_bounds.resize(4 * stride);
}

}  // namespace

std::vector<MeshBatch> make_batches(std::vector<Group>& groups) {
  std::vector<MeshBatch> batches;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    Group& group = groups[g];
    if (group.mesh == nullptr) continue;
    const bool joins = !batches.empty() && group.kind == GroupKind::rigid_mesh &&
                       batches.back().kind == GroupKind::rigid_mesh;
    if (!joins) {
      MeshBatch& batch = batches.emplace_back();
      batch.first_group = static_cast<int>(g), batch.first_id = group.first_id;
      batch.kind = group.kind, batch.surface = group.surface, batch.exact = group.exact;
    }
    MeshBatch& batch = batches.back();
    group.batch = static_cast<int>(batches.size()) - 1;
    batch.last_group = static_cast<int>(g) + 1;
    batch.first_vertices.push_back(batch.vertex_stride);
    batch.vertex_stride += group.vertex_stride, batch.count += group.count;
  }
  for (MeshBatch& batch : batches) {
    collect_faces(batch, groups);
    allocate(batch);
    collect_edges(batch, groups);
    for (int g = batch.first_group; g < batch.last_group; ++g) {
      Group& group = groups[static_cast<std::size_t>(g)];
      group.faces = {};
      if (batch.kind == GroupKind::rigid_mesh) group.silhouettes = {};
    }
  }
  return batches;
}

void collect_edges(MeshBatch& batch, const std::vector<Group>& groups) {
  BatchSilhouettes& s = batch.silhouettes;
  for (std::vector<std::int32_t>* numbers :
       {&s.starts, &s.half_edges, &s.along, &s.first_faces, &s.second_faces, &s.ends})
    numbers->clear();
  for (int g = batch.first_group; g < batch.last_group; ++g) {
    const Group& group = groups[static_cast<std::size_t>(g)];
    const scene::MeshEdges& edges = group.silhouettes.edges;
    const int face = group.first_id - batch.first_id,
              vertex = batch.first_vertices[static_cast<std::size_t>(g - batch.first_group)],
              first = static_cast<int>(s.half_edges.size());
    const auto append = [](std::vector<std::int32_t>& to, const auto& from, std::size_t count, int more) {
      for (std::size_t k = 0; k < count; ++k) to.push_back(from[k] < 0 ? -1 : from[k] + more);
    };
    append(s.starts, edges.starts, static_cast<std::size_t>(edges.count()), first);
    append(s.half_edges, edges.half_edges, edges.half_edges.size(), 3 * face);
    append(s.first_faces, group.silhouettes.first_faces, group.silhouettes.first_faces.size(), face);
    append(s.second_faces, group.silhouettes.second_faces, group.silhouettes.second_faces.size(), face);
    append(s.ends, edges.ends, edges.ends.size(), vertex);
    s.along.insert(s.along.end(), group.silhouettes.along.begin(), group.silhouettes.along.end());
  }
  s.starts.push_back(static_cast<std::int32_t>(s.half_edges.size()));
  const auto count = static_cast<std::size_t>(s.edges());
  s.found.resize(static_cast<std::size_t>(kernels::edge_components) * count);
  s.found_edges.resize(count);
}

// A tile's list is two, each in the order of the faces.
int MeshBatch::find_groups(int tile_index, int* found) const {
  const int middle = tiles.centre_ends()[tile_index], end = tiles.end(tile_index);
  int near = tiles.begin(tile_index), beside = middle, count = 0;
  if (face_groups.empty()) {
    if (near < end) found[count++] = first_group;
    return count;
  }
  constexpr int none = std::numeric_limits<int>::max();
  while (near < middle || beside < end) {
    const int group = std::min(near < middle ? group_of_face(tiles.candidate(near)) : none,
                               beside < end ? group_of_face(tiles.candidate(beside)) : none);
    found[count++] = group;
    while (near < middle && group_of_face(tiles.candidate(near)) == group) ++near;
    while (beside < end && group_of_face(tiles.candidate(beside)) == group) ++beside;
  }
  return count;
}

void MeshBatch::find_groups(runtime::ThreadPool& pool, const TileGrid& grid) {
  const auto count = static_cast<std::size_t>(grid.tiles());
  touching_.resize(static_cast<std::size_t>(tiles.entries()));
  first_pairs_.resize(count + 1);
  first_pairs_[0] = 0;
  const auto find = [&](int begin, int end, int) {
    for (int t = begin; t < end; ++t)
      first_pairs_[static_cast<std::size_t>(t) + 1] = find_groups(t, touching_.data() + tiles.begin(t));
  };
  if (face_groups.empty()) {
    find(0, grid.tiles(), 0);
  } else {
    pool.parallel_for(grid.tiles(), 64, find);
  }
  for (std::size_t t = 0; t < count; ++t) first_pairs_[t + 1] += first_pairs_[t];
}

}  // namespace diffrt::renderer
