#include "renderer/groups.hpp"

#include <algorithm>
#include <cmath>

#include "scene/triangles.hpp"

namespace diffrt::renderer {
namespace {

using Eigen::Vector3d;

int padded(std::size_t count) { return static_cast<int>((count + 15) / 16 * 16); }

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

// How far [px] beyond its centre a pixel may depend on a primitive: half its diagonal would be more than
// needed, but points a little beyond its border are looked at.
constexpr double pixel_reach = 0.56;

// Which kernels cross the silhouette of a sphere that the camera is outside of.
int silhouette_kind(const Vector3d& c, double r, double fx, double fy) {
  const double z2 = c.z() * c.z() - r * r;
  if (c.z() <= r * (1 + 1e-4)) return kernels::kind_open;
  // The smallest radius of curvature of an ellipse with semi-axes a >= b is b^2 / a. The silhouette is that
  // of the quadratic form d' (c c' - gap I) d; a and b follow from its part in x and y.
  const double gap = c.squaredNorm() - r * r;
  const double peak = gap * r * r / z2;
  const double xx = (gap - c.x() * c.x()) / (fx * fx * peak), yy = (gap - c.y() * c.y()) / (fy * fy * peak),
               xy = -c.x() * c.y() / (fx * fy * peak);
  const double middle = 0.5 * (xx + yy), spread = std::hypot(0.5 * (xx - yy), xy);
  const double curvature_radius = std::sqrt(std::max(middle - spread, 0.0)) / (middle + spread);
  constexpr double small = 8;  // px, as in kernels/silhouettes/conic.py
  return curvature_radius > small ? kernels::kind_gentle : kernels::kind_small;
}

// Intersects the silhouettes of spheres or planes with the lines between rows.
void find_lines(Group& group, const scene::State& state, const Frame& frame) {
  SilhouetteLines& lines = group.lines;
  int total = 0;
  for (std::size_t k = 0; k < group.kinds.size(); ++k) {
    lines.offsets[k] = total;
    if (group.kinds[k] >= 0)
      total += padded(static_cast<std::size_t>(lines.last_rows[k] - lines.first_rows[k] + 2));
  }
  total += 16;  // they are read four at a time, from any on
  lines.low.resize(static_cast<std::size_t>(total)), lines.high.resize(static_cast<std::size_t>(total));
  const int shape = group.kind == GroupKind::spheres ? 0 : 1;
  frame.pool.parallel_for(group.count, 8, [&](int begin, int end, int) {
    for (int k = begin; k < end; ++k) {
      const auto i = static_cast<std::size_t>(k);
      if (group.kinds[i] < 0) continue;
      kernels::lines_arguments a;
      a.primitive = k;
      a.first_y = static_cast<float>(lines.first_rows[i]) - 0.5f;
      a.middle_x = 0.5f * static_cast<float>(frame.grid.width - 1);
      if (shape == 0) {
        const auto stride = static_cast<std::size_t>(group.stride);
        a.middle_x = std::floor(0.5f * (group.bounds[i] + group.bounds[2 * stride + i]));
      }
      a.offset = lines.offsets[i] / kernels::lanes;
      a.fx = static_cast<float>(state.fx), a.fy = static_cast<float>(state.fy);
      a.cx = static_cast<float>(state.cx), a.cy = static_cast<float>(state.cy);
      a.table = runtime::array(group.table.data());
      a.low = runtime::array(lines.low.data()), a.high = runtime::array(lines.high.data());
      const int count = lines.last_rows[i] - lines.first_rows[i] + 2;
      runtime::launch(frame.kernels.lines[shape][group.kinds[i] == kernels::kind_open ? 1 : 0], a, 0,
                      (count + kernels::lanes - 1) / kernels::lanes);
    }
  });
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

void prepare_spheres(Group& group, const Scene& scene, const scene::State& state, const Frame& frame) {
  const scene::Rigid T_camera_world = state.T_world_camera.inverse();
  const double last_x = frame.grid.width - 1, last_y = frame.grid.height - 1;
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
      group.kinds[sphere] = has_silhouette ? silhouette_kind(c, r, state.fx, state.fy) : -1;
      group.lines.first_rows[sphere] = static_cast<int>(y0),
      group.lines.last_rows[sphere] = static_cast<int>(y1);
    }
    const double bounds[4] = {x0, y0, x1, y1};
    for (int c4 = 0; c4 < 4; ++c4)
      group.bounds[static_cast<std::size_t>(c4 * group.stride + k)] = static_cast<float>(bounds[c4]);
    ++k;
  }
  if (group.exact) find_lines(group, state, frame);
  group.tiles.update(frame.kernels, frame.pool, frame.grid, group.bounds.data(), group.count, group.stride);
}

void prepare_planes(Group& group, const Scene& scene, const scene::State& state, const Frame& frame) {
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
          row[4] != 0 && group.rules[k] != BoundaryRule::none && horizon_in_view(n, state, frame.grid);
      group.kinds[k] = has_silhouette ? kernels::kind_gentle : -1;
      group.lines.first_rows[k] = 0, group.lines.last_rows[k] = frame.grid.height - 1;
    }
    row += kernels::plane_components;
    ++k;
  }
  if (group.exact) find_lines(group, state, frame);
}

