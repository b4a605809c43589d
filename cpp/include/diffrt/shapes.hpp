// Shapes: plain values. They are checked when a Renderer is built of them.
#pragma once

#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "diffrt/types.hpp"

namespace diffrt {

// A sphere in the world frame. Free names: NAME.center (3) [scene units], NAME.radius (1), > 0.
struct Sphere {
  Vector3 center{};
  double radius = 1;
};

// An infinite plane in the world frame, seen from both sides. Free names: NAME.point (3), NAME.normal (3), of
// any length but 0.
struct Plane {
  Vector3 point{};
  Vector3 normal{0, 0, 1};
};

// A triangle mesh, seen from both sides. Free names: NAME.pose (6), NAME.vertices (3 V, in the mesh frame).
// Vertices and faces are shared, not copied, and must not change. Vertices are finite where faces use them,
// and all of them where they are free.
struct Mesh {
  std::shared_ptr<const std::vector<double>> vertices;     // [V, 3], mesh frame
  std::shared_ptr<const std::vector<std::int32_t>> faces;  // [F, 3], indices into vertices
  Matrix4 T_world_mesh = identity4;
};

using Shape = std::variant<Sphere, Plane, Mesh>;

}  // namespace diffrt
