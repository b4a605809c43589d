#include "renderer/linearization.hpp"

#include "diffrt_kernels.hpp"

namespace diffrt::renderer {
namespace {

using Eigen::Matrix3d;
using Eigen::MatrixXd;
using Eigen::Vector3d;
using scene::Matrix6;
using scene::Rigid;
using scene::skew;

// Puts a block together from parts (rows from first_slot on, columns from `column` on) and sorts them. The
// intrinsics' slots, if they are free, come after the primitive's own.
class BlockBuilder {
 public:
  BlockBuilder(int own_slots, const scene::CameraColumns& camera)
      : slots_(own_slots + (camera.intrinsics() ? kernels::camera_slots : 0)) {
    add(camera.focal, Eigen::Matrix2d::Identity(), own_slots);
    add(camera.principal, Eigen::Matrix2d::Identity(), own_slots + 2);
  }

  template <class M>
  void add(int column, const Eigen::MatrixBase<M>& coefficients, int first_slot = 0) {
    if (column < 0) return;
    int place = count_++;
    for (; place > 0 && parts_[place - 1].column > column; --place) parts_[place] = parts_[place - 1];
    parts_[place] = {column, width_, static_cast<int>(coefficients.cols())};
    for (Eigen::Index k = 0; k < coefficients.cols(); ++k, ++width_) {
      for (int slot = 0; slot < slots_; ++slot) {
        const int row = slot - first_slot;
        values_[width_][slot] = row >= 0 && row < coefficients.rows() ? coefficients(row, k) : 0.0;
      }
    }
  }

  // Writes the block, columns ascending. Its memory is used again.
  void build(Block& block) const {
    block.columns.resize(static_cast<std::size_t>(width_));
    block.coefficients.resize(static_cast<std::size_t>(width_ * slots_));
    int* column = block.columns.data();
    double* to = block.coefficients.data();
    for (int i = 0; i < count_; ++i) {
      for (int k = 0; k < parts_[i].width; ++k, ++to) {
        *column++ = parts_[i].column + k;
        for (int slot = 0; slot < slots_; ++slot) to[slot * width_] = values_[parts_[i].first + k][slot];
      }
    }
  }

