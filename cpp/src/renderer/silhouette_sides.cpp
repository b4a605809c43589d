// What is on either side of a silhouette: rays past it, and values there.
#include <cmath>

#include "renderer/launch_arguments.hpp"
#include "renderer/silhouettes.hpp"

namespace diffrt::renderer {

using runtime::array;
using runtime::launch;

namespace {

constexpr int lanes = kernels::lanes;
// What is nearer than an edge by more than this part hides it.
constexpr float tolerance = 1.001f;

static_assert(static_cast<int>(BoundaryRule::blend) == kernels::rule_blend);
static_assert(static_cast<int>(BoundaryRule::foreground) == kernels::rule_foreground);

}  // namespace

void SilhouetteWork::look(const TileContext& context, int tile_index) {
  first_mesh_ = entries_;
  for (const Segment& s : segments_) {
    if (s.kind < 0) first_mesh_ = std::min(first_mesh_, s.begin);
  }
  for (int part = 0; part < 3; ++part) {
    std::fill_n(seen_inverse_.data() + static_cast<std::ptrdiff_t>(part) * stride_, entries_, 0.0f);
    std::fill_n(seen_ids_.data() + static_cast<std::ptrdiff_t>(part) * stride_, entries_, -1);
  }
  for (const Group& group : context.groups) {
    if (!group.touches(tile_index)) continue;
    if (group.mesh == nullptr) {
      see(context, group, tile_index, kernels::crossing_inner, 0, 0);
      see(context, group, tile_index, kernels::crossing_outer, 1, 0);
      if (first_mesh_ < entries_) see(context, group, tile_index, kernels::crossing_inside, 2, first_mesh_);
      continue;
    }
    find_near_triangles(group, tile_index);
    kernels::see_triangles_arguments a;
    set_rays(a, context.state);
    a.first = 0, a.last = static_cast<int>(near_triangles_.size()), a.first_id = group.first_id;
    a.stride = group.stride, a.part = stride_ / lanes;
    a.triangles = array(group.table.data());
    a.bounds = array(group.wide_bounds.data()), a.candidates = array(near_triangles_.data());
    a.inner_x = array(&crossing(kernels::crossing_inner, 0)),
    a.inner_y = array(&crossing(kernels::crossing_inner + 1, 0));
    a.outer_x = array(&crossing(kernels::crossing_outer, 0)),
    a.outer_y = array(&crossing(kernels::crossing_outer + 1, 0));
    a.inside_x = array(&crossing(kernels::crossing_inside, 0)),
    a.inside_y = array(&crossing(kernels::crossing_inside + 1, 0));
    a.inverse_depth = array(seen_inverse_.data()), a.ids = array(seen_ids_.data());
    launch(context.kernels.see_triangles, a, 0, entries_ / lanes);
  }
}

// Of a tile's triangles, those that may be seen from any of the entries: silhouettes take up little of a
// tile.
void SilhouetteWork::find_near_triangles(const Group& group, int tile_index) {
  float low_x = 1e9f, low_y = 1e9f, high_x = -1e9f, high_y = -1e9f;
  for (const int point : {kernels::crossing_inner, kernels::crossing_inside}) {
    const float *x = &crossing(point, 0), *y = &crossing(point + 1, 0);
    for (int e = 0; e < entries_; ++e) {
      low_x = std::min(low_x, x[e]), high_x = std::max(high_x, x[e]);
      low_y = std::min(low_y, y[e]), high_y = std::max(high_y, y[e]);
    }
  }
  low_x -= kernels::triangle_reach, low_y -= kernels::triangle_reach;
  high_x += kernels::triangle_reach, high_y += kernels::triangle_reach;
  const auto stride = static_cast<std::size_t>(group.stride);
  const float* bounds = group.wide_bounds.data();
  near_triangles_.resize(
      static_cast<std::size_t>(group.tiles.end(tile_index) - group.tiles.begin(tile_index)));
  std::size_t count = 0;
  for (int entry = group.tiles.begin(tile_index); entry < group.tiles.end(tile_index); ++entry) {
    const int k = group.tiles.candidate(entry);
    const float* b = bounds + k;
    near_triangles_[count] = k;
    count += (b[0] <= high_x) & (b[2 * stride] >= low_x) & (b[stride] <= high_y) & (b[3 * stride] >= low_y)
                 ? 1
                 : 0;
  }
  near_triangles_.resize(count);
}

// Spheres or planes that rays through points of entries [first, entries_) see; into third `part` of the
// arrays.
void SilhouetteWork::see(const TileContext& context, const Group& group, int tile_index, int component,
                         int part, int first) {
  const auto run = [&](auto kernel, auto a, int begin, int end) {
    set_rays(a, context.state);
    a.first = begin, a.last = end, a.first_id = group.first_id;
    a.points_x = array(&crossing(component, 0)), a.points_y = array(&crossing(component + 1, 0));
    a.inverse_depth = array(seen_inverse_.data() + static_cast<std::ptrdiff_t>(part) * stride_);
    a.ids = array(seen_ids_.data() + static_cast<std::ptrdiff_t>(part) * stride_);
    launch(kernel, a, first / lanes, entries_ / lanes);
  };
  if (group.kind == GroupKind::planes) {
    kernels::see_planes_arguments a;
    a.planes = array(group.table.data());
    run(context.kernels.see_planes, a, 0, group.count);
  } else {
    kernels::see_spheres_arguments a;
    a.spheres = array(group.table.data()), a.candidates = array(group.tiles.candidates());
    run(context.kernels.see_spheres, a, group.tiles.begin(tile_index), group.tiles.end(tile_index));
  }
}

// Which entries are visible: the object itself is seen on its side of its silhouette, and beyond the edge of
// a mesh nothing that is nearer.
void SilhouetteWork::decide(const TileContext& context) {
  active_.assign(static_cast<std::size_t>(entries_), 0);
  for (const Segment& s : segments_) {
    const Group& group = context.groups[static_cast<std::size_t>(s.group)];
    for (int e = s.begin; e < s.end; ++e) {
      const auto i = static_cast<std::size_t>(e);
      const std::int32_t inner = seen_ids_[i];
      if (s.kind >= 0) {
        active_[i] =
            inner == group.first_id + entry_primitives_[i] && crossing(kernels::crossing_longest, e) > 0 ? 1
                                                                                                         : 0;
      } else {
        const float beyond = seen_inverse_[i + static_cast<std::size_t>(stride_)];
        active_[i] = group.owns(inner) && beyond <= tolerance * mesh_entries_[i].inverse ? 1 : 0;
      }
    }
  }
}

void SilhouetteWork::sample(const TileContext& context, bool with_rows) {
  std::uint64_t present = 0;  // groups, by their number modulo 64
  std::int32_t last_marked = -1;
  const auto mark = [&](std::int32_t id) {
    if (id < 0 || id == last_marked) return;
    last_marked = id;
    for (std::size_t g = 0; g < context.groups.size(); ++g) {
      if (context.groups[g].owns(id)) present |= std::uint64_t{1} << (g % 64);
    }
  };
  const bool one_group = context.groups.size() == 1;
  if (one_group) present = 1;
  for (int e = 0; e < entries_; ++e) {
    const auto i = static_cast<std::size_t>(e), o = i + static_cast<std::size_t>(stride_);
    const bool active = active_[i] != 0;
    sample_ids_[i] = active ? seen_ids_[i] : -1, sample_ids_[o] = active ? seen_ids_[o] : -1;
    reference_[i] = 0, reference_[o] = seen_inverse_[o];
  }
  for (int e = first_mesh_; e < entries_; ++e) {
    const auto i = static_cast<std::size_t>(e), c = i + 2 * static_cast<std::size_t>(stride_);
    if (active_[i] == 0) continue;
    const Group& group = context.groups[static_cast<std::size_t>(entry_groups_[i])];
    const bool seen = group.owns(seen_ids_[c]);
    sample_ids_[i] = seen ? seen_ids_[c] : seen_ids_[i];
    reference_[i] = seen ? 0 : seen_inverse_[i];
  }
  for (int e = 0; !one_group && e < entries_; ++e) {
    mark(sample_ids_[static_cast<std::size_t>(e)]);
    mark(sample_ids_[static_cast<std::size_t>(stride_ + e)]);
  }

  const int S = context.planes + kernels::image_slots;
  for (const OutputChannels& output : context.outputs) {
    for (int c = output.first; c < output.first + output.count; ++c) {
      for (const int first : {0, stride_}) {
        float* values = sampled_.data() + static_cast<std::ptrdiff_t>(c) * 2 * stride_ + first;
        const std::int32_t* ids = sample_ids_.data() + first;
        for (int e = 0; e < entries_; ++e) values[e] = ids[e] < 0 ? output.background : 1.0f;
        for (int k = 0; with_rows && k < S; ++k)
          std::fill_n(sampled_partials_.data() + static_cast<std::ptrdiff_t>(c * S + k) * 2 * stride_ + first,
                      entries_, 0.0f);
      }
    }
    const auto o = static_cast<std::size_t>(output.output);
    for (std::size_t g = 0; g < context.groups.size(); ++g) {
      const Group& group = context.groups[g];
      if ((present >> (g % 64) & 1) == 0) continue;
      const int mode = !with_rows ? 0 : context.camera_slots > 0 ? 2 : 1;
      if (o >= std::size(context.kernels.samples) ||
          context.kernels.samples[o][group.surface][mode].function == nullptr)
        continue;  // the mask: 1 wherever something is seen
      kernels::samples_arguments a;
      set_camera(a, context.state);
      set_pivot(a, group);
      set_tables(a, group);
      a.channel = output.first, a.planes = S, a.numbers_stride = 2 * stride_ / lanes;
      for (const int side : {0, 1}) {
        const int centroid = side == 0 ? kernels::crossing_inside : kernels::crossing_outside;
        const int beside = side == 0 ? kernels::crossing_inner : kernels::crossing_outer;
        const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(side) * stride_;
        a.points_x = array(&crossing(centroid, 0)), a.points_y = array(&crossing(centroid + 1, 0));
        a.fallback_x = array(&crossing(beside, 0)), a.fallback_y = array(&crossing(beside + 1, 0));
        a.reference = array(reference_.data() + first), a.ids = array(sample_ids_.data() + first);
        a.spread = array(side == 0 ? &crossing(kernels::crossing_spread, 0) : ones_.data());
        a.values = array(sampled_.data() + first), a.partials = array(sampled_partials_.data() + first);
        launch(context.kernels.samples[o][group.surface][mode], a, 0, entries_ / lanes);
      }
    }
  }
}

void SilhouetteWork::apply_rules(const TileContext& context) {
  runtime::Buffer<float>*results[] = {&values_, &by_area_, &by_inside_, &by_outside_},
  *others[] = {&rule_values_, &rule_area_, &rule_inside_, &rule_outside_};
  const auto run = [&](int rule, runtime::Buffer<float>** buffers) {
    kernels::rules_arguments a;
    a.channels = context.channels, a.stride = 2 * stride_ / lanes;
    a.area = array(&crossing(kernels::crossing_area, 0));
    a.inside = array(sampled_.data()), a.outside = array(sampled_.data() + stride_);
    a.values = array(buffers[0]->data()), a.by_area = array(buffers[1]->data());
    a.by_inside = array(buffers[2]->data()), a.by_outside = array(buffers[3]->data());
    launch(context.kernels.rules[rule], a, 0, entries_ / lanes);
  };
  const auto rule_of = [&](int e) {
    const int g = entry_groups_[static_cast<std::size_t>(e)];
    if (g < 0) return kernels::rule_blend;
    const Group& group = context.groups[static_cast<std::size_t>(g)];
    return static_cast<int>(
        group.rules[group.mesh != nullptr
                        ? 0
                        : static_cast<std::size_t>(entry_primitives_[static_cast<std::size_t>(e)])]);
  };
  run(kernels::rule_blend, results);
  for (int rule = 0; rule < static_cast<int>(std::size(context.kernels.rules)); ++rule) {
    bool ran = rule == kernels::rule_blend;
    for (int e = 0; e < entries_; ++e) {
      if (rule == kernels::rule_blend || rule_of(e) != rule) continue;
      if (!ran) run(rule, others), ran = true;
      for (int k = 0; k < 4; ++k) {
        for (int c = 0; c < context.channels; ++c) {
          const auto j = static_cast<std::size_t>(c * 2 * stride_ + e);
          (*results[k])[j] = (*others[k])[j];
        }
      }
    }
  }
}

}  // namespace diffrt::renderer
