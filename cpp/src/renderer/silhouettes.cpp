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
// A sphere that is nearer than a silhouette by this part at a pixel's centre is nearer all over the pixel, if
// its own silhouette is not in it.
constexpr float clearly_nearer = 1.05f;

// The shapes of the kernels `lines`, `cross` and `silhouette_rows`: spheres 0, planes 1.
int shape_of(const Group& group) { return group.kind == GroupKind::spheres ? 0 : 1; }

// The pixel that x lies in, x >= -1: truncation is one instruction, floor a call.
inline int column(float x) { return static_cast<int>(x + 1.5f) - 1; }

// Intersections of a silhouette with the lines above and below a row, and how far it may bulge beyond them.
struct Row {
  float low_above, low_below, high_above, high_below, slack;
};

// Calls add(from, to) for the columns of a tile [left, right] in which the silhouette may lie.
template <class Add>
inline void add_row(const Row& row, float left, float right, float lowest, float highest, Add&& add) {
  const bool above = row.high_above > row.low_above, below = row.high_below > row.low_below;
  const auto add_span = [&](float low, float high) {
    low = std::max(low - row.slack, left), high = std::min(high + row.slack, right);
    if (low - 0.5f <= high) add(column(low), column(high));
  };
  if (above && below) {
    const float low = std::max(row.low_above, row.low_below), high = std::min(row.high_above, row.high_below);
    if (low < left - 1 && high > right + 1) return;  // inside, the most frequent case
    const float first = std::min(row.low_above, row.low_below),
                last = std::max(row.high_above, row.high_below);
    if (last < left - 1 || first > right + 1) return;
    // Where both spans share a column they are one.
    if (low + 2 * row.slack + 1 >= high) return add_span(first, last);
    add_span(first, low);
    add_span(high, last);
  } else if (above) {
    add_span(row.low_above, row.high_above);
  } else if (below) {
    add_span(row.low_below, row.high_below);
  } else {  // it may lie between the lines
    add_span(lowest, highest);
  }
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
  segments_.clear(), piece_segments_.clear(), candidate_segments_.clear(), entry_groups_.clear();
  entries_ = 0, count_ = 0, found_ = 0;
  filled_.assign(tile_pixels, 1);
  int spheres = 0;
  for (const Group& group : context.groups) spheres += group.kind == GroupKind::spheres ? group.count : 0;
  for (std::size_t g = 0; g < context.groups.size(); ++g) {
    const Group& group = context.groups[g];
    if (group.mesh == nullptr && group.touches(tile_index))
      detect_crossings(context, static_cast<int>(g), tile_index);
    if (group.mesh != nullptr && group.silhouettes.count > 0 && !group.silhouettes.tiles.empty(tile_index))
      detect_edges(context, static_cast<int>(g), tile_index);
  }
  choose_candidates(context, spheres, work);
  cross_pieces(context);
}

void SilhouetteWork::detect_crossings(const TileContext& context, int g, int tile_index) {
  const Group& group = context.groups[static_cast<std::size_t>(g)];
  const bool everywhere = group.kind == GroupKind::planes;
  const int first = everywhere ? 0 : group.tiles.begin(tile_index),
            last = everywhere ? group.count : group.tiles.end(tile_index);
  const auto left = static_cast<float>(left_) - 0.5f, right = static_cast<float>(left_ + columns_) - 0.5f;
  constexpr float far = 1e6f;
  for (int kind = 0; kind < 3; ++kind) {
    const float slack = bulge[kind];
    const std::size_t begin = found_;
    for (int entry = first; entry < last; ++entry) {
      const int k = everywhere ? entry : group.tiles.candidate(entry);
      const auto i = static_cast<std::size_t>(k);
      if (group.kinds[i] != kind) continue;
      if (candidates_.size() < found_ + tile_pixels + 4) candidates_.resize(2 * (found_ + tile_pixels + 4));
      Candidate* next = candidates_.data() + found_;
      const SilhouetteLines& lines = group.lines;
      const int from = std::max(top_, lines.first_rows[i]),
                to = std::min(top_ + lines_ - 1, lines.last_rows[i]);
      const float* low = lines.low.data() + lines.offsets[i] - lines.first_rows[i];
      const float* high = lines.high.data() + lines.offsets[i] - lines.first_rows[i];
      const auto stride = static_cast<std::size_t>(group.stride);
      // Of a plane all lines are met, or none.
      const float lowest = everywhere ? far : group.bounds[i] - 1,
                  highest = everywhere ? -far : group.bounds[2 * stride + i] + 1;
      for (int row = from; row <= to; ++row) {
        const int start = (row - top_) * tile;
        add_row({low[row], low[row + 1], high[row], high[row + 1], slack}, left, right, lowest, highest,
                [&](int a, int b) {
                  a = std::max(a - left_, 0), b = std::min(b - left_, columns_ - 1);
                  // Spans are short and their lengths hard to foresee: four at once cost less than a loop.
                  for (int x = 0; x < 4; ++x) next[x] = {start + a + x, k};
                  for (int x = 4; x <= b - a; ++x) next[x] = {start + a + x, k};
                  next += std::max(b - a + 1, 0);
                });
      }
      found_ = static_cast<std::size_t>(next - candidates_.data());
    }
    if (found_ > begin)
      candidate_segments_.push_back({g, kind, static_cast<int>(begin), static_cast<int>(found_)});
  }
}

