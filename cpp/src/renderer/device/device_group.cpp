#include "renderer/device/device_group.hpp"

#include "renderer/launch_arguments.hpp"
#include "renderer/placement.hpp"

namespace diffrt::renderer::gpu {

using runtime::array;
using runtime::DeviceArray;
using runtime::DeviceBuffer;

DeviceGroup::DeviceGroup(const Group& group, runtime::Device& device, const TileGrid& grid, Once& once,
                         Upload& upload, Download& results)
    : group_(group), grid_(grid) {
  if (group.kind != GroupKind::planes) lists_.emplace(device, grid, group.count, results);
  if (group.mesh == nullptr) {
    uploaded_table_ = upload.add(group.table.data(), group.table.size());
    uploaded_bounds_ = upload.add(group.bounds.data(), group.bounds.size());
  } else {
    T_camera_mesh_ = upload.add(group.T_camera_mesh, std::size(group.T_camera_mesh));
    if (moves_vertices()) {
      uploaded_vertices_ = upload.add(group.vertices.data(), group.vertices.size());
    } else {
      vertices_ = once.send(group.vertices);
    }
    faces_ = once.send(group.faces);
    const auto stride = static_cast<std::size_t>(group.stride);
    vertices_camera_ = {device, group.vertices.size()};
    triangles_ = {device, static_cast<std::size_t>(kernels::triangle_components) * stride};
    bounds_ = {device, 4 * stride};
    wide_bounds_ = {device, 4 * stride};
  }
  if (group.own_sums) {
    own_bounds_ = once.send(group.sum_bounds);
    own_offsets_ = once.send(group.sums.offsets(), static_cast<std::size_t>(grid.tiles()) + 1);
    const auto entries = static_cast<std::size_t>(group.sums.entries());
    own_candidates_ = once.send(group.sums.candidates(), entries);
    own_tiles_ = once.send(group.sums.tile_of_entries());
  }
}

void DeviceGroup::record(int step, Recording& recording, const kernels::DeviceTable& kernels,
                         const Upload& upload, const Download& results, const scene::State& state) const {
  if (step >= 2) {
    if (lists_) lists_->record(step - 2, recording, kernels, results, reach(upload), group_.stride);
  } else if (group_.mesh != nullptr) {
    step == 0 ? prepare_vertices(recording, kernels, upload) : prepare_triangles(recording, kernels, state);
  }
}

void DeviceGroup::prepare_vertices(Recording& recording, const kernels::DeviceTable& kernels,
                                   const Upload& upload) const {
  const DeviceArray<float> T = upload.array(T_camera_mesh_);
  const DeviceArray<float> vertices = moves_vertices() ? upload.array(uploaded_vertices_) : vertices_.array();
  recording.launch(kernels.prepare_vertices, group_.vertex_stride, [this, T, vertices](auto& a) {
    a.stride = group_.vertex_stride;
    a.T_camera_mesh = array(T), a.vertices = array(vertices), a.vertices_camera = array(vertices_camera_);
  });
}

void DeviceGroup::prepare_triangles(Recording& recording, const kernels::DeviceTable& kernels,
                                    const scene::State& state) const {
  recording.launch(kernels.prepare_triangles, group_.stride, [this, &state](auto& a) {
    a.stride = group_.stride, a.vertex_stride = group_.vertex_stride;
    a.width = static_cast<float>(grid_.width), a.height = static_cast<float>(grid_.height);
    set_camera(a, state);
    a.margin = static_cast<float>(pixel_reach);
    a.faces = array(faces_), a.vertices_camera = array(vertices_camera_);
    a.triangles = array(triangles_), a.bounds = array(bounds_), a.wide_bounds = array(wide_bounds_);
  });
}

DeviceArray<float> DeviceGroup::table(const Upload& upload) const {
  return group_.mesh == nullptr ? upload.array(uploaded_table_) : triangles_.array();
}

DeviceArray<float> DeviceGroup::bounds(const Upload& upload) const {
  return group_.mesh == nullptr ? upload.array(uploaded_bounds_) : bounds_.array();
}

DeviceArray<float> DeviceGroup::reach(const Upload& upload) const {
  return group_.exact && group_.mesh != nullptr ? wide_bounds_.array() : bounds(upload);
}

SumEntries DeviceGroup::sum_entries(const Upload& upload) const {
  if (!group_.own_sums) {
    return {lists_->offsets().array(),
            lists_->candidates().array(),
            lists_->tiles().array(),
            reach(upload),
            group_.stride,
            lists_->capacity(),
            true};
  }
  const int entries = group_.sums.entries();
  return {own_offsets_.array(),
          own_candidates_.array(),
          own_tiles_.array(),
          own_bounds_.array(),
          static_cast<int>(group_.sum_bounds.size() / 4),
          entries,
          false};
}

}  // namespace diffrt::renderer::gpu