void upload_vertices(Group& group, const double* vertices) {
  const std::size_t count = group.mesh->vertices->size() / 3;
  for (std::size_t v = 0; v < static_cast<std::size_t>(group.vertex_stride); ++v) {
    const std::size_t source = std::min(v, count - 1);
    for (std::size_t axis = 0; axis < 3; ++axis) {
      group.vertices[axis * static_cast<std::size_t>(group.vertex_stride) + v] =
          static_cast<float>(vertices[3 * source + axis] - group.centroid[static_cast<Eigen::Index>(axis)]);
    }
  }
}

void find_silhouettes(Group& group, const scene::State& state, const Frame& frame) {
  Silhouettes& s = group.silhouettes;
  const int edges = s.edges.count(), chunks = std::clamp(edges / 2048, 1, frame.pool.threads());
  const int per_chunk = (edges + chunks - 1) / chunks;
  s.found_counts.resize(static_cast<std::size_t>(chunks));
  frame.pool.parallel_for(chunks, 1, [&](int first, int last, int) {
    for (int chunk = first; chunk < last; ++chunk) {
      kernels::silhouette_edges_arguments a;
      a.chunk = chunk, a.stride = edges;
      a.vertex_stride = group.vertex_stride, a.face_stride = group.stride;
      a.width = static_cast<float>(frame.grid.width), a.height = static_cast<float>(frame.grid.height);
      a.fx = static_cast<float>(state.fx), a.fy = static_cast<float>(state.fy);
      a.cx = static_cast<float>(state.cx), a.cy = static_cast<float>(state.cy);
      a.first_faces = runtime::array(s.first_faces.data()),
      a.second_faces = runtime::array(s.second_faces.data());
      a.starts = runtime::array(s.edges.starts.data()),
      a.half_edges = runtime::array(s.edges.half_edges.data());
      a.along = runtime::array(s.along.data()), a.faces = runtime::array(group.faces.data());
      a.vertices_camera = runtime::array(group.vertices_camera.data());
      a.triangles = runtime::array(group.table.data());
      a.edges = runtime::array(s.found_edges.data()), a.components = runtime::array(s.found.data());
      a.counts = runtime::array(s.found_counts.data());
      runtime::launch(frame.kernels.silhouette_edges, a, std::min(chunk * per_chunk, edges),
                      std::min((chunk + 1) * per_chunk, edges));
    }
  });
  s.count = 0;
  for (int chunk = 0; chunk < chunks; ++chunk) s.count += s.found_counts[static_cast<std::size_t>(chunk)];
  s.stride = padded(static_cast<std::size_t>(std::max(s.count, 1)));
  s.components.resize(static_cast<std::size_t>(kernels::edge_components * s.stride));
  s.half_edges.clear(), s.ends.clear();
  for (int chunk = 0, n = 0; chunk < chunks; ++chunk) {
    const int first = std::min(chunk * per_chunk, edges),
              count = s.found_counts[static_cast<std::size_t>(chunk)];
    for (int c = 0; c < kernels::edge_components; ++c)
      std::copy_n(s.found.data() + static_cast<std::ptrdiff_t>(c) * edges + first, count,
                  s.components.data() + static_cast<std::ptrdiff_t>(c) * s.stride + n);
    for (int i = first; i < first + count; ++i) {
      const auto e = static_cast<std::size_t>(s.found_edges[static_cast<std::size_t>(i)]);
      s.half_edges.push_back(s.edges.half_edges[static_cast<std::size_t>(s.edges.starts[e])]);
      s.ends.push_back(s.edges.ends[2 * e]), s.ends.push_back(s.edges.ends[2 * e + 1]);
    }
    n += count;
  }
  s.tiles.update(frame.kernels, frame.pool, frame.grid,
                 s.components.data() + static_cast<std::ptrdiff_t>(kernels::edge_bounds) * s.stride, s.count,
                 s.stride);
}

