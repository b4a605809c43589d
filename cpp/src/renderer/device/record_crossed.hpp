// Arguments that the kernels of crossed pixels share by name.
#pragma once

#include "renderer/device/crossed.hpp"
#include "renderer/device/surface_arguments.hpp"

namespace diffrt::renderer::gpu {

// The tables of spheres and planes.
template <class Arguments>
void Crossed::set_smooth(Arguments& a) const {
  const auto table_of = [this](const DeviceGroup* group) {
    return group == nullptr ? runtime::DeviceArray<float>() : group->table(scene_.upload);
  };
  a.sphere_count = sphere_count_;
  a.spheres = runtime::array(table_of(spheres_)), a.planes = runtime::array(table_of(planes_));
}

template <class Arguments>
void Crossed::set_size(Arguments& a) const {
  a.tiles_x = scene_.grid.across;
  a.width = scene_.grid.width, a.height = scene_.grid.height;
}

// The tile lists of a group, which may be none.
template <class Arguments>
void set_lists(Arguments& a, const DeviceGroup* group) {
  if (group == nullptr) return;
  a.offsets = runtime::array(group->lists()->offsets()),
  a.candidates = runtime::array(group->lists()->candidates());
}

}  // namespace diffrt::renderer::gpu
