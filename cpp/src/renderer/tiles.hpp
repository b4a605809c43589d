// One tile through all its kernels: visibility, values, rows, residuals, normal equations. What passes
// between them lies in a block of the thread's own that stays in the first-level cache. With silhouettes, a
// few tiles of a row (a run) come as far as values together: each of them has few crossed pixels.
#pragma once

#include <vector>

#include "renderer/assembly.hpp"
#include "renderer/couplings.hpp"
#include "renderer/groups.hpp"
#include "renderer/kernel_loss.hpp"
#include "renderer/mesh_batch.hpp"
#include "renderer/output_models.hpp"
#include "renderer/outputs.hpp"
#include "renderer/silhouettes.hpp"

namespace diffrt::renderer {

// A thread's blocks. Planes of tile_pixels floats each.
struct Workspace {
  // What a tile shows, of each tile of a run; then of the tile at hand.
  runtime::Buffer<float> all_inverse_depth, all_rendered;
  runtime::Buffer<std::int32_t> all_ids;
  Span<float> inverse_depth, rendered;
  Span<std::int32_t> ids;
  runtime::Buffer<float> observed, weights, residual, robust, costs, rows;
  // Depth and normal of which models make outputs: of each tile of a run; their rows of the tile at hand.
  runtime::Buffer<float> all_surfaces, surface_rows;
  Span<float> surfaces;
  bool weighted = true;  // false: all weights are 1
  SilhouetteWork silhouettes;
  std::vector<Couplings::Entry> entries;    // of one pixel
  std::vector<Couplings::TwoEntries> twos;  // of a tile

  // `tiles`: how many are compared at a time.
  void resize(int channels, int planes, int tiles, bool with_surfaces);
  // Tile `j` of the run is at hand.
  void select(int j);
  // Its blocks.
  RowTarget row_target() { return {rows.data(), ids.data(), tile_pixels, tile}; }
};

// All that a tile needs to know, the same for all tiles of an evaluation.
struct TileContext {
  const kernels::Table& kernels;
  const TileGrid& grid;
  const scene::State& state;
  const std::vector<Group>& groups;
  const std::vector<MeshBatch>& batches;
  const std::vector<PrimitiveBlock>& blocks;  // of each id, with exact boundaries
  const RuleModels& rule_models;
  bool pairs;  // whether all is spheres or planes that theta moves, none with another, and no camera
  const std::vector<OutputChannels>& outputs;
  const std::vector<OutputChannels>& surfaces;  // of which models make outputs
  bool by_strips;                               // whether sums are made by strips: there are spheres alone
  int channels = 1;                             // of all outputs
  int camera_slots = 0;                         // 0, or kernels::camera_slots
  int planes = 0;                               // slots of the widest group, the camera's among them

  // Spheres and planes, which come first.
  std::size_t smooth_groups() const {
    return batches.empty() ? groups.size() : static_cast<std::size_t>(batches[0].first_group);
  }
  const MeshBatch& batch_of(const Group& group) const {
    return batches[static_cast<std::size_t>(group.batch)];
  }
  // Calls body(number, group, pair) for each group that may touch a tile, in their order: `pair` is that of
  // the tile and the group in its batch.
  template <class F>
  void over_groups(int tile_index, F&& body) const {
    for (std::size_t g = 0; g < smooth_groups(); ++g) {
      if (groups[g].touches(tile_index)) body(static_cast<int>(g), groups[g], -1);
    }
    for (const MeshBatch& batch : batches) {
      int pair = batch.first_pair(tile_index);
      for (const int g : batch.groups_in(tile_index)) body(g, groups[static_cast<std::size_t>(g)], pair++);
    }
  }

  const PrimitiveBlock& block_of(std::int32_t id) const { return blocks[static_cast<std::size_t>(id + 1)]; }
};

// Whether any primitive may touch a tile, or any triangle.
bool touched(const TileContext& context, int tile_index);
bool touched_by_mesh(const TileContext& context, int tile_index);

// Blocks ids and inverse_depth of a quad of a run: the nearest surface of each pixel. With exact boundaries
// silhouettes.find is to come first.
void find_visible(const TileContext& context, const TileRun& run, int quad, Workspace& work);
// The same of a strip of spheres.
void find_visible_in_strip(const TileContext& context, int strip, Workspace& work);

// Blocks rendered of a quad of a run: what each pixel shows.
void show(const TileContext& context, const TileRun& run, int quad, Workspace& work);

// Block rows: partials of the pixels that see `group`, `planes` of them per channel. Other pixels are left
// alone.
void differentiate(const TileContext& context, const Group& group, int planes, int tile_index,
                   Workspace& work);

// Of tiles side by side beside what is observed: the blocks residual and robust (weights), `costs` (w rho, -1
// where there is no residual), and each tile's three sums. Returns false if a weight is negative or infinite.
bool compare(const TileContext& context, const Observation& observation, const KernelLoss& loss,
             const TileRun& run, Workspace& work, float* costs, float* sums);

// The same of tiles that nothing touches: costs and sums alone. `background`: what they show, by channels.
bool compare_background(const TileContext& context, const Observation& observation, const KernelLoss& loss,
                        const TileRun& run, const float* background, Workspace& work, float* costs,
                        float* sums);

// Records of a group's entries in this tile: see pipeline/normal_equations.py. Those of rigid meshes are one
// for each `pair` of tile and mesh in the batch.
void accumulate(const TileContext& context, const Group& group, int pair, int tile_index, Workspace& work,
                float* records);

// The same records where there is one output and no free camera, of a group that differentiate() was not
// called for: its rows are made on the way. Whether the kernels have that:
bool accumulates_primitives(const TileContext& context, const Group& group);
void accumulate_primitives(const TileContext& context, const Group& group, int tile_index, Workspace& work,
                           float* records);
// Those of a strip.
void accumulate_strip(const TileContext& context, const Group& group, int strip, Workspace& work,
                      float* records);

// Copies between a tile's block and an image [height, width] with the given strides [floats].
void store_plane(const TileGrid& grid, int tile_index, const float* block, float* image,
                 std::ptrdiff_t row_stride, std::ptrdiff_t column_stride);
void store_ids(const TileGrid& grid, int tile_index, const std::int32_t* block, std::int32_t* image);
void fill_plane(const TileGrid& grid, int tile_index, float value, float* image, std::ptrdiff_t row_stride,
                std::ptrdiff_t column_stride);

}  // namespace diffrt::renderer
