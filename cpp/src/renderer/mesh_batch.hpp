// Meshes on the CPU: those that are prepared, binned and drawn together. Consecutive rigid meshes are one
// batch, so that a thousand small ones take no longer than a large one; a mesh with free vertices is alone.
#pragma once

#include <vector>

#include "renderer/groups.hpp"

namespace diffrt::renderer {

// The edges of all its meshes, and those of them that are silhouettes at theta, with their tiles.
struct BatchSilhouettes {
  // As in scene::MeshEdges and Silhouettes, of faces and welded vertices numbered through the batch.
  std::vector<std::int32_t> starts, half_edges, along, first_faces, second_faces, ends;
  int edges() const { return static_cast<int>(first_faces.size()); }

  // Of those that are silhouettes, in the order of the edges:
  int count = 0, stride = 0;
  runtime::Buffer<float> components;                           // [edge_components, stride]
  runtime::Buffer<std::int32_t> found_half_edges, found_ends;  // the first half-edge; [count, 2] vertices
  TileLists tiles;
  // What the kernels write, chunk by chunk.
  runtime::Buffer<float> found;
  runtime::Buffer<std::int32_t> found_edges, found_counts;
};

struct MeshBatch {
  int first_group = 0, last_group = 0;  // [first, last) of the scene's groups
  GroupKind kind = GroupKind::rigid_mesh;
  int surface = 0;
  int first_id = 0, count = 0;  // of its triangles
  bool exact = false;
  int stride = 0, vertex_stride = 0;
  std::vector<int> first_vertices;        // of each mesh; whole packets
  runtime::Buffer<std::int32_t> faces;    // [3, stride], of the batch's vertices
  std::vector<std::int32_t> face_groups;  // where there are several: which group a triangle belongs to

  // At theta.
  runtime::Buffer<float> vertices_camera;  // [3, vertex_stride]
  runtime::Buffer<float> table;            // [triangle_components, stride]
  runtime::Buffer<float> bounds;           // [4, stride] px, of the pixel centres that may see it
  runtime::Buffer<float> wide_bounds;      // of the pixels that it may touch
  TileLists tiles;
  BatchSilhouettes silhouettes;

  // Bounds of the pixels that may depend on each triangle.
  const float* reach() const { return exact ? wide_bounds.data() : bounds.data(); }
  int group_of_face(int face) const {
    return face_groups.empty() ? first_group : face_groups[static_cast<std::size_t>(face)];
  }
  // The groups that may touch a tile, in their order; and how many such pairs there are in the tiles before.
  Span<const int> groups_in(int tile_index) const {
    const auto t = static_cast<std::size_t>(tile_index);
    return {touching_.data() + tiles.begin(tile_index),
            static_cast<std::size_t>(first_pairs_[t + 1] - first_pairs_[t])};
  }
  int first_pair(int tile_index) const { return first_pairs_[static_cast<std::size_t>(tile_index)]; }
  int pairs() const { return first_pairs_[first_pairs_.size() - 1]; }

  // After `tiles`: what groups_in tells.
  void find_groups(runtime::ThreadPool& pool, const TileGrid& grid);

 private:
  int find_groups(int tile_index, int* found) const;

  runtime::Buffer<int> touching_, first_pairs_;
};

// Batches of all meshes; each group gets the number of its own, and gives up what is now there.
std::vector<MeshBatch> make_batches(std::vector<Group>& groups);

// The edges of its groups.
void collect_edges(MeshBatch& batch, const std::vector<Group>& groups);

// After place(): triangles, silhouettes, and the tiles that they touch.
void prepare(MeshBatch& batch, const std::vector<Group>& groups, const scene::State& state,
             const Frame& frame);

}  // namespace diffrt::renderer