void prepare_mesh(Group& group, const scene::State& state, const Frame& frame) {
  const scene::ShapeState& shape = state.shapes[static_cast<std::size_t>(group.shape)];
  if (!shape.moved_vertices.empty()) upload_vertices(group, shape.vertices);
  const scene::Rigid T_camera_mesh = state.T_world_camera.inverse() * shape.T_world_mesh;
  const Vector3d center = T_camera_mesh * group.centroid;
  group.pivot = center.cast<float>();
  float T[12];
  for (int row = 0; row < 3; ++row) {
    for (int column = 0; column < 3; ++column)
      T[4 * row + column] = static_cast<float>(T_camera_mesh.R(row, column));
    T[4 * row + 3] = static_cast<float>(center[row]);
  }

  const int vertex_numbers = group.vertex_stride / kernels::lanes, numbers = group.stride / kernels::lanes;
  constexpr int grain = 128;
  frame.pool.parallel_for(vertex_numbers, grain, [&](int begin, int end, int) {
    kernels::prepare_vertices_arguments a;
    a.stride = vertex_numbers;
    a.T_camera_mesh = runtime::array(T), a.vertices = runtime::array(group.vertices.data());
    a.vertices_camera = runtime::array(group.vertices_camera.data());
    runtime::launch(frame.kernels.prepare_vertices, a, begin, end);
  });
  frame.pool.parallel_for(numbers, grain, [&](int begin, int end, int) {
    kernels::prepare_triangles_arguments a;
    a.stride = numbers, a.vertex_stride = group.vertex_stride;
    a.width = static_cast<float>(frame.grid.width), a.height = static_cast<float>(frame.grid.height);
    a.fx = static_cast<float>(state.fx), a.fy = static_cast<float>(state.fy);
    a.cx = static_cast<float>(state.cx), a.cy = static_cast<float>(state.cy);
    a.margin = static_cast<float>(pixel_reach);
    a.faces = runtime::array(group.faces.data()),
    a.vertices_camera = runtime::array(group.vertices_camera.data());
    a.triangles = runtime::array(group.table.data()), a.bounds = runtime::array(group.bounds.data());
    a.wide_bounds = runtime::array(group.wide_bounds.data());
    runtime::launch(frame.kernels.prepare_triangles, a, begin, end);
  });
  group.tiles.update(frame.kernels, frame.pool, frame.grid, group.reach(), group.count, group.stride);
  if (group.exact && group.rules[0] != BoundaryRule::none) find_silhouettes(group, state, frame);
}