 private:
  // The widest: a free triangle (9), its mesh's pose, the camera's pose, focal lengths and principal point.
  static constexpr int max_width = 9 + 6 + 6 + 4, max_slots = 9 + 4, max_parts = 3 + 1 + 1 + 2;
  struct Part {
    int column, first, width;  // first: of its columns in values_
  };
  int slots_, width_ = 0, count_ = 0;
  Part parts_[max_parts];  // by column
  double values_[max_width][max_slots];
};

using Matrix46 = Eigen::Matrix<double, 4, 6>;
using Matrix43 = Eigen::Matrix<double, 4, 3>;
using Matrix36 = Eigen::Matrix<double, 3, 6>;

// d X_camera / d (rho, phi) of the camera's pose, for a point fixed in the world: X' = X - rho - phi x X.
Matrix36 point_by_camera(const Vector3d& X) {
  Matrix36 M;
  M << -Matrix3d::Identity(), skew(X);
  return M;
}

// d X_camera / d (rho, phi) of the mesh's pose: X' = X + R rho + (R phi) x (X - origin).
Matrix36 point_by_mesh(const Vector3d& X, const Matrix3d& R, const Vector3d& origin) {
  Matrix36 M;
  M << R, -skew(X - origin) * R;
  return M;
}

void sphere_block(Block& block, const scene::ShapeState& shape, const scene::ShapeColumns& columns,
                  const Rigid& T_camera_world, const scene::CameraColumns& camera,
                  const Matrix6& camera_pose) {
  BlockBuilder builder(4, camera);
  Matrix43 center = Matrix43::Zero();
  center.topRows<3>() = T_camera_world.R;
  builder.add(columns.center, center);
  builder.add(columns.radius, Eigen::Vector4d(0, 0, 0, 1));
  if (camera.pose >= 0) {
    Matrix46 pose = Matrix46::Zero();
    pose.topRows<3>() = point_by_camera(T_camera_world * shape.center) * camera_pose;
    builder.add(camera.pose, pose);
  }
  builder.build(block);
}

void plane_block(Block& block, const scene::ShapeState& shape, const scene::ShapeColumns& columns,
                 const Rigid& T_world_camera, const scene::CameraColumns& camera,
                 const Matrix6& camera_pose) {
  // Slots (n, offset): n = R_cw N / |N|, offset = (N / |N|) . (point - t_world_camera).
  BlockBuilder builder(4, camera);
  const double length = shape.normal.norm();
  const Vector3d unit = shape.normal / length;
  const Matrix3d projection = (Matrix3d::Identity() - unit * unit.transpose()) / length;
  Matrix43 point = Matrix43::Zero(), normal;
  point.row(3) = unit.transpose();
  normal.topRows<3>() = T_world_camera.R.transpose() * projection;
  normal.row(3) = (shape.point - T_world_camera.t).transpose() * projection;
  builder.add(columns.point, point);
  builder.add(columns.normal, normal);
  if (camera.pose >= 0) {
    Matrix46 pose = Matrix46::Zero();
    const Vector3d n_camera = T_world_camera.R.transpose() * unit;
    pose.topRightCorner<3, 3>() = skew(n_camera);
    pose.bottomLeftCorner<1, 3>() = -n_camera.transpose();
    builder.add(camera.pose, Matrix46(pose * camera_pose));
  }
  builder.build(block);
}

void mesh_block(Block& block, const Vector3d& pivot, const Rigid& T_camera_mesh, int mesh_column,
                const Matrix6& mesh_pose, const scene::CameraColumns& camera, const Matrix6& camera_pose) {
  // X + rho_l + phi_l x (X - pivot): phi_l is the rotation, rho_l the motion of the pivot.
  BlockBuilder builder(6, camera);
  if (mesh_column >= 0) {
    Matrix6 by_mesh = Matrix6::Zero();
    by_mesh.topRows<3>() = point_by_mesh(pivot, T_camera_mesh.R, T_camera_mesh.t);
    by_mesh.bottomRightCorner<3, 3>() = T_camera_mesh.R;
    builder.add(mesh_column, Matrix6(by_mesh * mesh_pose));
  }
  if (camera.pose >= 0) {
    Matrix6 by_camera = Matrix6::Zero();
    by_camera.topRows<3>() = point_by_camera(pivot);
    by_camera.bottomRightCorner<3, 3>() = -Matrix3d::Identity();
    builder.add(camera.pose, Matrix6(by_camera * camera_pose));
  }
  builder.build(block);
}

}  // namespace

int slots_of(GroupKind kind) {
  switch (kind) {
    case GroupKind::spheres:
      return kernels::slots_sphere;
    case GroupKind::planes:
      return kernels::slots_plane;
    case GroupKind::rigid_mesh:
      return kernels::slots_triangle;
    case GroupKind::free_mesh:
      return kernels::slots_free_triangle;
  }
  return 0;
}

void Linearization::update(const Scene& scene, const scene::Parameters& parameters, const scene::State& state,
                           Span<const double> theta, PoseDerivative kind,
                           const std::vector<Vector3d>& pivots) {
  const scene::CameraColumns& camera = parameters.camera_columns();
  const Rigid T_camera_world = state.T_world_camera.inverse();
  const Matrix6 camera_pose =
      camera.pose >= 0 ? parameters.pose_derivative(theta, camera.pose, kind) : Matrix6(Matrix6::Identity());

  camera_ = camera;
  if (groups_.empty()) arrange(scene, parameters);
  int sphere = 0, plane = 0;
  std::size_t mesh_group = groups_.size();
  while (mesh_group > 0 && groups_[mesh_group - 1].shape >= 0) --mesh_group;
  for (std::size_t i = 0; i < scene.shapes.size(); ++i) {
    const scene::ShapeColumns& columns = parameters.columns(i);
    const scene::ShapeState& shape = state.shapes[i];
    if (std::holds_alternative<Sphere>(scene.shapes[i].second)) {
      Block& block = groups_.front().blocks[static_cast<std::size_t>(sphere++)];
      sphere_block(block, shape, columns, T_camera_world, camera, camera_pose);
    } else if (std::holds_alternative<Plane>(scene.shapes[i].second)) {
      Block& block = groups_[mesh_group - 1].blocks[static_cast<std::size_t>(plane++)];
      plane_block(block, shape, columns, state.T_world_camera, camera, camera_pose);
    }
  }
  for (; mesh_group < groups_.size(); ++mesh_group) {
    GroupLinearization& group = groups_[mesh_group];
    const auto i = static_cast<std::size_t>(group.shape);
    const scene::ShapeColumns& columns = parameters.columns(i);
    const Rigid T_camera_mesh = T_camera_world * state.shapes[i].T_world_mesh;
    const Matrix6 mesh_pose = columns.pose >= 0 ? parameters.pose_derivative(theta, columns.pose, kind)
                                                : Matrix6(Matrix6::Identity());
    if (group.kind == GroupKind::rigid_mesh) {
      mesh_block(group.blocks[0], pivots[i], T_camera_mesh, columns.pose, mesh_pose, camera, camera_pose);
      continue;
    }
    auto& free = group.mesh;
    for (std::size_t v = 0; v < free.vertices_camera.size(); v += 3) {
      Eigen::Map<Vector3d>(&free.vertices_camera[v]) =
          T_camera_mesh * Vector3d(Eigen::Map<const Vector3d>(state.shapes[i].vertices + v));
    }
    free.R_camera_mesh = T_camera_mesh.R;
    Eigen::Map<Eigen::Matrix<double, 3, 3, Eigen::RowMajor>>(free.by_vertex) = T_camera_mesh.R;
    free.mesh_origin = T_camera_mesh.t;
    free.mesh_pose = mesh_pose;
    free.camera_pose = camera_pose;
  }
}

void Linearization::arrange(const Scene& scene, const scene::Parameters& parameters) {
  GroupLinearization spheres, planes;
  spheres.kind = GroupKind::spheres;
  planes.kind = GroupKind::planes;
  for (const auto& [name, shape] : scene.shapes) {
    spheres.count += std::holds_alternative<Sphere>(shape) ? 1 : 0;
    planes.count += std::holds_alternative<Plane>(shape) ? 1 : 0;
  }
  int next_id = 0;
  for (GroupLinearization* group : {&spheres, &planes}) {
    if (group->count == 0) continue;
    group->first_id = next_id;
    group->blocks.resize(static_cast<std::size_t>(group->count));
    next_id += group->count;
    groups_.push_back(std::move(*group));
  }
  for (std::size_t i = 0; i < scene.shapes.size(); ++i) {
    const Mesh* mesh = std::get_if<Mesh>(&scene.shapes[i].second);
    if (mesh == nullptr) continue;
    GroupLinearization group;
    group.shape = static_cast<int>(i);
    group.first_id = next_id;
    group.count = static_cast<int>(mesh->faces->size() / 3);
    next_id += group.count;
    group.kind = parameters.columns(i).vertices < 0 ? GroupKind::rigid_mesh : GroupKind::free_mesh;
    if (group.kind == GroupKind::rigid_mesh) {
      group.blocks.resize(1);
    } else {
      group.mesh.faces = mesh->faces->data();
      group.mesh.vertices_camera.resize(mesh->vertices->size());
      group.mesh.vertices_column = parameters.columns(i).vertices;
      group.mesh.mesh_column = parameters.columns(i).pose;
    }
    groups_.push_back(std::move(group));
  }
}

using Matrix96 = Eigen::Matrix<double, 9, 6, Eigen::RowMajor>;

void Linearization::triangle_by_poses(const GroupLinearization::FreeMesh& mesh, int face, double* by_mesh,
                                      double* by_camera) const {
  for (int corner = 0; corner < 3; ++corner) {
    const auto v = static_cast<std::size_t>(mesh.faces[3 * face + corner]);
    const Vector3d X = Eigen::Map<const Vector3d>(&mesh.vertices_camera[3 * v]);
    Eigen::Map<Matrix96>(by_mesh).middleRows<3>(3 * corner) =
        point_by_mesh(X, mesh.R_camera_mesh, mesh.mesh_origin) * mesh.mesh_pose;
    Eigen::Map<Matrix96>(by_camera).middleRows<3>(3 * corner) = point_by_camera(X) * mesh.camera_pose;
  }
}

void Linearization::free_triangle(const GroupLinearization::FreeMesh& mesh, int face, Block& block) const {
  BlockBuilder builder(9, camera_);
  for (int corner = 0; corner < 3; ++corner) {
    Eigen::Matrix<double, 9, 3> by_vertex = Eigen::Matrix<double, 9, 3>::Zero();
    by_vertex.middleRows<3>(3 * corner) = mesh.R_camera_mesh;
    builder.add(mesh.vertices_column + 3 * mesh.faces[3 * face + corner], by_vertex);
  }
  Matrix96 by_mesh, by_camera;
  triangle_by_poses(mesh, face, by_mesh.data(), by_camera.data());
  builder.add(mesh.mesh_column, by_mesh);
  builder.add(camera_.pose, by_camera);
  builder.build(block);
}

const Block& Linearization::block(const GroupLinearization& group, int index, Block& scratch) const {
  if (group.kind == GroupKind::rigid_mesh) return group.blocks[0];
  if (group.kind != GroupKind::free_mesh) return group.blocks[static_cast<std::size_t>(index)];
  free_triangle(group.mesh, index, scratch);
  return scratch;
}

}  // namespace diffrt::renderer
