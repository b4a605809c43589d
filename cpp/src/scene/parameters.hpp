// From theta to the numbers of a scene, and back: blocks, increments of poses, re-centring.
#pragma once

#include <string>
#include <vector>

#include "diffrt/renderer.hpp"
#include "scene/se3.hpp"

namespace diffrt::scene {

// The numbers of a shape at some theta. Which of them mean anything depends on the shape.
struct ShapeState {
  Eigen::Vector3d center = Eigen::Vector3d::Zero();  // sphere
  double radius = 0;
  Eigen::Vector3d point = Eigen::Vector3d::Zero(), normal = Eigen::Vector3d::Zero();  // plane
  Rigid T_world_mesh;
  const double* vertices = nullptr;  // [V, 3]: the mesh's own, or moved_vertices
  std::vector<double> moved_vertices;
};

struct State {
  double fx = 0, fy = 0, cx = 0, cy = 0;
  Rigid T_world_camera;
  std::vector<ShapeState> shapes;  // as in the scene
};

// Where in theta a shape's blocks start, or -1.
struct ShapeColumns {
  int center = -1, radius = -1, point = -1, normal = -1, pose = -1, vertices = -1;
};

struct CameraColumns {
  int pose = -1, focal = -1, principal = -1;
  bool intrinsics() const { return focal >= 0 || principal >= 0; }
};

class Parameters {
 public:
  // Throws ArgumentError that names an unknown or repeated free name and lists the valid ones.
  Parameters(const Scene& scene, const std::vector<std::string>& free);

  std::size_t size() const { return theta0_.size(); }
  const std::vector<double>& theta0() const { return theta0_; }
  const std::vector<ParameterBlock>& blocks() const { return blocks_; }
  const ShapeColumns& columns(std::size_t shape) const { return shape_columns_[shape]; }
  const CameraColumns& camera_columns() const { return camera_columns_; }

  // Throws ArgumentError unless theta has the right length, is finite, and gives shapes that can be rendered.
  void check(Span<const double> theta) const;
  // The numbers at theta, which has been checked. `state` keeps its memory.
  void apply(Span<const double> theta, State& state) const;
  Scene scene_at(Span<const double> theta) const;

  void plus(Span<const double> theta, Span<const double> delta, Span<double> out) const;
  void tangent_row(Span<const double> theta, std::size_t i, Span<double> row) const;
  // The block that parameter i is of if that is a pose, or null; and the six numbers of its tangent_row
  // there.
  const ParameterBlock* pose_with(std::size_t i) const;
  void pose_row(Span<const double> theta, const ParameterBlock& pose, std::size_t i, double* row) const;
  // d (increment of the pose at column) / d theta: right_jacobian, or the identity for
  // PoseDerivative::tangent.
  Matrix6 pose_derivative(Span<const double> theta, int column, PoseDerivative kind) const;

 private:
  Scene scene_;
  std::vector<double> theta0_;
  std::vector<ParameterBlock> blocks_;
  std::vector<ShapeColumns> shape_columns_;
  CameraColumns camera_columns_;
};

}  // namespace diffrt::scene
