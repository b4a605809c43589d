// The scene as the kernels see it: tables of spheres and planes, prepared meshes, and the tiles that each may
// touch.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "diffrt/renderer.hpp"
#include "renderer/bins.hpp"
#include "renderer/linearization.hpp"
#include "renderer/rule_models.hpp"
#include "scene/mesh_edges.hpp"

namespace diffrt::renderer {

// `count` rounded up to whole packets.
inline int whole_packets(std::size_t count) { return static_cast<int>((count + 15) / 16 * 16); }

// What stays the same in an evaluation, for every launch on the CPU.
struct Frame {
  const kernels::Table& kernels;
  runtime::ThreadPool& pool;
  const TileGrid& grid;
};

// The edges of a mesh, of which some are silhouettes at some theta.
struct Silhouettes {
  scene::MeshEdges edges;
  scene::MovingEdges moving;        // of a mesh with free vertices
  std::vector<std::int32_t> along;  // edges.along, as kernels take it
  // The face of the first half-edge, and that of the second if there are two, directed against each other;
  // else -1.
  std::vector<std::int32_t> first_faces, second_faces;
};

// Where the lines between the rows of pixels meet what lies within the silhouettes of spheres or planes.
struct SilhouetteLines {
  std::vector<int> first_rows, last_rows;  // per primitive: the rows that its silhouette may touch
  std::vector<float> bulges;               // how far [px] it may reach beyond its points on two lines
  std::vector<int> offsets;                // its first line, above first_row
  runtime::Buffer<float> low, high;        // columns [px]; low >= high where they do not meet
  // Of each row four numbers, of the row below line i at 4 * i: pixels from the first on are crossed, from
  // the second on surrounded, from the third on crossed again, from the fourth on neither.
  runtime::Buffer<float> columns;
};

// Primitives with consecutive ids, drawn by the same kernels.
struct Group {
  GroupKind kind = GroupKind::spheres;
  int first_id = 0, count = 0;
  int surface = 0;  // index of the kernels' surface
  int slots = 0;    // its own, without the intrinsics'

  TileLists tiles;        // of spheres
  TileLists strips;       // of spheres that are summed by strips, in place of `tiles`
  TileLists sums;         // for normal equations where entries are not the tile's candidates: planes
  bool own_sums = false;  // whether entries are others than the tile's candidates; a rigid mesh has one
  int sum_span = 1;       // ids per entry

  runtime::Buffer<float> table;         // of spheres and planes, by rows
  runtime::Buffer<float> bounds;        // of spheres: [4, stride] px, of the pixel centres that may see it
  runtime::Buffer<float> sum_bounds;    // of the entries of sums that are its own
  runtime::Buffer<float> strip_bounds;  // of spheres: `bounds` where tiles are as wide as strips
  int stride = 0;                       // of `bounds`, and of a mesh's faces

  // Meshes. What is made of them at theta is in their MeshBatch, or in their DeviceGroup.
  const Mesh* mesh = nullptr;
  int shape = -1;
  int batch = -1;
  int vertex_stride = 0;
  Eigen::Vector3d centroid = Eigen::Vector3d::Zero();  // mesh frame: the kernels' vertices are relative to it
  Eigen::Vector3f pivot = Eigen::Vector3f::Zero();     // the centroid in the camera frame
  runtime::Buffer<float> vertices;                     // [3, vertex_stride]
  runtime::Buffer<std::int32_t> faces;                 // [3, stride]; degenerate ones collapsed to a vertex
  std::size_t degenerate = 0;
  float T_camera_mesh[12] = {};  // of vertices relative to the centroid, by rows

  // With exact boundaries.
  bool exact = false;
  std::vector<std::uint8_t> depends;  // per sphere or plane, one for a mesh: whether theta moves it
  std::vector<BoundaryRule> rules;    // per sphere or plane; one for a mesh
  std::vector<const module::Pointwise*> rule_models;  // likewise, which take their place; or empty
  bool blends = true;                                 // whether all that have a rule have `blend`
  std::vector<int> kinds;  // per sphere or plane: kernels::kind_..., or -1 where it has no silhouette
  SilhouetteLines lines;
  Silhouettes silhouettes;

  // Whether an id is that of one of its primitives.
  bool owns(std::int32_t id) const { return id >= first_id && id < first_id + count; }
  // How many of them have slots of their own.
  int blocks() const { return kind == GroupKind::rigid_mesh ? 1 : count; }
  // Whether any of its spheres or planes may touch a tile. Planes have no bounds.
  bool touches(int tile_index) const { return kind == GroupKind::planes || !tiles.empty(tile_index); }
  const TileLists& sum_entries() const { return own_sums ? sums : tiles; }
  bool depends_on_theta(int primitive) const {
    return depends[mesh != nullptr ? 0 : static_cast<std::size_t>(primitive)] != 0;
  }
};

// The edges of a mesh with its vertices at `vertices` [V, 3].
void set_edges(Group& group, Span<const double> vertices);

// The block of S that a primitive's slots belong to: the first id that has it, all of a rigid mesh's; -1 if
// theta does not move them.
struct PrimitiveBlock {
  std::int32_t first_id = -1;
  int group = -1;
};
// Of each id, that of id -1 before all others.
std::vector<PrimitiveBlock> make_blocks(const std::vector<Group>& groups);

// The groups of a scene in the order of their ids: spheres, planes, meshes.
std::vector<Group> make_groups(const Scene& scene, const scene::Parameters& parameters, const TileGrid& grid,
                               const RendererOptions& options, const RuleModels& models);

// On the CPU, after place(), of spheres and planes: silhouettes, and the tiles that they touch.
void prepare(Group& group, const scene::State& state, const Frame& frame);

// In place of it, of spheres without silhouettes: the strips that they touch.
void prepare_strips(Group& group, const Frame& frame);

}  // namespace diffrt::renderer
