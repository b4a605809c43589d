// The arguments by which kernels fetch the surfaces of a group.
#pragma once

#include "renderer/device/device_group.hpp"

namespace diffrt::renderer::gpu {

template <class Arguments>
void set_surface(Arguments& a, const DeviceGroup& device_group, const Upload& upload) {
  const Group& group = device_group.group();
  a.first_id = group.first_id, a.count = group.count;
  a.stride = group.stride, a.vertex_stride = group.vertex_stride;
  a.table = runtime::array(device_group.table(upload)), a.faces = runtime::array(device_group.faces());
  a.vertices_camera = runtime::array(device_group.vertices_camera());
}

}  // namespace diffrt::renderer::gpu
