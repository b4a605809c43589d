#include "renderer/groups.hpp"

#include <algorithm>
#include <string>
#include <unordered_map>

#include "renderer/placement.hpp"
#include "scene/triangles.hpp"

namespace diffrt::renderer {
namespace {

using Eigen::Vector3d;

void upload_mesh(Group& group) {
  const std::vector<double>& vertices = *group.mesh->vertices;
  const std::vector<std::int32_t>& faces = *group.mesh->faces;
  const auto point = [&](std::int32_t v) {
    return Vector3d(Eigen::Map<const Vector3d>(&vertices[3 * static_cast<std::size_t>(v)]));
  };
  // Of the vertices that faces use: others may be anywhere, and need not be finite.
  Vector3d low = point(faces[0]), high = low;
  for (const std::int32_t v : faces) low = low.cwiseMin(point(v)), high = high.cwiseMax(point(v));
  group.centroid = 0.5 * low + 0.5 * high;
  group.vertex_stride = whole_packets(vertices.size() / 3);
  group.vertices.resize(3 * static_cast<std::size_t>(group.vertex_stride));
  copy_vertices(group, vertices.data());

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
                               const RendererOptions& options, const RuleModels& models) {
  const bool exact = options.boundary == Boundary::exact;
  const std::unordered_map<std::string, Rule> rules(options.rules.begin(), options.rules.end());
  const auto add_rule = [&](Group& group, const std::string& name) {
    const auto found = rules.find(name);
    const BoundaryRule* const rule =
        found == rules.end() ? nullptr : std::get_if<BoundaryRule>(&found->second);
    group.rules.push_back(rule == nullptr ? BoundaryRule::blend : *rule);
    if (!models.all().empty()) group.rule_models.push_back(models.of(name));
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
      if (member) add_rule(*group, name), group->depends.push_back(depends(i));
    }
  }
  for (Group* group : {&spheres, &planes}) {
    const auto count = static_cast<std::size_t>(group->count);
    group->kinds.assign(count, -1);
    group->lines.first_rows.assign(count, 0), group->lines.last_rows.assign(count, 0),
        group->lines.bulges.assign(count, 0), group->lines.offsets.assign(count, 0);
  }
  int next_id = 0;
  if (spheres.count > 0) {
    spheres.surface = kernels::surface_sphere;
    spheres.stride = whole_packets(static_cast<std::size_t>(spheres.count));
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
    group.stride = whole_packets(static_cast<std::size_t>(group.count));
    upload_mesh(group);
    add_rule(group, scene.shapes[i].first);
    group.depends.push_back(depends(i));
    if (exact && group.rules[0] != BoundaryRule::none) {
      if (free) group.silhouettes.moving.change(*mesh->vertices, *mesh->faces);
      set_edges(group, *mesh->vertices);
    }
    if (!free) {
      group.own_sums = true;
      group.sum_span = group.count;
      whole_image(group.sum_bounds, grid, 1);
    }
    next_id += group.count;
    groups.push_back(std::move(group));
  }
  for (Group& group : groups) {
    group.slots = slots_of(group.kind), group.exact = exact;
    group.blends = std::none_of(group.rules.begin(), group.rules.end(), [](BoundaryRule rule) {
      return rule != BoundaryRule::blend && rule != BoundaryRule::none;
    });
    for (const module::Pointwise* model : group.rule_models) group.blends = group.blends && model == nullptr;
  }
  return groups;
}

void set_edges(Group& group, Span<const double> vertices) {
  Silhouettes& s = group.silhouettes;
  s.edges = scene::make_edges(vertices, *group.mesh->faces);
  s.along.assign(s.edges.along.begin(), s.edges.along.end());
  s.first_faces.clear(), s.second_faces.clear();
  for (int e = 0; e < s.edges.count(); ++e) {
    const auto first = static_cast<std::size_t>(s.edges.starts[static_cast<std::size_t>(e)]);
    const bool pair = s.edges.starts[static_cast<std::size_t>(e) + 1] == static_cast<int>(first) + 2 &&
                      s.along[first + 1] < 0;
    s.first_faces.push_back(s.edges.half_edges[first] / 3);
    s.second_faces.push_back(pair ? s.edges.half_edges[first + 1] / 3 : -1);
  }
}

std::vector<PrimitiveBlock> make_blocks(const std::vector<Group>& groups) {
  std::vector<PrimitiveBlock> blocks(1);
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const Group& group = groups[g];
    for (int k = 0; k < group.count; ++k) {
      const int first = group.kind == GroupKind::rigid_mesh ? 0 : k;
      blocks.push_back({group.depends_on_theta(k) ? group.first_id + first : -1, static_cast<int>(g)});
    }
  }
  return blocks;
}

}  // namespace diffrt::renderer