void upload_mesh(Group& group) {
  const std::vector<double>& vertices = *group.mesh->vertices;
  const std::vector<std::int32_t>& faces = *group.mesh->faces;
  const auto point = [&](std::int32_t v) {
    return Vector3d(Eigen::Map<const Vector3d>(&vertices[3 * static_cast<std::size_t>(v)]));
  };
  Vector3d low = point(0), high = point(0);
  for (std::size_t v = 0; v < vertices.size(); v += 3) {
    const Vector3d X = Eigen::Map<const Vector3d>(&vertices[v]);
    low = low.cwiseMin(X), high = high.cwiseMax(X);
  }
  group.centroid = 0.5 * low + 0.5 * high;
  group.vertex_stride = padded(vertices.size() / 3);
  group.vertices.resize(3 * static_cast<std::size_t>(group.vertex_stride));
  group.vertices_camera.resize(group.vertices.size());
  upload_vertices(group, vertices.data());

  const auto stride = static_cast<std::size_t>(group.stride);
  group.faces.resize(3 * stride);
  for (std::size_t f = 0; f < stride; ++f) {
    if (f >= static_cast<std::size_t>(group.count)) {  // padding: a single point, which no ray hits
      for (std::size_t corner = 0; corner < 3; ++corner) group.faces[corner * stride + f] = 0;
      continue;
    }
    const bool flat =
        scene::degenerate(point(faces[3 * f]), point(faces[3 * f + 1]), point(faces[3 * f + 2]));
    if (flat) ++group.degenerate;
    // In a rigid mesh it becomes a point, too. Free vertices may open it.
    const bool collapsed = flat && group.kind == GroupKind::rigid_mesh;
    for (std::size_t corner = 0; corner < 3; ++corner) {
      group.faces[corner * stride + f] = faces[3 * f + (collapsed ? 0 : corner)];
    }
  }
  group.table.resize(static_cast<std::size_t>(kernels::triangle_components) * stride);
}

// Bounds of a single entry: the whole image.
void whole_image(runtime::Buffer<float>& bounds, const TileGrid& grid, int entries) {
  const auto n = static_cast<std::size_t>(entries);
  bounds.resize(4 * n);
  for (std::size_t i = 0; i < n; ++i) {
    bounds[i] = 0, bounds[n + i] = 0;
    bounds[2 * n + i] = static_cast<float>(grid.width - 1),
                   bounds[3 * n + i] = static_cast<float>(grid.height - 1);
  }
}

}  // namespace

