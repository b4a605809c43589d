// Arguments that several kernels share by name.
#pragma once

#include <algorithm>

#include "renderer/tiles.hpp"
#include "runtime/launch.hpp"

namespace diffrt::renderer {

template <class Arguments>
void set_pixels(Arguments& a, const TileContext& context, int tile_index) {
  a.first_tile = tile_index;
  a.tiles_x = context.grid.across;
}

template <class Arguments>
void set_rays(Arguments& a, const scene::State& state) {
  a.cx = static_cast<float>(state.cx), a.cy = static_cast<float>(state.cy);
  a.inverse_fx = static_cast<float>(1 / state.fx), a.inverse_fy = static_cast<float>(1 / state.fy);
}

template <class Arguments>
void set_camera(Arguments& a, const scene::State& state) {
  a.fx = static_cast<float>(state.fx), a.fy = static_cast<float>(state.fy);
  a.cx = static_cast<float>(state.cx), a.cy = static_cast<float>(state.cy);
}

// Triangles of a batch, from number `first` on.
template <class Arguments>
void set_tables(Arguments& a, const MeshBatch& batch, int first, int count) {
  a.first_id = batch.first_id + first, a.count = count;
  a.stride = batch.stride, a.vertex_stride = batch.vertex_stride;
  a.table = runtime::array(batch.table.data() + first), a.faces = runtime::array(batch.faces.data() + first);
  a.vertices_camera = runtime::array(batch.vertices_camera.data());
}

template <class Arguments>
void set_tables(Arguments& a, const TileContext& context, const Group& group) {
  if (group.mesh != nullptr) {
    const MeshBatch& batch = context.batch_of(group);
    return set_tables(a, batch, group.first_id - batch.first_id, group.count);
  }
  a.first_id = group.first_id, a.count = group.count;
  a.stride = group.stride, a.table = runtime::array(group.table.data());
}

template <class Arguments>
void set_group(Arguments& a, const TileContext& context, const Group& group, const Workspace& work) {
  set_tables(a, context, group);
  a.inverse_depth = runtime::array(work.inverse_depth.data()), a.ids = runtime::array(work.ids.data());
}

template <class Arguments>
void set_pivot(Arguments& a, const Group& group) {
  a.pivot_x = group.pivot.x(), a.pivot_y = group.pivot.y(), a.pivot_z = group.pivot.z();
}

// The part of a tile, or of a run of them, that lies in the image.
struct Part {
  int left, top, columns, rows;
};

inline Part part_in_image(const TileGrid& grid, const TileRun& run) {
  const int left = run.first % grid.across * tile, top = run.first / grid.across * tile;
  return {left, top, std::min(run.count * tile, grid.width - left), std::min(tile, grid.height - top)};
}
inline Part part_in_image(const TileGrid& grid, int tile_index) {
  return part_in_image(grid, TileRun{tile_index, 1});
}

}  // namespace diffrt::renderer
