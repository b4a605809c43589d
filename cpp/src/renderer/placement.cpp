#include "renderer/placement.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace diffrt::renderer {
namespace {

using Eigen::Vector3d;

// Bounds that no tile is in, as pipeline/prepare.py writes them.
constexpr float nowhere = 1e6f;

struct Interval {
  double low, high;
};

// The projection of a sphere on one axis of the image, where the whole sphere is in front of the camera: the
// tangents from the camera centre in the plane of that axis and z, u = f tan(angle) + c.
Interval project_sphere(double x, double z, double radius, double focal, double center) {
  const double d2 = x * x + z * z, reach = std::sqrt(d2 - radius * radius);
  // tan(a +- b), tan a = x / z, tan b = radius / reach
  const double low = (x * reach - z * radius) / (z * reach + x * radius);
  const double high = (x * reach + z * radius) / (z * reach - x * radius);
  return {focal * low + center, focal * high + center};
}

// How far [px] a silhouette may bulge beyond its intersections with two lines one pixel apart: an arc with a
// chord of one pixel beyond that chord, and rounding.
float bulge_of(double curvature_radius) { return static_cast<float>(0.125 / curvature_radius + 0.005); }
constexpr float widest_bulge = 0.2f;  // where curvature is not bounded

struct SilhouetteKind {
  int kind;  // which kernels cross it
  float bulge;
};

// Of a sphere that the camera is outside of.
SilhouetteKind silhouette_kind(const Vector3d& c, double r, double fx, double fy) {
  const double z2 = c.z() * c.z() - r * r;
  if (c.z() <= r * (1 + 1e-4)) return {kernels::kind_open, widest_bulge};
  // The smallest radius of curvature of an ellipse with semi-axes a >= b is b^2 / a. The silhouette is that
  // of the quadratic form d' (c c' - gap I) d; a and b follow from its part in x and y.
  const double gap = c.squaredNorm() - r * r;
  const double peak = gap * r * r / z2;
  const double xx = (gap - c.x() * c.x()) / (fx * fx * peak), yy = (gap - c.y() * c.y()) / (fy * fy * peak),
               xy = -c.x() * c.y() / (fx * fy * peak);
  const double middle = 0.5 * (xx + yy), spread = std::hypot(0.5 * (xx - yy), xy);
  const double curvature_radius = std::sqrt(std::max(middle - spread, 0.0)) / (middle + spread);
  constexpr double small = 8;  // px, as in kernels/silhouettes/conic.py
  if (curvature_radius > small) return {kernels::kind_gentle, bulge_of(curvature_radius)};
  return {kernels::kind_small, widest_bulge};
}

// Whether the horizon of a plane (nx, ny, nz in the camera frame) passes through the image.
bool horizon_in_view(const Vector3d& n, const scene::State& state, const TileGrid& grid) {
  int positive = 0;
  for (const int corner : {0, 1, 2, 3}) {
    const double u = corner % 2 == 0 ? -0.6 : grid.width - 0.4,
                 v = corner / 2 == 0 ? -0.6 : grid.height - 0.4;
    positive += n.dot(Vector3d((u - state.cx) / state.fx, (v - state.cy) / state.fy, 1)) > 0 ? 1 : 0;
  }
  return positive != 0 && positive != 4;
}

void place_spheres(Group& group, const Scene& scene, const scene::State& state, const TileGrid& grid) {
  const scene::Rigid T_camera_world = state.T_world_camera.inverse();
  const double last_x = grid.width - 1, last_y = grid.height - 1;
  int k = 0;
  for (std::size_t i = 0; i < scene.shapes.size(); ++i) {
    if (!std::holds_alternative<Sphere>(scene.shapes[i].second)) continue;
    const Vector3d c = T_camera_world * state.shapes[i].center;
    const double r = state.shapes[i].radius, cc = c.squaredNorm();
    // The roots are gap / (b +- root), gap = c.c - r^2. On the surface itself neither is defined: count that
    // as inside.
    double gap = (std::sqrt(cc) - r) * (std::sqrt(cc) + r);
    if (std::abs(gap) <= 1e-12 * cc) gap = -1e-12 * (cc > 0 ? cc : r * r);
    const bool outside = gap > 0;
    float* row = group.table.data() + static_cast<std::ptrdiff_t>(k) * kernels::sphere_components;
    row[0] = static_cast<float>(c.x()), row[1] = static_cast<float>(c.y()),
    row[2] = static_cast<float>(c.z());
    row[3] = static_cast<float>(r), row[4] = static_cast<float>(1 / gap), row[5] = outside ? 1.0f : -1.0f;

    double x0 = 0, y0 = 0, x1 = last_x, y1 = last_y;
    if (outside && c.z() <= -r) {
      x0 = y0 = nowhere, x1 = y1 = -1;  // behind the camera
    } else if (outside && c.z() > r * (1 + 1e-6)) {
      const Interval u = project_sphere(c.x(), c.z(), r, state.fx, state.cx),
                     v = project_sphere(c.y(), c.z(), r, state.fy, state.cy);
      const double margin = group.exact ? pixel_reach : 0.01;
      x0 = std::ceil(std::max(u.low - margin, 0.0)), x1 = std::floor(std::min(u.high + margin, last_x));
      y0 = std::ceil(std::max(v.low - margin, 0.0)), y1 = std::floor(std::min(v.high + margin, last_y));
      if (!(x0 <= x1 && y0 <= y1)) x0 = y0 = nowhere, x1 = y1 = -1;
    }
    if (group.exact) {
      const auto sphere = static_cast<std::size_t>(k);
      const bool has_silhouette = outside && x0 <= x1 && group.rules[sphere] != BoundaryRule::none;
      const SilhouetteKind found =
          has_silhouette ? silhouette_kind(c, r, state.fx, state.fy) : SilhouetteKind{-1, 0};
      group.kinds[sphere] = found.kind, group.lines.bulges[sphere] = found.bulge;
      group.lines.first_rows[sphere] = static_cast<int>(y0),
      group.lines.last_rows[sphere] = static_cast<int>(y1);
    }
    const double bounds[4] = {x0, y0, x1, y1};
    for (int c4 = 0; c4 < 4; ++c4)
      group.bounds[static_cast<std::size_t>(c4 * group.stride + k)] = static_cast<float>(bounds[c4]);
    ++k;
  }
}

void place_planes(Group& group, const Scene& scene, const scene::State& state, const TileGrid& grid) {
  std::size_t k = 0;
  float* row = group.table.data();
  for (std::size_t i = 0; i < scene.shapes.size(); ++i) {
    if (!std::holds_alternative<Plane>(scene.shapes[i].second)) continue;
    const Vector3d unit = state.shapes[i].normal.normalized();
    const Vector3d n = state.T_world_camera.R.transpose() * unit;
    const double offset = unit.dot(state.shapes[i].point - state.T_world_camera.t);
    row[0] = static_cast<float>(n.x()), row[1] = static_cast<float>(n.y()),
    row[2] = static_cast<float>(n.z());
    row[3] = static_cast<float>(offset);
    // A plane through the camera centre is seen edge-on: nowhere.
    row[4] = std::abs(offset) > 1e-30 ? static_cast<float>(1 / offset) : 0.0f;
    if (group.exact) {
      const bool has_silhouette =
          row[4] != 0 && group.rules[k] != BoundaryRule::none && horizon_in_view(n, state, grid);
      group.kinds[k] = has_silhouette ? kernels::kind_gentle : -1;
      group.lines.bulges[k] = bulge_of(std::numeric_limits<double>::infinity());
      group.lines.first_rows[k] = 0, group.lines.last_rows[k] = grid.height - 1;
    }
    row += kernels::plane_components;
    ++k;
  }
}

void place_mesh(Group& group, const scene::State& state) {
  const scene::ShapeState& shape = state.shapes[static_cast<std::size_t>(group.shape)];
  if (!shape.moved_vertices.empty()) copy_vertices(group, shape.vertices);
  const scene::Rigid T_camera_mesh = state.T_world_camera.inverse() * shape.T_world_mesh;
  const Vector3d center = T_camera_mesh * group.centroid;
  group.pivot = center.cast<float>();
  float* T = group.T_camera_mesh;
  for (int row = 0; row < 3; ++row) {
    for (int column = 0; column < 3; ++column)
      T[4 * row + column] = static_cast<float>(T_camera_mesh.R(row, column));
    T[4 * row + 3] = static_cast<float>(center[row]);
  }
}

}  // namespace

void copy_vertices(Group& group, const double* vertices) {
  const std::size_t count = group.mesh->vertices->size() / 3;
  for (std::size_t v = 0; v < static_cast<std::size_t>(group.vertex_stride); ++v) {
    const std::size_t source = std::min(v, count - 1);
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const double x = vertices[3 * source + axis] - group.centroid[static_cast<Eigen::Index>(axis)];
      // No face uses a vertex that is not finite; the kernels need not know of it.
      group.vertices[axis * static_cast<std::size_t>(group.vertex_stride) + v] =
          std::isfinite(x) ? static_cast<float>(x) : 0.0f;
    }
  }
}

void place(Group& group, const Scene& scene, const scene::State& state, const TileGrid& grid) {
  switch (group.kind) {
    case GroupKind::spheres:
      return place_spheres(group, scene, state, grid);
    case GroupKind::planes:
      return place_planes(group, scene, state, grid);
    default:
      return place_mesh(group, state);
  }
}

}  // namespace diffrt::renderer
