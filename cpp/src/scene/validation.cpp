#include "scene/validation.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <set>

#include "diffrt/errors.hpp"
#include "scene/se3.hpp"

namespace diffrt::scene {
namespace {

constexpr int max_side = 16384;
// Primitive ids are int32, and so are the counts of tile lists.
constexpr std::size_t max_faces = 200'000'000;

[[noreturn]] void refuse(const std::string& what) { throw ArgumentError(what); }

bool finite(const Vector3& v) { return std::isfinite(v[0]) && std::isfinite(v[1]) && std::isfinite(v[2]); }

void check_rigid(const Matrix4& T, const std::string& name) {
  for (const double x : T) {
    if (!std::isfinite(x)) refuse(name + ": has entries that are not finite");
  }
  if (T[12] != 0 || T[13] != 0 || T[14] != 0 || T[15] != 1) refuse(name + ": the last row must be 0 0 0 1");
  const Eigen::Matrix3d R = to_rigid(T).R;
  const double deviation = (R.transpose() * R - Eigen::Matrix3d::Identity()).cwiseAbs().maxCoeff();
  if (deviation > 1e-6 || R.determinant() < 0) {
    refuse(
        name + ": its 3x3 part is not a rotation (R'R deviates from I by " + text(deviation) + ", det " +
        text(R.determinant()) +
        "). Scale is not allowed in a pose: scale the vertices instead; rounded rotations: orthonormalise.");
  }
}

void check_camera(const PinholeCamera& camera) {
  if (camera.width < 1 || camera.height < 1 || camera.width > max_side || camera.height > max_side) {
    refuse("camera: width and height must be 1 to " + std::to_string(max_side) + ", got " +
           std::to_string(camera.width) + " x " + std::to_string(camera.height));
  }
  for (const double x : {camera.fx, camera.fy, camera.cx, camera.cy}) {
    if (!std::isfinite(x)) refuse("camera: fx, fy, cx, cy must be finite numbers, in pixels");
  }
  if (!(camera.fx > 0) || !(camera.fy > 0)) {
    refuse("camera: fx and fy must be positive, got " + text(camera.fx) + " and " + text(camera.fy) +
           " [px]");
  }
  check_rigid(camera.T_world_camera, "camera.T_world_camera");
}

struct ShapeChecker {
  const std::string& name;

  void operator()(const Sphere& sphere) const {
    if (!finite(sphere.center)) refuse(name + ".center: has entries that are not finite");
    if (!(sphere.radius > 0) || !std::isfinite(sphere.radius)) {
      refuse(name + ".radius: must be positive and finite, got " + text(sphere.radius));
    }
  }
  void operator()(const Plane& plane) const {
    if (!finite(plane.point)) refuse(name + ".point: has entries that are not finite");
    if (!finite(plane.normal) || plane.normal == Vector3{0, 0, 0}) {
      refuse(name + ".normal: must be finite and not zero");
    }
  }
  void operator()(const Mesh& mesh) const {
    check_rigid(mesh.T_world_mesh, name + ".T_world_mesh");
    if (mesh.vertices == nullptr || mesh.vertices->empty() || mesh.vertices->size() % 3 != 0) {
      refuse(name + ".vertices: must be [V, 3] with V >= 1");
    }
    if (mesh.faces == nullptr || mesh.faces->empty() || mesh.faces->size() % 3 != 0) {
      refuse(name + ".faces: must be [F, 3] with F >= 1; a point cloud cannot be rendered");
    }
    if (mesh.faces->size() / 3 > max_faces) refuse(name + ".faces: more than 200 million");
    const auto count = static_cast<std::int64_t>(mesh.vertices->size() / 3);
    for (std::size_t i = 0; i < mesh.faces->size(); ++i) {
      const std::int32_t v = (*mesh.faces)[i];
      if (v < 0 || v >= count) {
        refuse(name + ".faces: face " + std::to_string(i / 3) + " has vertex " + std::to_string(v) +
               ", but there are " + std::to_string(count) + " vertices. Indices start at 0" +
               (v == count ? " (the file's may start at 1)." : "."));
      }
      const double* X = mesh.vertices->data() + 3 * static_cast<std::size_t>(v);
      if (!finite({X[0], X[1], X[2]})) {
        refuse(name + ".vertices: vertex " + std::to_string(v) + ", which face " + std::to_string(i / 3) +
               " uses, is not finite");
      }
    }
  }
};

std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

void check(const Scene& scene) {
  check_camera(scene.camera);
  if (scene.shapes.empty())
    refuse("scene: has no shapes. Give at least one, as in {\"ball\": Sphere(center, radius)}.");
  std::set<std::string> seen;
  for (const auto& [name, shape] : scene.shapes) {
    if (name.empty() || name.find('.') != std::string::npos || name == "camera") {
      refuse("scene: '" + name +
             "' cannot name a shape: names are not empty, have no '.', and are not 'camera'");
    }
    if (!seen.insert(name).second) refuse("scene: two shapes are named '" + name + "'");
    std::visit(ShapeChecker{name}, shape);
  }
}

std::string joined(const std::vector<std::string>& names) {
  std::string result;
  for (const std::string& name : names) result += (result.empty() ? "" : ", ") + name;
  return result;
}

std::string suggestion(const std::string& name, const std::vector<std::string>& candidates) {
  std::size_t best = std::numeric_limits<std::size_t>::max();
  std::string closest;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(name, candidate);
    if (distance < best) best = distance, closest = candidate;
  }
  return best <= 1 + name.size() / 3 ? " Perhaps you meant '" + closest + "'?" : "";
}

std::string text(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.6g", value);
  return buffer;
}

}  // namespace diffrt::scene

namespace diffrt {

const Shape& Scene::shape(const std::string& name) const {
  std::vector<std::string> names;
  for (const auto& [other, shape] : shapes) {
    if (other == name) return shape;
    names.push_back(other);
  }
  throw ArgumentError("scene has no shape '" + name + "'." + scene::suggestion(name, names) + " It has " +
                      scene::joined(names) + ".");
}

std::vector<std::string> valid_free_names(const Scene& scene) {
  struct Names {
    std::vector<std::string> operator()(const Sphere&) const { return {"center", "radius"}; }
    std::vector<std::string> operator()(const Plane&) const { return {"point", "normal"}; }
    std::vector<std::string> operator()(const Mesh&) const { return {"pose", "vertices"}; }
  };
  std::vector<std::string> result;
  for (const auto& [name, shape] : scene.shapes) {
    for (const std::string& field : std::visit(Names{}, shape)) result.push_back(name + "." + field);
  }
  for (const char* field : {"pose", "focal", "principal"}) result.push_back(std::string("camera.") + field);
  return result;
}

}  // namespace diffrt
