// The pinhole camera, OpenCV's convention: x right, y down, z forward; u = fx X/Z + cx, v = fy Y/Z + cy.
#pragma once

#include "diffrt/types.hpp"

namespace diffrt {

// Pixel (column i, row j) has its centre at the integer point (i, j) and covers +-1/2. Images are [row,
// column].
struct PinholeCamera {
  int width = 0, height = 0;  // [px]
  double fx = 0, fy = 0;      // focal lengths [px], not zero
  double cx = 0, cy = 0;      // principal point [px]
  Matrix4 T_world_camera = identity4;
};

}  // namespace diffrt
