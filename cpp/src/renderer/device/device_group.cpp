#include "renderer/device/device_group.hpp"

#include "renderer/launch_arguments.hpp"
#include "renderer/placement.hpp"

namespace diffrt::renderer::gpu {

using runtime::array;
using runtime::DeviceArray;
using runtime::DeviceBuffer;

namespace {

// Triangles up to which lists of all serve as those of large ones.
constexpr int listed_together = 64;

}  // namespace

DeviceGroup::DeviceGroup(const Group& group, runtime::Device& device, const TileGrid& grid,
                         const SmallTriangles& small, Once& once, Upload& upload, Zeros& zeros,
                         Download& results)
    : group_(group), grid_(grid), small_(small) {
  if (group.kind != GroupKind::planes) {
    // Small triangles of a rigid mesh are looked at one by one, and have no entries of their own.
    const int least = group.kind == GroupKind::rigid_mesh ? kernels::large_triangle : 0;
    lists_.emplace(device, grid, group.count, least, 1 << share_bits(), once, zeros, results);
    if (group.kind == GroupKind::free_mesh && group.count > listed_together)
      large_lists_.emplace(device, grid, group.count, kernels::large_triangle, 1, once, zeros, results);
  }
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
    TileLists one;
    if (group.kind == GroupKind::rigid_mesh) one.one_entry_each(grid);
    const TileLists& sums = group.kind == GroupKind::rigid_mesh ? one : group.sums;
    own_offsets_ = once.send(sums.offsets(), static_cast<std::size_t>(grid.tiles()) + 1);
    const auto entries = static_cast<std::size_t>(sums.entries());
    own_candidates_ = once.send(sums.candidates(), entries);
    own_tiles_ = once.send(sums.tile_of_entries());
  }
}

void DeviceGroup::record(int step, Recording& recording, const kernels::DeviceTable& kernels,
                         const Upload& upload, const Zeros& zeros, const Download& results,
                         const scene::State& state) const {
  if (group_.mesh != nullptr) {
    if (step == 0) prepare_vertices(recording, kernels, upload);
    if (step == 1) prepare_triangles(recording, kernels, state);
    if (step == 2 || step == 3) nearest_triangles(step - 2, recording, kernels, zeros, state);
  }
  for (const std::optional<Lists>* lists : {&lists_, &large_lists_}) {
    if (step >= 2 && *lists)
      (*lists)->record(step - 2, recording, kernels, zeros, results, reach(upload), group_.stride);
  }
}

bool DeviceGroup::grow(runtime::Device& device, const Download& results,
                       const std::function<void()>& before_growing) {
  bool grown = false;
  for (std::optional<Lists>* lists : {&lists_, &large_lists_}) {
    if (!*lists || (*lists)->needed(results) <= (*lists)->capacity()) continue;
    before_growing();
    (*lists)->grow(device, (*lists)->needed(results));
    grown = true;
  }
  return grown;
}

// A column of an entry's pixels each; of small triangles there are few pixels, but many entries.
int DeviceGroup::share_bits() const { return moves_vertices() ? 2 : 4; }

void DeviceGroup::prepare_vertices(Recording& recording, const kernels::DeviceTable& kernels,
                                   const Upload& upload) const {
  const DeviceArray<float> T = upload.array(T_camera_mesh_);
  const DeviceArray<float> vertices = moves_vertices() ? upload.array(uploaded_vertices_) : vertices_.array();
  recording.launch(kernels.prepare_vertices, group_.vertex_stride, [this, T, vertices](auto& a) {
    a.stride = a.camera_stride = group_.vertex_stride;
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

void DeviceGroup::nearest_triangles(int turn, Recording& recording, const kernels::DeviceTable& kernels,
                                    const Zeros& zeros, const scene::State& state) const {
  const DeviceArray<std::int32_t> depths{zeros.array(small_.depths).address, small_.depths.size},
      winners = zeros.array(small_.winners);
  recording.launch(kernels.nearest_triangles, group_.stride * kernels::triangle_quarters,
                   [this, turn, depths, winners, &state](auto& a) {
                     a.turn = turn, a.tiles_x = grid_.across;
                     a.first_id = group_.first_id, a.stride = group_.stride;
                     set_rays(a, state);
                     a.triangles = array(triangles_), a.bounds = array(bounds_);
                     // Bits of floats that are not negative compare as the floats do.
                     a.depths = a.largest = array(depths);
                     a.winners = array(winners);
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
  SumEntries entries;
  entries.share_bits = share_bits();
  if (!group_.own_sums) {
    entries.offsets = lists_->offsets().array(), entries.candidates = lists_->candidates().array();
    entries.tiles = lists_->tiles().array(), entries.loop = lists_->loop().array();
    entries.bounds = reach(upload), entries.stride = group_.stride;
    entries.most = lists_->capacity();
    return entries;
  }
  entries.offsets = own_offsets_.array(), entries.candidates = own_candidates_.array();
  entries.tiles = own_tiles_.array();
  entries.bounds = own_bounds_.array(), entries.stride = static_cast<int>(group_.sum_bounds.size() / 4);
  entries.most = static_cast<int>(own_candidates_.size());
  entries.direct = group_.kind == GroupKind::rigid_mesh;
  return entries;
}

}  // namespace diffrt::renderer::gpu
