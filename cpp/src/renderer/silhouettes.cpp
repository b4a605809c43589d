// From a tile's candidates to entries: which pixels silhouettes cross, and how.
#include "renderer/silhouettes.hpp"

#include <cmath>

#include "renderer/launch_arguments.hpp"

namespace diffrt::renderer {

using runtime::array;
using runtime::launch;

namespace {

constexpr int lanes = kernels::lanes;
// The shapes of the kernels `detect`, `cross` and `silhouette_rows`.
constexpr int sphere_shape = 0, plane_shape = 1;

int shape_of(const Group& group) { return group.kind == GroupKind::spheres ? sphere_shape : plane_shape; }

// Whether the horizon of a plane may pass through a part of the image.
bool has_horizon(const float* plane, const scene::State& state, int left, int top, int columns, int lines) {
  int positive = 0;
  for (const int corner : {0, 1, 2, 3}) {
    const double u = left + (corner % 2 == 0 ? -0.51 : columns - 0.49);
    const double v = top + (corner / 2 == 0 ? -0.51 : lines - 0.49);
    const double q = static_cast<double>(plane[0]) * (u - state.cx) / state.fx +
                     static_cast<double>(plane[1]) * (v - state.cy) / state.fy + static_cast<double>(plane[2]);
    positive += q > 0 ? 1 : 0;
  }
  return positive != 0 && positive != 4;
}

// Makes room for what one primitive may append: a tile.
void make_room(std::vector<std::int32_t>& pixels, std::vector<std::int32_t>& primitives, std::int32_t count) {
  const auto needed = static_cast<std::size_t>(count + tile_pixels);
  if (pixels.size() < needed) pixels.resize(2 * needed), primitives.resize(2 * needed);
}

}  // namespace

void SilhouetteWork::run(const TileContext& context, int tile_index, Workspace& work, bool with_rows) {
  const Part part = part_in_image(context.grid, tile_index);
  left_ = part.left, top_ = part.top, columns_ = part.columns, lines_ = part.rows;
  crossed_.clear();
  detect(context, tile_index);
  if (entries_ == 0) return;
  cross(context, tile_index);
  look(context, tile_index);
  decide(context, tile_index);
  sample(context, with_rows);
  apply_rules(context);
  combine(context, work);
  if (!with_rows || crossed_.empty()) return;
  find_jumps(context);
  differentiate(context, tile_index);
  gather_rows(context, work);
}

void SilhouetteWork::detect(const TileContext& context, int tile_index) {
  entries_ = 0, count_ = 0;
  segments_.clear(), piece_segments_.clear();
  piece_stride_ = 0;
  for (std::size_t g = 0; g < context.groups.size(); ++g) {
    const Group& group = context.groups[g];
    if (!group.touches(tile_index)) continue;
    if (group.kind == GroupKind::spheres) detect_spheres(context, static_cast<int>(g), tile_index);
    if (group.kind == GroupKind::planes) detect_planes(context, static_cast<int>(g), tile_index);
  }
  entries_ = count_;
  entry_groups_.assign(static_cast<std::size_t>(entries_), -1);
  for (const Segment& s : segments_) std::fill(&entry_groups_[static_cast<std::size_t>(s.begin)], &entry_groups_[0] + s.end, s.group);

  count_ = 0;
  for (std::size_t g = 0; g < context.groups.size(); ++g) {
    const Group& group = context.groups[g];
    if (group.mesh != nullptr && group.silhouettes.count > 0 && !group.silhouettes.tiles.empty(tile_index))
      detect_edges(context, static_cast<int>(g), tile_index);
  }
  cross_pieces(context);
}

// Pads the entries from `begin` on to whole numbers, with copies of the last one.
void SilhouetteWork::close_segment(int group, int kind, int begin) {
  if (count_ == begin) return;
  segments_.push_back({group, kind, begin, count_});
  while (count_ % lanes != 0) {
    const auto last = static_cast<std::size_t>(count_ - 1);
    entry_pixels_[last + 1] = entry_pixels_[last], entry_primitives_[last + 1] = entry_primitives_[last];
    ++count_;
  }
}

void SilhouetteWork::detect_spheres(const TileContext& context, int g, int tile_index) {
  const Group& group = context.groups[static_cast<std::size_t>(g)];
  const TileLists& lists = group.tiles;
  for (int kind = 0; kind < 3; ++kind) {
    const int begin = count_;
    for (int entry = lists.begin(tile_index); entry < lists.end(tile_index); ++entry) {
      const int k = lists.candidate(entry);
      const auto i = static_cast<std::size_t>(k);
      if (group.kinds[i] != kind || group.rules[i] == BoundaryRule::none) continue;
      make_room(entry_pixels_, entry_primitives_, count_);
      kernels::detect_arguments a;
      set_camera(a, context.state);
      a.left = left_, a.top = top_, a.columns = columns_, a.lines = lines_;
      const auto stride = static_cast<std::size_t>(group.stride);
      a.low_x = group.bounds[i], a.low_y = group.bounds[stride + i];
      a.high_x = group.bounds[2 * stride + i], a.high_y = group.bounds[3 * stride + i];
      a.table = array(group.table.data());
      a.pixels = array(entry_pixels_.data()), a.primitives = array(entry_primitives_.data()), a.count = array(&count_);
      launch(context.kernels.detect[sphere_shape][kind], a, k, k + 1);
    }
    close_segment(g, kind, begin);
  }
}

void SilhouetteWork::detect_planes(const TileContext& context, int g, int) {
  const Group& group = context.groups[static_cast<std::size_t>(g)];
  const int begin = count_;
  for (int k = 0; k < group.count; ++k) {
    if (group.rules[static_cast<std::size_t>(k)] == BoundaryRule::none) continue;
    const float* plane = group.table.data() + static_cast<std::ptrdiff_t>(k) * kernels::plane_components;
    if (plane[4] == 0 || !has_horizon(plane, context.state, left_, top_, columns_, lines_)) continue;
    make_room(entry_pixels_, entry_primitives_, count_);
    kernels::detect_arguments a;
    set_camera(a, context.state);
    a.left = left_, a.top = top_, a.columns = columns_, a.lines = lines_;
    a.low_x = a.low_y = 1e6f, a.high_x = a.high_y = -1e6f;  // a line is met, or it is not in view
    a.table = array(group.table.data());
    a.pixels = array(entry_pixels_.data()), a.primitives = array(entry_primitives_.data()), a.count = array(&count_);
    launch(context.kernels.detect[plane_shape][kernels::kind_gentle], a, k, k + 1);
  }
  close_segment(g, kernels::kind_gentle, begin);
}

void SilhouetteWork::cross(const TileContext& context, int) {
  stride_ = std::max(stride_, (entries_ + 15) / 16 * 16);
  crossings_.resize(static_cast<std::size_t>(kernels::crossing_components * stride_));
  for (const Segment& s : segments_) {
    if (s.kind < 0) {
      for (int e = s.begin; e < s.end; ++e) {
        const MeshEntry& m = mesh_entries_[static_cast<std::size_t>(e)];
        crossing(kernels::crossing_area, e) = m.area;
        crossing(kernels::crossing_moment, e) = m.moment_x, crossing(kernels::crossing_moment + 1, e) = m.moment_y;
        crossing(kernels::crossing_edge, e) = m.edge_x, crossing(kernels::crossing_edge + 1, e) = m.edge_y;
        crossing(kernels::crossing_outward, e) = m.outward_x, crossing(kernels::crossing_outward + 1, e) = m.outward_y;
        crossing(kernels::crossing_centre, e) = m.centre, crossing(kernels::crossing_weight, e) = 1;
        crossing(kernels::crossing_spread, e) = 1, crossing(kernels::crossing_spread_slope, e) = 0;
      }
      continue;
    }
    const Group& group = context.groups[static_cast<std::size_t>(s.group)];
    kernels::cross_arguments a;
    set_camera(a, context.state);
    a.left = left_, a.top = top_, a.stride = stride_ / lanes;
    a.table = array(group.table.data());
    a.pixels = array(entry_pixels_.data()), a.primitives = array(entry_primitives_.data());
    a.crossings = array(crossings_.data());
    launch(context.kernels.cross[shape_of(group)][s.kind], a, s.begin / lanes, (s.end + lanes - 1) / lanes);
  }
  active_.assign(static_cast<std::size_t>(entries_), 0);
  for (int e = 0; e < entries_; ++e) {
    active_[static_cast<std::size_t>(e)] =
        entry_groups_[static_cast<std::size_t>(e)] >= 0 && crossing(kernels::crossing_weight, e) > 0 ? 1 : 0;
  }
}

void SilhouetteWork::differentiate(const TileContext& context, int) {
  silhouette_rows_.resize(static_cast<std::size_t>(context.channels * context.planes * stride_));
  for (const Segment& s : segments_) {
    if (s.kind < 0) continue;
    const Group& group = context.groups[static_cast<std::size_t>(s.group)];
    kernels::silhouette_rows_arguments a;
    set_camera(a, context.state);
    a.left = left_, a.top = top_, a.stride = stride_ / lanes;
    a.channels = context.channels, a.planes = context.planes;
    a.table = array(group.table.data());
    a.pixels = array(entry_pixels_.data()), a.primitives = array(entry_primitives_.data());
    a.crossings = array(crossings_.data()), a.jumps = array(jumps_.data()), a.rows = array(silhouette_rows_.data());
    launch(context.kernels.silhouette_rows[shape_of(group)][s.kind][context.camera_slots > 0 ? 1 : 0], a,
           s.begin / lanes, (s.end + lanes - 1) / lanes);
  }
  differentiate_pieces(context);
}

}  // namespace diffrt::renderer
