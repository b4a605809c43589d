// The sparse matrix S = d slots / d theta, primitive by primitive: J = J_local S, H = S' H_local S.
//
// Slots are in the camera frame: a sphere's centre and radius; a plane's normal and offset; a rigid mesh's
// small motion X + rho + phi x (X - pivot); the three vertices of a triangle. The camera's pose moves every
// primitive the other way, so it needs no slots of its own; only the intrinsics do, and theirs come last.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "scene/parameters.hpp"

namespace diffrt::renderer {

// Rows of S that belong to one primitive: slots x columns.size(), row-major, columns ascending.
struct Block {
  std::vector<int> columns;
  std::vector<double> coefficients;

  int width() const { return static_cast<int>(columns.size()); }
  double at(int slot, int column) const {
    return coefficients[static_cast<std::size_t>(slot * width() + column)];
  }
};

// Primitives with consecutive ids that share a kind of slots.
enum class GroupKind { spheres, planes, rigid_mesh, free_mesh };
int slots_of(GroupKind kind);

struct GroupLinearization {
  GroupKind kind = GroupKind::spheres;
  int first_id = 0, count = 0;
  int shape = -1;  // of a mesh: its place in the scene
  // One block for a rigid mesh; one per primitive for spheres and planes; none for a free mesh (they follow
  // from `mesh`).
  std::vector<Block> blocks;

  // For a free mesh: what its triangles' blocks are made of.
  struct FreeMesh {
    const std::int32_t* faces = nullptr;
    std::vector<double> vertices_camera;  // [V, 3]
    Eigen::Matrix3d R_camera_mesh = Eigen::Matrix3d::Identity();
    double by_vertex[9] = {};  // the same by rows: d (corner's slots) / d (its vertex)
    scene::Matrix6 mesh_pose = scene::Matrix6::Identity(),
                   camera_pose = scene::Matrix6::Identity();  // pose derivatives
    Eigen::Vector3d mesh_origin = Eigen::Vector3d::Zero();    // in the camera frame
    int vertices_column = -1, mesh_column = -1;
  } mesh;
};

class Linearization {
 public:
  // The first call arranges the groups, in the order spheres, planes, meshes; later ones only change numbers.
  // `pivots`: per shape, in the camera frame; read for rigid meshes.
  void update(const Scene& scene, const scene::Parameters& parameters, const scene::State& state,
              Span<const double> theta, PoseDerivative kind, const std::vector<Eigen::Vector3d>& pivots);

  const std::vector<GroupLinearization>& groups() const { return groups_; }
  // The block of a primitive of a group; `scratch` holds it where it has to be made. Slots: slots_of(kind),
  // and the camera's after them.
  const Block& block(const GroupLinearization& group, int index, Block& scratch) const;
  // d (a free triangle's 9 slots) / d (its mesh's pose), and by the camera's: 9 x 6, by rows.
  void triangle_by_poses(const GroupLinearization::FreeMesh& mesh, int face, double* by_mesh,
                         double* by_camera) const;
  const scene::CameraColumns& camera() const { return camera_; }
  bool camera_slots() const { return camera_.intrinsics(); }

 private:
  void arrange(const Scene& scene, const scene::Parameters& parameters);
  void free_triangle(const GroupLinearization::FreeMesh& mesh, int face, Block& block) const;

  std::vector<GroupLinearization> groups_;
  scene::CameraColumns camera_;
};

}  // namespace diffrt::renderer
