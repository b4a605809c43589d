// From a tile's candidates to entries: which pixels silhouettes cross, and how.
#include "renderer/silhouettes.hpp"

#include <cmath>

#include "renderer/launch_arguments.hpp"

namespace diffrt::renderer {

using runtime::array;
using runtime::launch;

namespace {

constexpr int lanes = kernels::lanes;
// How far [px] a silhouette may bulge beyond its intersections with two lines one pixel apart, by kind.
constexpr float bulge[] = {0.02f, 0.2f, 0.2f};
// What is nearer than a silhouette by more than this part hides it.
constexpr float tolerance = 1.001f;

// The shapes of the kernels `lines`, `cross` and `silhouette_rows`: spheres 0, planes 1.
int shape_of(const Group& group) { return group.kind == GroupKind::spheres ? 0 : 1; }

int first_column(float x) { return static_cast<int>(std::floor(x + 0.5f)); }
int last_column(float x) { return static_cast<int>(std::ceil(x - 0.5f)); }

// Columns [first, last] and [second, final] of a row that a silhouette may cross, clipped to a tile.
struct Spans {
  int first = 0, last = -1, second = 0, final = -1;
};

Spans spans_of(const Group& group, std::size_t k, int row, int left, int columns) {
  const SilhouetteLines& lines = group.lines;
  const auto line = static_cast<std::size_t>(lines.offsets[k] + row - lines.first_rows[k]);
  const float a0 = lines.low[line], a1 = lines.low[line + 1], b0 = lines.high[line], b1 = lines.high[line + 1];
  const bool hit0 = b0 > a0, hit1 = b1 > a1;
  const float slack = bulge[group.kinds[k]];
  const auto low = static_cast<float>(left), high = static_cast<float>(left + columns - 1);
  const auto clipped = [&](float x) { return std::min(std::max(x, low - 2), high + 2); };
  Spans s;
  if (hit0 && hit1) {
    s.first = first_column(clipped(std::min(a0, a1) - slack)), s.last = last_column(clipped(std::max(a0, a1) + slack));
    s.second = first_column(clipped(std::min(b0, b1) - slack)), s.final = last_column(clipped(std::max(b0, b1) + slack));
    s.second = std::max(s.second, s.last + 1);
  } else if (hit0 || hit1) {
    s.first = first_column(clipped((hit0 ? a0 : a1) - slack)), s.last = last_column(clipped((hit0 ? b0 : b1) + slack));
  } else if (group.kind == GroupKind::spheres) {  // it may lie between the lines
    const auto stride = static_cast<std::size_t>(group.stride);
    s.first = first_column(clipped(group.bounds[k] - 1)), s.last = last_column(clipped(group.bounds[2 * stride + k] + 1));
  }
  s.first = std::max(s.first, left) - left, s.last = std::min(s.last, left + columns - 1) - left;
  s.second = std::max(s.second, left) - left, s.final = std::min(s.final, left + columns - 1) - left;
  return s;
}

}  // namespace

void SilhouetteWork::run(const TileContext& context, int tile_index, Workspace& work, bool with_rows) {
  const Part part = part_in_image(context.grid, tile_index);
  left_ = part.left, top_ = part.top, columns_ = part.columns, lines_ = part.rows;
  crossed_.clear();
  detect(context, tile_index, work);
  if (entries_ == 0) return;
  cross(context, with_rows);
  look(context, tile_index);
  decide(context);
  sample(context, with_rows);
  apply_rules(context);
  combine(context, work);
  if (!with_rows || crossed_.empty()) return;
  find_jumps(context);
  differentiate(context);
  gather_rows(context, work);
}

void SilhouetteWork::detect(const TileContext& context, int tile_index, const Workspace& work) {
  segments_.clear(), piece_segments_.clear();
  candidates_.clear(), candidate_segments_.clear();
  piece_stride_ = 0, entries_ = 0, count_ = 0;
  for (std::size_t g = 0; g < context.groups.size(); ++g) {
    const Group& group = context.groups[g];
    if (group.mesh == nullptr && group.touches(tile_index)) detect_crossings(context, static_cast<int>(g), tile_index);
    if (group.mesh != nullptr && group.silhouettes.count > 0 && !group.silhouettes.tiles.empty(tile_index))
      detect_edges(context, static_cast<int>(g), tile_index);
  }
  choose_candidates(context, work);
  cross_pieces(context);
}

void SilhouetteWork::detect_crossings(const TileContext& context, int g, int tile_index) {
  const Group& group = context.groups[static_cast<std::size_t>(g)];
  const bool everywhere = group.kind == GroupKind::planes;
  const int first = everywhere ? 0 : group.tiles.begin(tile_index), last = everywhere ? group.count : group.tiles.end(tile_index);
  for (int kind = 0; kind < 3; ++kind) {
    const int begin = static_cast<int>(candidates_.size());
    for (int entry = first; entry < last; ++entry) {
      const int k = everywhere ? entry : group.tiles.candidate(entry);
      const auto i = static_cast<std::size_t>(k);
      if (group.kinds[i] != kind) continue;
      const int from = std::max(top_, group.lines.first_rows[i]), to = std::min(top_ + lines_ - 1, group.lines.last_rows[i]);
      for (int row = from; row <= to; ++row) {
        const Spans s = spans_of(group, i, row, left_, columns_);
        const int start = (row - top_) * tile;
        for (int x = s.first; x <= s.last; ++x) candidates_.push_back({start + x, k});
        for (int x = s.second; x <= s.final; ++x) candidates_.push_back({start + x, k});
      }
    }
    const int end = static_cast<int>(candidates_.size());
    if (end > begin) candidate_segments_.push_back({g, kind, begin, end});
  }
}

// Entries are the candidates but those that are hidden for certain: where the pixel's centre sees something nearer whose
// own silhouette is not in the pixel.
void SilhouetteWork::choose_candidates(const TileContext& context, const Workspace& work) {
  if (candidates_.empty()) return;
  first_entry_.assign(tile_pixels, -1);
  next_entry_.resize(candidates_.size());
  bool meshes = false;
  for (const Group& group : context.groups) meshes = meshes || group.mesh != nullptr;
  const bool several = !meshes && candidates_.size() > 1;
  for (const Segment& s : candidate_segments_) {
    const int first_id = context.groups[static_cast<std::size_t>(s.group)].first_id;
    for (int i = s.begin; several && i < s.end; ++i) {
      Candidate& candidate = candidates_[static_cast<std::size_t>(i)];
      int& first = first_entry_[static_cast<std::size_t>(candidate.pixel)];
      candidate.id = first_id + candidate.primitive;
      next_entry_[static_cast<std::size_t>(i)] = first;
      first = i;
    }
  }
  const auto crosses = [&](int pixel, std::int32_t id) {
    for (int i = first_entry_[static_cast<std::size_t>(pixel)]; i >= 0; i = next_entry_[static_cast<std::size_t>(i)]) {
      if (candidates_[static_cast<std::size_t>(i)].id == id) return true;
    }
    return false;
  };
  const auto room = candidates_.size() + candidate_segments_.size() * lanes;
  if (entry_pixels_.size() < room) entry_pixels_.resize(2 * room), entry_primitives_.resize(2 * room);
  entry_groups_.clear();
  for (const Segment& s : candidate_segments_) {
    const Group& group = context.groups[static_cast<std::size_t>(s.group)];
    const int begin = entries_;
    for (int i = s.begin; i < s.end; ++i) {
      const Candidate& candidate = candidates_[static_cast<std::size_t>(i)];
      const auto p = static_cast<std::size_t>(candidate.pixel);
      const std::int32_t seen = work.ids[p];
      if (several && seen >= 0 && seen != candidate.id &&
          work.inverse_depth[p] > tolerance * tangent_inverse(context, group, candidate) && !crosses(candidate.pixel, seen))
        continue;
      entry_pixels_[static_cast<std::size_t>(entries_)] = candidate.pixel;
      entry_primitives_[static_cast<std::size_t>(entries_)] = candidate.primitive;
      ++entries_;
    }
    if (entries_ == begin) continue;
    segments_.push_back({s.group, s.kind, begin, entries_});
    entry_groups_.resize(static_cast<std::size_t>(entries_), s.group);
    pad_entries();
  }
}

// 1/z where a silhouette passes a pixel; of a horizon, 0.
float SilhouetteWork::tangent_inverse(const TileContext& context, const Group& group, const Candidate& candidate) const {
  if (group.kind != GroupKind::spheres) return 0;
  const float* sphere = group.table.data() + static_cast<std::ptrdiff_t>(candidate.primitive) * kernels::sphere_components;
  const float x = (static_cast<float>(left_ + candidate.pixel % tile) - static_cast<float>(context.state.cx)) * static_cast<float>(1 / context.state.fx);
  const float y = (static_cast<float>(top_ + candidate.pixel / tile) - static_cast<float>(context.state.cy)) * static_cast<float>(1 / context.state.fy);
  return (sphere[0] * x + sphere[1] * y + sphere[2]) * sphere[4];
}

// Whole numbers only: copies of the last entry, of no group.
void SilhouetteWork::pad_entries() {
  for (; entries_ % lanes != 0; ++entries_) {
    const auto last = static_cast<std::size_t>(entries_ - 1);
    entry_pixels_[last + 1] = entry_pixels_[last], entry_primitives_[last + 1] = entry_primitives_[last];
    entry_groups_.push_back(-1);
  }
}

void SilhouetteWork::cross(const TileContext& context, bool with_nodes) {
  stride_ = std::max(stride_, (entries_ + 15) / 16 * 16);
  crossings_.resize(static_cast<std::size_t>(kernels::crossing_components * stride_));
  for (const Segment& s : segments_) {
    if (s.kind < 0) {
      for (int e = s.begin; e < (s.end + lanes - 1) / lanes * lanes; ++e) describe_chain(std::min(e, s.end - 1), e);
      continue;
    }
    const Group& group = context.groups[static_cast<std::size_t>(s.group)];
    kernels::cross_arguments a;
    set_camera(a, context.state);
    a.left = left_, a.top = top_, a.stride = stride_ / lanes;
    a.table = array(group.table.data());
    a.pixels = array(entry_pixels_.data()), a.primitives = array(entry_primitives_.data());
    a.crossings = array(crossings_.data());
    launch(context.kernels.cross[shape_of(group)][s.kind][with_nodes ? 1 : 0], a, s.begin / lanes,
           (s.end + lanes - 1) / lanes);
  }
}

void SilhouetteWork::differentiate(const TileContext& context) {
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
