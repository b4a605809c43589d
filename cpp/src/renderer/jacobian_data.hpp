// What a Jacobian holds: its rows, and the linearization that takes their slots to theta.
#pragma once

#include <memory>

#include "renderer/linearization.hpp"
#include "renderer/row_storage.hpp"

namespace diffrt {

class JacobianData {
 public:
  renderer::TileGrid grid{0, 0};
  int channels = 1;
  int planes = 0;  // per channel
  std::size_t parameters = 0;
  bool dense = false;  // whether the planes are the columns of J already: then planes = P
  int camera_slots = 0;
  std::shared_ptr<renderer::RowStorage> rows;
  renderer::Linearization linearization;
  std::shared_ptr<const void> keep_alive;  // the faces that the linearization refers to

  std::size_t pixels() const {
    return static_cast<std::size_t>(grid.width) * static_cast<std::size_t>(grid.height);
  }
  const float* plane(int channel, int k) const {
    return rows->planes.get() + (static_cast<std::size_t>(channel * planes + k)) * pixels();
  }
  // The plane of a group's slot: its own come first, the camera's last.
  int plane_of(const renderer::GroupLinearization& group, int slot) const {
    const int own = renderer::slots_of(group.kind);
    return slot < own ? slot : planes - camera_slots + (slot - own);
  }
};

}  // namespace diffrt
