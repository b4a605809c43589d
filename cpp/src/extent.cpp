#include "extent.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "scene/se3.hpp"

namespace diffrt {
namespace {

using Eigen::Vector3d;

Vector3d vector(const Vector3& v) { return {v[0], v[1], v[2]}; }

// A box around vertices.
struct Box {
  Vector3d low = Vector3d::Constant(std::numeric_limits<double>::infinity());
  Vector3d high = -low;
};

// As often as there are corners at it: vertices that no face uses are anywhere.
template <class F>
void for_each_vertex(const Mesh& mesh, F&& visit) {
  const std::vector<double>& v = *mesh.vertices;
  for (const std::int32_t index : *mesh.faces) {
    const auto i = 3 * static_cast<std::size_t>(index);
    visit(Vector3d(v[i], v[i + 1], v[i + 2]));
  }
}

// The same in the camera frame.
template <class F>
void for_each_vertex(const Mesh& mesh, const PinholeCamera& camera, F&& visit) {
  const scene::Rigid T_camera_mesh =
      scene::to_rigid(camera.T_world_camera).inverse() * scene::to_rigid(mesh.T_world_mesh);
  for_each_vertex(mesh, [&](const Vector3d& x) { visit(T_camera_mesh * x); });
}

Vector3d camera_in(const Mesh& mesh, const PinholeCamera& camera) {
  return scene::to_rigid(mesh.T_world_mesh).inverse() * scene::to_rigid(camera.T_world_camera).t;
}

Box box_of(const Mesh& mesh) {
  Box box;
  for_each_vertex(mesh,
                  [&](const Vector3d& x) { box.low = box.low.cwiseMin(x), box.high = box.high.cwiseMax(x); });
  return box;
}

Vector3d in_camera(const Vector3& point, const PinholeCamera& camera) {
  return scene::to_rigid(camera.T_world_camera).inverse() * vector(point);
}

// The part of an interval that lies within `size` pixels.
double overlap(double low, double high, int size) {
  return std::max(0.0, std::min(high, size - 0.5) - std::max(low, -0.5));
}

}  // namespace

double distance_of(const Shape& shape, const PinholeCamera& camera) {
  if (const auto* sphere = std::get_if<Sphere>(&shape))
    return std::max(in_camera(sphere->center, camera).norm(), sphere->radius);
  if (const auto* plane = std::get_if<Plane>(&shape)) return in_camera(plane->point, camera).norm();
  Box box;
  for_each_vertex(std::get<Mesh>(shape), camera,
                  [&](const Vector3d& x) { box.low = box.low.cwiseMin(x), box.high = box.high.cwiseMax(x); });
  return std::max(0.5 * (box.low + box.high).norm(), 0.5 * (box.high - box.low).norm());
}

double area_of(const Shape& shape, const PinholeCamera& camera) {
  const double all = static_cast<double>(camera.width) * camera.height;
  double u0 = std::numeric_limits<double>::infinity(), v0 = u0, u1 = -u0, v1 = -v0;
  bool before = false, behind = false;
  const auto cover = [&](double x, double y, double z, double radius) {
    const double u = camera.fx * x / z + camera.cx, v = camera.fy * y / z + camera.cy;
    const double du = std::abs(camera.fx) * radius / z, dv = std::abs(camera.fy) * radius / z;
    u0 = std::min(u0, u - du), u1 = std::max(u1, u + du);
    v0 = std::min(v0, v - dv), v1 = std::max(v1, v + dv);
  };
  if (std::holds_alternative<Plane>(shape)) return all;
  if (const auto* sphere = std::get_if<Sphere>(&shape)) {
    const Vector3d c = in_camera(sphere->center, camera);
    before = c.z() > -sphere->radius, behind = c.z() < sphere->radius || c.norm() < sphere->radius;
    // Seen from the centre its cap is cut off at sqrt(z^2 - r^2), not at z.
    if (!behind) {
      const double widened =
          sphere->radius * c.norm() / std::sqrt(c.z() * c.z() - sphere->radius * sphere->radius);
      cover(c.x(), c.y(), c.z(), widened);
    }
  } else {
    for_each_vertex(std::get<Mesh>(shape), camera, [&](const Vector3d& x) {
      if (x.z() > 0) before = true, cover(x.x(), x.y(), x.z(), 0);
      behind = behind || x.z() <= 0;
    });
  }
  if (!before) return 0;
  return behind ? all : overlap(u0, u1, camera.width) * overlap(v0, v1, camera.height);
}

std::pair<double, double> reach_of(const Shape& shape, const PinholeCamera& camera) {
  if (const auto* sphere = std::get_if<Sphere>(&shape)) {
    const double distance = in_camera(sphere->center, camera).norm();
    return {std::max(distance - sphere->radius, 0.0), distance + sphere->radius};
  }
  if (const auto* plane = std::get_if<Plane>(&shape)) {
    const Vector3d to_point = vector(plane->point) - scene::to_rigid(camera.T_world_camera).t;
    const double distance = std::abs(vector(plane->normal).dot(to_point));
    return {distance, 10 * distance};
  }
  const Mesh& mesh = std::get<Mesh>(shape);
  const Box box = box_of(mesh);
  const Vector3d c = camera_in(mesh, camera), low = box.low - c, high = box.high - c;
  return {low.cwiseMax(-high).cwiseMax(0.0).norm(), low.cwiseAbs().cwiseMax(high.cwiseAbs()).norm()};
}

bool contains_camera(const Shape& shape, const PinholeCamera& camera) {
  if (const auto* sphere = std::get_if<Sphere>(&shape))
    return in_camera(sphere->center, camera).norm() < sphere->radius;
  const Mesh* mesh = std::get_if<Mesh>(&shape);
  if (mesh == nullptr) return false;
  const Vector3d c = camera_in(*mesh, camera);
  const Box box = box_of(*mesh);
  if (!(c.array() > box.low.array()).all() || !(c.array() < box.high.array()).all()) return false;
  // The solid angle that the faces cover (van Oosterom and Strackee 1983): the whole sphere from within a
  // closed mesh.
  double angle = 0;
  Vector3d corners[3];
  int corner = 0;
  for_each_vertex(*mesh, [&](const Vector3d& x) {
    corners[corner++] = x - c;
    if (corner < 3) return;
    corner = 0;
    const auto& [a, b, d] = corners;
    const double la = a.norm(), lb = b.norm(), ld = d.norm();
    angle += 2 * std::atan2(a.dot(b.cross(d)), la * lb * ld + a.dot(b) * ld + b.dot(d) * la + a.dot(d) * lb);
  });
  return std::abs(angle) > 2 * M_PI;
}

}  // namespace diffrt
