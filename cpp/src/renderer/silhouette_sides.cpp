// What is on either side of a silhouette: rays past it, and values there.
#include <cmath>

#include "renderer/launch_arguments.hpp"
#include "renderer/silhouettes.hpp"

namespace diffrt::renderer {

using runtime::array;
using runtime::launch;

namespace {

constexpr int lanes = kernels::lanes;
// Rays past a silhouette pass it at this distance [px]: more than single precision makes of an image point.
constexpr float step = 0.02f;
// What is nearer than an edge by more than this part hides it.
constexpr float tolerance = 1.001f;
// A part of a pixel smaller than this has no centroid to speak of.
constexpr float least_area = 1e-6f;

static_assert(static_cast<int>(BoundaryRule::blend) == kernels::rule_blend);
static_assert(static_cast<int>(BoundaryRule::foreground) == kernels::rule_foreground);

bool owns(const Group& group, std::int32_t id) { return id >= group.first_id && id < group.first_id + group.count; }

}  // namespace

void SilhouetteWork::look(const TileContext& context, int tile_index) {
  const auto capacity = static_cast<std::size_t>(3 * stride_);
  points_x_.resize(capacity), points_y_.resize(capacity), seen_inverse_.resize(capacity), seen_ids_.resize(capacity);
  int first_mesh = entries_;
  for (const Segment& s : segments_) {
    if (s.kind < 0) first_mesh = std::min(first_mesh, s.begin);
  }
  for (int e = 0; e < entries_; ++e) {
    const int pixel = entry_pixels_[static_cast<std::size_t>(e)];
    const auto x = static_cast<float>(left_ + pixel % tile), y = static_cast<float>(top_ + pixel / tile);
    const float edge_x = x + crossing(kernels::crossing_edge, e), edge_y = y + crossing(kernels::crossing_edge + 1, e);
    const float out_x = step * crossing(kernels::crossing_outward, e), out_y = step * crossing(kernels::crossing_outward + 1, e);
    const float area = crossing(kernels::crossing_area, e);
    const bool has_centroid = area > least_area;
    const float inverse = has_centroid ? 1 / area : 0;
    const float u = has_centroid ? x + crossing(kernels::crossing_moment, e) * inverse : edge_x - out_x,
                v = has_centroid ? y + crossing(kernels::crossing_moment + 1, e) * inverse : edge_y - out_y;
    const auto inner = static_cast<std::size_t>(e), outer = inner + static_cast<std::size_t>(stride_),
               centroid = outer + static_cast<std::size_t>(stride_);
    points_x_[inner] = edge_x - out_x, points_y_[inner] = edge_y - out_y;
    points_x_[outer] = edge_x + out_x, points_y_[outer] = edge_y + out_y;
    points_x_[centroid] = u, points_y_[centroid] = v;
  }
  const auto see = [&](int begin, int end) {
    std::fill(seen_inverse_.data() + begin, seen_inverse_.data() + end, 0.0f);
    std::fill(seen_ids_.data() + begin, seen_ids_.data() + end, -1);
    for (const Group& group : context.groups) {
      if (!group.touches(tile_index)) continue;
      const auto run = [&](auto kernel, auto a, int first, int last) {
        set_rays(a, context.state);
        a.first = first, a.last = last, a.first_id = group.first_id;
        a.points_x = array(points_x_.data()), a.points_y = array(points_y_.data());
        a.inverse_depth = array(seen_inverse_.data()), a.ids = array(seen_ids_.data());
        launch(kernel, a, begin / lanes, end / lanes);
      };
      if (group.kind == GroupKind::planes) {
        kernels::see_planes_arguments a;
        a.planes = array(group.table.data());
        run(context.kernels.see_planes, a, 0, group.count);
      } else if (group.kind == GroupKind::spheres) {
        kernels::see_spheres_arguments a;
        a.spheres = array(group.table.data()), a.candidates = array(group.tiles.candidates());
        run(context.kernels.see_spheres, a, group.tiles.begin(tile_index), group.tiles.end(tile_index));
      } else {
        kernels::see_triangles_arguments a;
        a.stride = group.stride, a.triangles = array(group.table.data());
        a.bounds = array(group.wide_bounds.data()), a.candidates = array(group.tiles.candidates());
        run(context.kernels.see_triangles, a, group.tiles.begin(tile_index), group.tiles.end(tile_index));
      }
    }
  };
  see(0, entries_);
  see(stride_, stride_ + entries_);
  if (first_mesh < entries_) see(2 * stride_ + first_mesh, 2 * stride_ + entries_);
}

// Which entries are visible: the object itself is seen on its side of its silhouette, and beyond the edge of a mesh nothing
// that is nearer.
void SilhouetteWork::decide(const TileContext& context, int) {
  for (int e = 0; e < entries_; ++e) {
    const auto i = static_cast<std::size_t>(e);
    if (active_[i] == 0) continue;
    const Group& group = context.groups[static_cast<std::size_t>(entry_groups_[i])];
    const std::int32_t inner = seen_ids_[i];
    if (group.mesh == nullptr) {
      active_[i] = inner == group.first_id + entry_primitives_[i] ? 1 : 0;
      continue;
    }
    const float beyond = seen_inverse_[i + static_cast<std::size_t>(stride_)];
    active_[i] = owns(group, inner) && beyond <= tolerance * mesh_entries_[i].inverse ? 1 : 0;
  }
}

void SilhouetteWork::sample(const TileContext& context, bool with_rows) {
  const auto capacity = static_cast<std::size_t>(2 * stride_);
  for (runtime::Buffer<float>* buffer : {&sample_x_, &sample_y_, &fallback_x_, &fallback_y_, &reference_, &spread_})
    buffer->resize(capacity);
  sample_ids_.resize(capacity);
  std::uint64_t present = 0;  // groups, by their number modulo 64
  const auto mark = [&](std::int32_t id) {
    for (std::size_t g = 0; g < context.groups.size(); ++g) {
      if (owns(context.groups[g], id)) present |= std::uint64_t{1} << (g % 64);
    }
  };
  std::int32_t last_marked = -1;
  for (int e = 0; e < entries_; ++e) {
    const auto i = static_cast<std::size_t>(e), o = i + static_cast<std::size_t>(stride_), c = o + static_cast<std::size_t>(stride_);
    sample_ids_[i] = sample_ids_[o] = -1;
    sample_x_[i] = sample_y_[i] = sample_x_[o] = sample_y_[o] = 0;
    reference_[i] = 0, spread_[i] = crossing(kernels::crossing_spread, e), spread_[o] = 1;
    fallback_x_[i] = points_x_[i], fallback_y_[i] = points_y_[i];
    fallback_x_[o] = points_x_[o], fallback_y_[o] = points_y_[o], reference_[o] = seen_inverse_[o];
    if (active_[i] == 0) continue;
    const Group& group = context.groups[static_cast<std::size_t>(entry_groups_[i])];
    sample_ids_[i] = seen_ids_[i], sample_ids_[o] = seen_ids_[o];
    sample_x_[i] = points_x_[c], sample_y_[i] = points_y_[c];
    if (group.mesh != nullptr) {
      if (owns(group, seen_ids_[c])) {
        sample_ids_[i] = seen_ids_[c];
      } else {
        reference_[i] = seen_inverse_[i];
      }
    }
    const float rest = 1 - crossing(kernels::crossing_area, e);
    const int pixel = entry_pixels_[i];
    sample_x_[o] = rest > least_area ? static_cast<float>(left_ + pixel % tile) - crossing(kernels::crossing_moment, e) / rest : points_x_[o];
    sample_y_[o] = rest > least_area ? static_cast<float>(top_ + pixel / tile) - crossing(kernels::crossing_moment + 1, e) / rest : points_y_[o];
    for (const std::int32_t id : {sample_ids_[i], sample_ids_[o]}) {
      if (id != last_marked && id >= 0) mark(id), last_marked = id;
    }
  }

  const int S = context.planes + kernels::image_slots;
  sampled_.resize(static_cast<std::size_t>(context.channels) * capacity);
  if (with_rows) sampled_partials_.resize(static_cast<std::size_t>(context.channels * S) * capacity);
  for (const OutputChannels& output : context.outputs) {
    for (int c = output.first; c < output.first + output.count; ++c) {
      for (const int first : {0, stride_}) {
        float* values = sampled_.data() + static_cast<std::ptrdiff_t>(c) * 2 * stride_ + first;
        const std::int32_t* ids = sample_ids_.data() + first;
        for (int e = 0; e < entries_; ++e) values[e] = ids[e] < 0 ? output.background : 1.0f;
        for (int k = 0; with_rows && k < S; ++k)
          std::fill_n(sampled_partials_.data() + static_cast<std::ptrdiff_t>(c * S + k) * 2 * stride_ + first, entries_, 0.0f);
      }
    }
    const auto o = static_cast<std::size_t>(output.output);
    for (std::size_t g = 0; g < context.groups.size(); ++g) {
      const Group& group = context.groups[g];
      if ((present >> (g % 64) & 1) == 0) continue;
      const int mode = !with_rows ? 0 : context.camera_slots > 0 ? 2 : 1;
      if (o >= std::size(context.kernels.samples) || context.kernels.samples[o][group.surface][mode].function == nullptr)
        continue;  // the mask: 1 wherever something is seen
      kernels::samples_arguments a;
      set_camera(a, context.state);
      set_pivot(a, group);
      set_tables(a, group);
      a.channel = output.first, a.planes = S, a.numbers_stride = 2 * stride_ / lanes;
      a.points_x = array(sample_x_.data()), a.points_y = array(sample_y_.data());
      a.fallback_x = array(fallback_x_.data()), a.fallback_y = array(fallback_y_.data());
      a.reference = array(reference_.data()), a.spread = array(spread_.data()), a.ids = array(sample_ids_.data());
      a.values = array(sampled_.data()), a.partials = array(sampled_partials_.data());
      launch(context.kernels.samples[o][group.surface][mode], a, 0, entries_ / lanes);
      launch(context.kernels.samples[o][group.surface][mode], a, stride_ / lanes, (stride_ + entries_) / lanes);
    }
  }
}

void SilhouetteWork::apply_rules(const TileContext& context) {
  const auto capacity = static_cast<std::size_t>(context.channels) * 2 * static_cast<std::size_t>(stride_);
  runtime::Buffer<float>*results[] = {&values_, &by_area_, &by_inside_, &by_outside_},
  *others[] = {&rule_values_, &rule_area_, &rule_inside_, &rule_outside_};
  const auto run = [&](int rule, runtime::Buffer<float>** buffers) {
    for (int k = 0; k < 4; ++k) buffers[k]->resize(capacity);
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
        group.rules[group.mesh != nullptr ? 0 : static_cast<std::size_t>(entry_primitives_[static_cast<std::size_t>(e)])]);
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
