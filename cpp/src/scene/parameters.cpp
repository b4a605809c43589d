#include "scene/parameters.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "check_span.hpp"
#include "diffrt/errors.hpp"
#include "scene/validation.hpp"

namespace diffrt::scene {
namespace {

Eigen::Vector3d vector3(const double* p) { return {p[0], p[1], p[2]}; }
Vector3 array3(const double* p) { return {p[0], p[1], p[2]}; }
Vector6 vector6(const double* p) { return Eigen::Map<const Vector6>(p); }

// The number that a positive or nonzero parameter has, for messages.
[[noreturn]] void refuse(const std::string& what) { throw ArgumentError("theta: " + what); }

}  // namespace

Parameters::Parameters(const Scene& scene, const std::vector<std::string>& free)
    : scene_(scene), shape_columns_(scene.shapes.size()) {
  const std::vector<std::string> valid = valid_free_names(scene);
  const std::unordered_set<std::string> known(valid.begin(), valid.end());
  std::unordered_map<std::string, std::size_t> places;
  for (const auto& [name, shape] : scene.shapes) places.emplace(name, places.size());
  std::unordered_set<std::string> seen;
  for (const std::string& name : free) {
    if (known.count(name) == 0) {
      throw ArgumentError("free: unknown name '" + name + "'." + suggestion(name, valid) +
                          " Valid names: " + joined(valid) + ".");
    }
    if (!seen.insert(name).second) throw ArgumentError("free: '" + name + "' is given twice");

    const std::size_t dot = name.find('.');
    const std::string owner = name.substr(0, dot), field = name.substr(dot + 1);
    const int offset = static_cast<int>(theta0_.size());
    const auto append = [&](const double* values, std::size_t count) {
      theta0_.insert(theta0_.end(), values, values + count);
    };
    const double zeros[6] = {};
    if (owner == "camera") {
      const PinholeCamera& camera = scene.camera;
      const double focal[2] = {camera.fx, camera.fy}, principal[2] = {camera.cx, camera.cy};
      if (field == "pose") camera_columns_.pose = offset, append(zeros, 6);
      if (field == "focal") camera_columns_.focal = offset, append(focal, 2);
      if (field == "principal") camera_columns_.principal = offset, append(principal, 2);
    } else {
      const std::size_t i = places.at(owner);
      ShapeColumns& columns = shape_columns_[i];
      const Shape& shape = scene.shapes[i].second;
      if (field == "center") columns.center = offset, append(std::get<Sphere>(shape).center.data(), 3);
      if (field == "radius") columns.radius = offset, append(&std::get<Sphere>(shape).radius, 1);
      if (field == "point") columns.point = offset, append(std::get<Plane>(shape).point.data(), 3);
      if (field == "normal") columns.normal = offset, append(std::get<Plane>(shape).normal.data(), 3);
      if (field == "pose") columns.pose = offset, append(zeros, 6);
      if (field == "vertices") {
        const std::vector<double>& vertices = *std::get<Mesh>(shape).vertices;
        for (std::size_t i = 0; i < vertices.size(); ++i) {
          if (std::isfinite(vertices[i])) continue;
          throw ArgumentError("free: '" + name + "' has to be finite, but vertex " + std::to_string(i / 3) +
                              ", which no face uses, is not. Remove or replace it, or leave '" + name +
                              "' out.");
        }
        columns.vertices = offset, append(vertices.data(), vertices.size());
      }
    }
    blocks_.push_back({name, static_cast<std::size_t>(offset),
                       theta0_.size() - static_cast<std::size_t>(offset), field == "pose"});
  }
}

void Parameters::check(Span<const double> theta) const {
  if (theta.size() != size()) {
    std::string layout;
    for (const ParameterBlock& block : blocks_) {
      layout += (layout.empty() ? "" : ", ") + block.name + " (" + std::to_string(block.size) + ")";
    }
    refuse("has " + std::to_string(theta.size()) + " numbers, expected " + std::to_string(size()) +
           (layout.empty() ? ": nothing is free" : ": " + layout));
  }
  check_span("theta", theta, size(), "P");
  for (const ParameterBlock& block : blocks_) {
    for (std::size_t i = block.offset; i < block.offset + block.size; ++i) {
      if (!std::isfinite(theta[i])) {
        refuse("entry " + std::to_string(i) + " (" + block.name + "[" + std::to_string(i - block.offset) +
               "]) is not finite");
      }
    }
  }
  for (std::size_t i = 0; i < shape_columns_.size(); ++i) {
    const ShapeColumns& columns = shape_columns_[i];
    const std::string& name = scene_.shapes[i].first;
    if (columns.radius >= 0 && !(theta[static_cast<std::size_t>(columns.radius)] > 0)) {
      refuse(name + ".radius must be positive, got " + text(theta[static_cast<std::size_t>(columns.radius)]) +
             ". In a fit, a lower bound keeps it so.");
    }
    if (columns.normal >= 0 && vector3(&theta[static_cast<std::size_t>(columns.normal)]).isZero(0))
      refuse(name + ".normal must not be zero");
  }
  if (camera_columns_.focal >= 0) {
    const double* f = &theta[static_cast<std::size_t>(camera_columns_.focal)];
    if (!(f[0] > 0 && f[1] > 0))
      refuse("camera.focal must be positive, got " + text(f[0]) + ", " + text(f[1]));
  }
}

void Parameters::apply(Span<const double> theta, State& state) const {
  const double* t = theta.data();
  const PinholeCamera& camera = scene_.camera;
  state.fx = camera.fx, state.fy = camera.fy, state.cx = camera.cx, state.cy = camera.cy;
  if (camera_columns_.focal >= 0)
    state.fx = t[camera_columns_.focal], state.fy = t[camera_columns_.focal + 1];
  if (camera_columns_.principal >= 0)
    state.cx = t[camera_columns_.principal], state.cy = t[camera_columns_.principal + 1];
  state.T_world_camera = to_rigid(camera.T_world_camera);
  if (camera_columns_.pose >= 0)
    state.T_world_camera = state.T_world_camera * exp(vector6(t + camera_columns_.pose));

  state.shapes.resize(scene_.shapes.size());
  for (std::size_t i = 0; i < scene_.shapes.size(); ++i) {
    const ShapeColumns& columns = shape_columns_[i];
    ShapeState& shape = state.shapes[i];
    if (const auto* sphere = std::get_if<Sphere>(&scene_.shapes[i].second)) {
      shape.center = vector3(columns.center >= 0 ? t + columns.center : sphere->center.data());
      shape.radius = columns.radius >= 0 ? t[columns.radius] : sphere->radius;
    } else if (const auto* plane = std::get_if<Plane>(&scene_.shapes[i].second)) {
      shape.point = vector3(columns.point >= 0 ? t + columns.point : plane->point.data());
      shape.normal = vector3(columns.normal >= 0 ? t + columns.normal : plane->normal.data());
    } else {
      const Mesh& mesh = std::get<Mesh>(scene_.shapes[i].second);
      shape.T_world_mesh = to_rigid(mesh.T_world_mesh);
      if (columns.pose >= 0) shape.T_world_mesh = shape.T_world_mesh * exp(vector6(t + columns.pose));
      shape.vertices = mesh.vertices->data();
      if (columns.vertices >= 0) {
        shape.moved_vertices.assign(t + columns.vertices, t + columns.vertices + mesh.vertices->size());
        shape.vertices = shape.moved_vertices.data();
      }
    }
  }
}

Scene Parameters::scene_at(Span<const double> theta) const {
  check(theta);
  State state;
  apply(theta, state);
  Scene scene = scene_;
  scene.camera.fx = state.fx, scene.camera.fy = state.fy, scene.camera.cx = state.cx,
  scene.camera.cy = state.cy;
  const auto rounded = [](const Rigid& T) { return to_matrix({orthonormalised(T.R), T.t}); };
  if (camera_columns_.pose >= 0) scene.camera.T_world_camera = rounded(state.T_world_camera);
  for (std::size_t i = 0; i < scene.shapes.size(); ++i) {
    const ShapeState& shape = state.shapes[i];
    if (auto* sphere = std::get_if<Sphere>(&scene.shapes[i].second)) {
      sphere->center = array3(shape.center.data());
      sphere->radius = shape.radius;
    } else if (auto* plane = std::get_if<Plane>(&scene.shapes[i].second)) {
      plane->point = array3(shape.point.data());
      plane->normal = array3(shape.normal.data());
    } else {
      Mesh& mesh = std::get<Mesh>(scene.shapes[i].second);
      if (shape_columns_[i].pose >= 0) mesh.T_world_mesh = rounded(shape.T_world_mesh);
      if (shape_columns_[i].vertices >= 0)
        mesh.vertices = std::make_shared<const std::vector<double>>(shape.moved_vertices);
    }
  }
  return scene;
}

void Parameters::plus(Span<const double> theta, Span<const double> delta, Span<double> out) const {
  check_span("theta", theta, size(), "P");
  check_span("delta", delta, size(), "P");
  check_span("out", out, size(), "P");
  for (std::size_t i = 0; i < size(); ++i) out[i] = theta[i] + delta[i];
  for (const ParameterBlock& block : blocks_) {
    if (!block.is_pose) continue;
    Eigen::Map<Vector6>(out.data() + block.offset) =
        log(exp(vector6(theta.data() + block.offset)) * exp(vector6(delta.data() + block.offset)));
  }
}

void Parameters::tangent_row(Span<const double> theta, std::size_t i, Span<double> row) const {
  check_span("theta", theta, size(), "P");
  check_span("row", row, size(), "P");
  if (i >= size())
    throw ArgumentError("i: is " + std::to_string(i) + ", and there are " + std::to_string(size()) + " rows");
  std::fill(row.begin(), row.end(), 0.0);
  const ParameterBlock* pose = pose_with(i);
  if (pose != nullptr) return pose_row(theta, *pose, i, row.data() + pose->offset);
  row[i] = 1;
}

const ParameterBlock* Parameters::pose_with(std::size_t i) const {
  const auto next = std::upper_bound(blocks_.begin(), blocks_.end(), i,
                                     [](std::size_t i, const ParameterBlock& b) { return i < b.offset; });
  return next != blocks_.begin() && std::prev(next)->is_pose ? &*std::prev(next) : nullptr;
}

void Parameters::pose_row(Span<const double> theta, const ParameterBlock& pose, std::size_t i,
                          double* row) const {
  const Matrix6 inverse = right_jacobian(vector6(theta.data() + pose.offset)).inverse();
  for (int k = 0; k < 6; ++k) row[k] = inverse(static_cast<Eigen::Index>(i - pose.offset), k);
}

Matrix6 Parameters::pose_derivative(Span<const double> theta, int column, PoseDerivative kind) const {
  return kind == PoseDerivative::tangent ? Matrix6(Matrix6::Identity())
                                         : right_jacobian(vector6(theta.data() + column));
}

}  // namespace diffrt::scene