std::vector<Group> make_groups(const Scene& scene, const scene::Parameters& parameters, const TileGrid& grid,
                               const RendererOptions& options) {
  const bool exact = options.boundary == Boundary::exact;
  const auto rule_of = [&](const std::string& name) {
    for (const auto& [shape, rule] : options.rules) {
      if (shape == name) return rule;
    }
    return BoundaryRule::blend;
  };
  const scene::CameraColumns& camera = parameters.camera_columns();
  const auto depends = [&](std::size_t shape) -> std::uint8_t {
    const scene::ShapeColumns& c = parameters.columns(shape);
    const int own = std::max({c.center, c.radius, c.point, c.normal, c.pose, c.vertices});
    return camera.pose >= 0 || camera.intrinsics() || own >= 0 ? 1 : 0;
  };
  std::vector<Group> groups;
  Group spheres, planes;
  for (std::size_t i = 0; i < scene.shapes.size(); ++i) {
    const auto& [name, shape] = scene.shapes[i];
    spheres.count += std::holds_alternative<Sphere>(shape) ? 1 : 0;
    planes.count += std::holds_alternative<Plane>(shape) ? 1 : 0;
    for (Group* group : {&spheres, &planes}) {
      const bool member =
          group == &spheres ? std::holds_alternative<Sphere>(shape) : std::holds_alternative<Plane>(shape);
      if (member) group->rules.push_back(rule_of(name)), group->depends.push_back(depends(i));
    }
  }
  for (Group* group : {&spheres, &planes}) {
    const auto count = static_cast<std::size_t>(group->count);
    group->kinds.assign(count, -1);
    group->lines.first_rows.assign(count, 0), group->lines.last_rows.assign(count, 0),
        group->lines.offsets.assign(count, 0);
  }
  int next_id = 0;
  if (spheres.count > 0) {
    spheres.surface = kernels::surface_sphere;
    spheres.stride = padded(static_cast<std::size_t>(spheres.count));
    spheres.table.resize(static_cast<std::size_t>(spheres.count * kernels::sphere_components));
    spheres.bounds.resize(4 * static_cast<std::size_t>(spheres.stride));
    next_id = spheres.count;
    groups.push_back(std::move(spheres));
  }
  if (planes.count > 0) {
    planes.kind = GroupKind::planes;
    planes.surface = kernels::surface_plane;
    planes.first_id = next_id;
    planes.table.resize(static_cast<std::size_t>(planes.count * kernels::plane_components));
    planes.own_sums = true;
    planes.sums.all_entries_each(grid, planes.count);
    whole_image(planes.sum_bounds, grid, planes.count);
    next_id += planes.count;
    groups.push_back(std::move(planes));
  }
  for (std::size_t i = 0; i < scene.shapes.size(); ++i) {
    const Mesh* mesh = std::get_if<Mesh>(&scene.shapes[i].second);
    if (mesh == nullptr) continue;
    Group group;
    const bool free = parameters.columns(i).vertices >= 0;
    group.kind = free ? GroupKind::free_mesh : GroupKind::rigid_mesh;
    group.surface = free ? kernels::surface_free_triangle : kernels::surface_triangle;
    group.mesh = mesh;
    group.shape = static_cast<int>(i);
    group.first_id = next_id;
    group.count = static_cast<int>(mesh->faces->size() / 3);
    group.stride = padded(static_cast<std::size_t>(group.count));
    group.bounds.resize(4 * static_cast<std::size_t>(group.stride));
    group.wide_bounds.resize(group.bounds.size());
    upload_mesh(group);
    group.rules.push_back(rule_of(scene.shapes[i].first));
    group.depends.push_back(depends(i));
    if (exact && group.rules[0] != BoundaryRule::none) {
      Silhouettes& s = group.silhouettes;
      s.edges = scene::make_edges(*mesh->vertices, *mesh->faces);
      s.along.assign(s.edges.along.begin(), s.edges.along.end());
      for (int e = 0; e < s.edges.count(); ++e) {
        const auto first = static_cast<std::size_t>(s.edges.starts[static_cast<std::size_t>(e)]);
        const bool pair = s.edges.starts[static_cast<std::size_t>(e) + 1] == static_cast<int>(first) + 2 &&
                          s.along[first + 1] < 0;
        s.first_faces.push_back(s.edges.half_edges[first] / 3);
        s.second_faces.push_back(pair ? s.edges.half_edges[first + 1] / 3 : -1);
      }
      s.found.resize(static_cast<std::size_t>(kernels::edge_components * s.edges.count()));
      s.found_edges.resize(static_cast<std::size_t>(s.edges.count()));
    }
    if (!free) {
      group.own_sums = true;
      group.sum_span = group.count;
      group.sums.one_entry_each(grid);
      whole_image(group.sum_bounds, grid, 1);
    }
    next_id += group.count;
    groups.push_back(std::move(group));
  }
  for (Group& group : groups) group.slots = slots_of(group.kind), group.exact = exact;
  return groups;
}

void prepare(Group& group, const Scene& scene, const scene::State& state, const Frame& frame) {
  switch (group.kind) {
    case GroupKind::spheres:
      return prepare_spheres(group, scene, state, frame);
    case GroupKind::planes:
      return prepare_planes(group, scene, state, frame);
    default:
      return prepare_mesh(group, state, frame);
  }
}

}  // namespace diffrt::renderer