// Entries are the candidates but those that are hidden for certain: where the pixel's centre sees a sphere
// that is nearer and whose own silhouette is not in the pixel. Ids below `spheres` are spheres.
void SilhouetteWork::choose_candidates(const TileContext& context, int spheres, const Workspace& work) {
  const std::size_t room = found_ + candidate_segments_.size() * lanes + 1;
  if (entry_pixels_.size() < room) entry_pixels_.resize(2 * room), entry_primitives_.resize(2 * room);
  const auto cx = static_cast<float>(context.state.cx), cy = static_cast<float>(context.state.cy);
  const auto inverse_fx = static_cast<float>(1 / context.state.fx),
             inverse_fy = static_cast<float>(1 / context.state.fy);
  const std::int32_t* seen = work.ids.data();
  const float* seen_inverse = work.inverse_depth.data();
  std::uint8_t* filled = filled_.data();
  for (const Segment& s : candidate_segments_) {
    const int first_id = context.groups[static_cast<std::size_t>(s.group)].first_id;
    for (int i = s.begin; i < s.end; ++i) {
      const Candidate c = candidates_[static_cast<std::size_t>(i)];
      filled[c.pixel] = seen[c.pixel] == first_id + c.primitive ? 0 : filled[c.pixel];
    }
  }
  for (const Segment& s : candidate_segments_) {
    const Group& group = context.groups[static_cast<std::size_t>(s.group)];
    const int begin = entries_;
    const bool round = group.kind == GroupKind::spheres;
    std::int32_t *pixels = entry_pixels_.data(), *primitives = entry_primitives_.data();
    for (int i = s.begin; i < s.end; ++i) {
      const Candidate c = candidates_[static_cast<std::size_t>(i)];
      pixels[entries_] = c.pixel, primitives[entries_] = c.primitive;
      // 1/z where the silhouette passes the pixel; of a horizon, 0.
      const float* row = group.table.data() +
                         static_cast<std::ptrdiff_t>(c.primitive) * (round ? kernels::sphere_components : 0);
      const float x = (static_cast<float>(left_ + c.pixel % tile) - cx) * inverse_fx;
      const float y = (static_cast<float>(top_ + c.pixel / tile) - cy) * inverse_fy;
      const float inverse = round ? (row[0] * x + row[1] * y + row[2]) * row[4] : 0.0f;
      const bool sphere = static_cast<std::uint32_t>(seen[c.pixel]) < static_cast<std::uint32_t>(spheres);
      const bool hidden =
          (filled[c.pixel] != 0) & sphere & (seen_inverse[c.pixel] > clearly_nearer * inverse);
      entries_ += hidden ? 0 : 1;
    }
    if (entries_ == begin) continue;
    segments_.push_back({s.group, s.kind, begin, entries_});
    entry_groups_.resize(static_cast<std::size_t>(entries_), s.group);
    pad_entries();
  }
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
  if (entries_ > stride_) allocate_entries(context, entries_);
  for (const Segment& s : segments_) {
    if (s.kind < 0) {
      for (int e = s.begin; e < (s.end + lanes - 1) / lanes * lanes; ++e)
        describe_chain(std::min(e, s.end - 1), e);
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

// A capacity is a multiple of 16, so that every component begins at a cache line.
void SilhouetteWork::allocate_entries(const TileContext& context, int entries) {
  stride_ = (entries + 15) / 16 * 16;
  const auto n = static_cast<std::size_t>(stride_), channels = static_cast<std::size_t>(context.channels);
  const auto planes = static_cast<std::size_t>(context.planes);
  crossings_.resize(kernels::crossing_components * n);
  seen_inverse_.resize(3 * n), seen_ids_.resize(3 * n);
  reference_.resize(2 * n), sample_ids_.resize(2 * n);
  ones_.resize(n);
  std::fill_n(ones_.data(), n, 1.0f);
  sampled_.resize(channels * 2 * n);
  sampled_partials_.resize(channels * (planes + kernels::image_slots) * 2 * n);
  for (runtime::Buffer<float>* buffer : {&values_, &by_area_, &by_inside_, &by_outside_, &rule_values_,
                                         &rule_area_, &rule_inside_, &rule_outside_})
    buffer->resize(channels * 2 * n);
  jumps_.resize(3 * channels * n);
  silhouette_rows_.resize(channels * planes * n);
  active_.reserve(n), next_entry_.reserve(n), entry_groups_.reserve(n), mesh_entries_.reserve(n);
  first_entry_.assign(tile_pixels, -1), first_row_.assign(tile_pixels, -1);
  touched_.reserve(tile_pixels), crossed_.reserve(tile_pixels);
  keeps_centre_.resize(channels * tile_pixels);
}

void SilhouetteWork::make_room_as(const TileContext& context, const SilhouetteWork& other) {
  if (other.stride_ > stride_) allocate_entries(context, other.stride_);
  if (other.piece_stride_ > piece_stride_) allocate_pieces(context, other.piece_stride_);
  const auto resize = [](auto& mine, const auto& theirs) {
    if (mine.size() < theirs.size()) mine.resize(theirs.size());
  };
  const auto reserve = [](auto& mine, const auto& theirs) { mine.reserve(theirs.capacity()); };
  resize(candidates_, other.candidates_), resize(entry_pixels_, other.entry_pixels_);
  resize(entry_primitives_, other.entry_primitives_), resize(mesh_entries_, other.mesh_entries_);
  resize(piece_pixels_, other.piece_pixels_), resize(piece_edges_, other.piece_edges_);
  reserve(filled_, other.filled_), reserve(entry_groups_, other.entry_groups_),
      reserve(active_, other.active_);
  reserve(next_entry_, other.next_entry_), reserve(rows_, other.rows_),
      reserve(row_values_, other.row_values_);
  reserve(near_triangles_, other.near_triangles_);
  reserve(segments_, other.segments_), reserve(piece_segments_, other.piece_segments_);
  reserve(candidate_segments_, other.candidate_segments_);
}

void SilhouetteWork::differentiate(const TileContext& context) {
  for (const Segment& s : segments_) {
    if (s.kind < 0) continue;
    const Group& group = context.groups[static_cast<std::size_t>(s.group)];
    kernels::silhouette_rows_arguments a;
    set_camera(a, context.state);
    a.left = left_, a.top = top_, a.stride = stride_ / lanes;
    a.channels = context.channels, a.planes = context.planes;
    a.table = array(group.table.data());
    a.pixels = array(entry_pixels_.data()), a.primitives = array(entry_primitives_.data());
    a.crossings = array(crossings_.data()), a.jumps = array(jumps_.data()),
    a.rows = array(silhouette_rows_.data());
    launch(context.kernels.silhouette_rows[shape_of(group)][s.kind][context.camera_slots > 0 ? 1 : 0], a,
           s.begin / lanes, (s.end + lanes - 1) / lanes);
  }
  differentiate_pieces(context);
}

}  // namespace diffrt::renderer
