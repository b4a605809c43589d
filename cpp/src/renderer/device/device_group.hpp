// A group of primitives on a GPU: its tables, and what is made of them before pixels are looked at.
#pragma once

#include <functional>
#include <optional>

#include "renderer/device/lists.hpp"
#include "renderer/groups.hpp"

namespace diffrt::renderer::gpu {

// What the records of a group's normal equations are made from: entries (tile, primitive).
struct SumEntries {
  runtime::DeviceArray<std::int32_t> offsets, candidates, tiles;
  runtime::DeviceArray<float> bounds;
  int stride = 0;
  int most = 0;         // entries that there is room for
  int share_bits = 0;   // log2 of the threads for each
  bool direct = false;  // one primitive, everywhere; the entry of each tile is the tile's own number
  runtime::DeviceArray<std::int32_t> loop;  // bounds that the device writes, or none: all of `most`
};

// What the small triangles of all meshes show in each pixel of the blocks.
struct SmallTriangles {
  Piece<float> depths;
  Piece<std::int32_t> winners;
};

class DeviceGroup {
 public:
  // Registers what goes up, is cleared, and comes down for it. `group` must outlive it.
  DeviceGroup(const Group& group, runtime::Device& device, const TileGrid& grid, const SmallTriangles& small,
              Once& once, Upload& upload, Zeros& zeros, Download& results);
  DeviceGroup(const DeviceGroup&) = delete;
  DeviceGroup& operator=(const DeviceGroup&) = delete;

  const Group& group() const { return group_; }

  // One step of `steps` from what was uploaded to prepared triangles and tile lists. Each needs the one
  // before; those of other groups may run beside it.
  static constexpr int steps = 2 + Lists::steps;
  // The one with the least to do, which leaves most of a GPU to others.
  static constexpr int least_step = 2 + Lists::least_step;
  void record(int step, Recording& recording, const kernels::DeviceTable& kernels, const Upload& upload,
              const Zeros& zeros, const Download& results, const scene::State& state) const;

  // Of meshes.
  runtime::DeviceArray<float> depths(const Zeros& zeros) const { return zeros.array(small_.depths); }
  runtime::DeviceArray<std::int32_t> winners(const Zeros& zeros) const { return zeros.array(small_.winners); }
  runtime::DeviceArray<float> table(const Upload& upload) const;
  runtime::DeviceArray<float> bounds(const Upload& upload) const;
  runtime::DeviceArray<float> reach(const Upload& upload) const;  // as Group::reach()
  runtime::DeviceArray<std::int32_t> faces() const { return faces_.array(); }
  runtime::DeviceArray<float> vertices_camera() const { return vertices_camera_.array(); }
  SumEntries sum_entries(const Upload& upload) const;
  // Empty for planes, which have no bounds.
  std::optional<Lists>& lists() { return lists_; }
  const std::optional<Lists>& lists() const { return lists_; }
  // Of a mesh those of large triangles; they may have small ones, too.
  const Lists& large_lists() const { return large_lists_ ? *large_lists_ : *lists_; }
  // Makes room for lists that had not enough: whether there were any, of which `before_growing` is told
  // first.
  bool grow(runtime::Device& device, const Download& results, const std::function<void()>& before_growing);

 private:
  void prepare_vertices(Recording& recording, const kernels::DeviceTable& kernels,
                        const Upload& upload) const;
  void prepare_triangles(Recording& recording, const kernels::DeviceTable& kernels,
                         const scene::State& state) const;
  void nearest_triangles(int turn, Recording& recording, const kernels::DeviceTable& kernels,
                         const Zeros& zeros, const scene::State& state) const;
  int share_bits() const;
  bool moves_vertices() const { return group_.kind == GroupKind::free_mesh; }

  const Group& group_;
  const TileGrid grid_;
  std::optional<Lists> lists_, large_lists_;
  // Spheres and planes; of meshes the pose and free vertices.
  Piece<float> uploaded_table_, uploaded_bounds_, T_camera_mesh_, uploaded_vertices_;
  // Meshes.
  runtime::DeviceBuffer<float> vertices_, vertices_camera_, triangles_, bounds_, wide_bounds_;
  runtime::DeviceBuffer<std::int32_t> faces_;
  const SmallTriangles small_;
  // Entries that do not follow from the lists.
  runtime::DeviceBuffer<std::int32_t> own_offsets_, own_candidates_, own_tiles_;
  runtime::DeviceBuffer<float> own_bounds_;
};

}  // namespace diffrt::renderer::gpu
