// Which triangles count as one.
#pragma once

#include <Eigen/Core>
#include <Eigen/Geometry>
#include <algorithm>

namespace diffrt::scene {

// Whether a triangle is a line or a point: twice its area against its longest side.
inline bool degenerate(const Eigen::Vector3d& a, const Eigen::Vector3d& b, const Eigen::Vector3d& c) {
  const double longest = std::max({(b - a).squaredNorm(), (c - b).squaredNorm(), (a - c).squaredNorm()});
  return !((b - a).cross(c - a).norm() > 1e-10 * longest);
}

}  // namespace diffrt::scene
