// From a tile's candidates to entries: which pixels silhouettes cross, and how.
#include "renderer/silhouettes.hpp"

#include <algorithm>
#include <cmath>

#include "renderer/launch_arguments.hpp"

namespace diffrt::renderer {

using runtime::array;
using runtime::launch;

namespace {

constexpr int lanes = kernels::lanes;
// The shapes of the kernels `lines`, `cross` and `silhouette_rows`: spheres 0, planes 1.
int shape_of(const Group& group) { return group.kind == GroupKind::spheres ? 0 : 1; }

// Not every x86-64 has an instruction for it.
int count_of_bits(std::uint64_t word) {
  word -= (word >> 1) & 0x5555555555555555u;
  word = (word & 0x3333333333333333u) + ((word >> 2) & 0x3333333333333333u);
  return static_cast<int>(((word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fu) * 0x0101010101010101u >> 56);
}

}  // namespace

void SilhouetteWork::find(const TileContext& context, const TileRun& run) {
  crossed_counts_ = alone_counts_ = {};
  regions_.find(context, run);
}

void SilhouetteWork::run(const TileContext& context, const TileRun& run, Workspace& work, bool with_rows) {
  const Part part = part_in_image(context.grid, run.first);
  left_ = part.left, top_ = part.top;
  detect(context, run);
  if (entries_ == 0) return;
  cross(context, with_rows);
  look(context, run);
  sample(context, with_rows);
  apply_rules(context);
  if (!context.surfaces.empty()) drop_missing(context);
  combine(context, work, with_rows);
  const bool crossed =
      std::any_of(crossed_counts_.begin(), crossed_counts_.end(), [](int n) { return n > 0; });
  if (!with_rows || !crossed) return;
  find_jumps(context);
  differentiate(context);
  if (context.pairs) pair_rows(context);
}

void SilhouetteWork::select(const TileContext& context, int j) {
  const auto n = static_cast<std::size_t>(j),
             planes = static_cast<std::size_t>(context.channels * tile_pixels);
  crossed_count_ = crossed_counts_[n], alone_count_ = alone_counts_[n], other_row_count_ = 0;
  if (crossed_count_ == 0) return;
  crossed_ = {all_crossed_.data() + n * crossed_room, crossed_room};
  keeps_centre_ = {all_keep_centre_.data() + n * planes, planes};
}

void SilhouetteWork::detect(const TileContext& context, const TileRun& run) {
  segments_.clear(), piece_segments_.clear(), entry_groups_.clear();
  entries_ = 0, count_ = 0;
  once_ = shared_ = {};
  quads_ = quads_of(run);
  for (int quad = 0; quad < quads_; ++quad) add_entries(quad);
  quad_begins_[static_cast<std::size_t>(quads_)] = entries_;
  for (const MeshBatch& batch : context.batches) {
    if (batch.silhouettes.count > 0) detect_edges(context, batch, run.first);
  }
  cross_pieces(context);
}

// Entries of spheres and planes in a quad, by group and kind.
void SilhouetteWork::add_entries(int quad) {
  quad_begins_[static_cast<std::size_t>(quad)] = entries_;
  const Span<const SilhouetteRegion> regions = regions_.regions(quad);
  for (std::size_t first = 0, last = 0; first < regions.size(); first = last) {
    const int group = regions[first].group;
    unsigned kinds = 0;
    for (; last < regions.size() && regions[last].group == group; ++last) kinds |= 1u << regions[last].kind;
    for (int kind = 0; kind < 3; ++kind) {
      if ((kinds >> kind & 1) == 0) continue;
      const int begin = entries_;
      for (std::size_t r = first; r < last; ++r) {
        if (regions[r].kind == kind && regions[r].crosses) add_region(regions[r], quad);
      }
      if (entries_ == begin) continue;
      segments_.push_back({group, kind, begin, entries_});
      entry_groups_.resize(static_cast<std::size_t>(entries_), group);
      pad_entries();
    }
  }
}

void SilhouetteWork::add_region(const SilhouetteRegion& region, int quad) {
  make_entry_room(most_in_quad * tile_pixels);
  constexpr std::uint64_t last = std::uint64_t{1} << 63;
  std::int32_t *pixels = entry_pixels_.data() + entries_, *first = pixels;
  for (std::size_t w = 0; w < region.crossed.size(); ++w) {
    std::uint64_t word = region.crossed[w];
    if (word == 0) continue;
    const std::size_t in_run = static_cast<std::size_t>(quad) * words_of_quad + w;
    shared_[in_run] |= once_[in_run] & word;
    once_[in_run] |= word;
    // Four at a time, and what was too many is written over: few words have the same number of pixels.
    const auto number = static_cast<std::int32_t>(64 * in_run);
    std::int32_t* to = pixels;
    pixels += count_of_bits(word);
    do {
      for (int k = 0; k < 4; ++k, word &= word - 1) *to++ = number + __builtin_ctzll(word | last);
    } while (word != 0);
  }
  const auto count = static_cast<int>(pixels - first);
  std::fill_n(entry_primitives_.data() + entries_, count, region.primitive);
  entries_ += count;
}

// Room for so many entries more, and for what fills up the last packet.
void SilhouetteWork::make_entry_room(int more) {
  const auto needed = static_cast<std::size_t>(entries_ + more + lanes);
  if (entry_pixels_.size() < needed) entry_pixels_.resize(2 * needed), entry_primitives_.resize(2 * needed);
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
  if (entries_ > capacity_) allocate_entries(context, entries_);
  stride_ = whole_lines(entries_);
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

void SilhouetteWork::allocate_entries(const TileContext& context, int entries) {
  capacity_ = whole_lines(entries);
  const auto n = static_cast<std::size_t>(capacity_), channels = static_cast<std::size_t>(context.channels);
  const auto planes = static_cast<std::size_t>(context.planes);
  crossings_.resize(kernels::crossing_components * n);
  seen_inverse_.resize(3 * n), seen_ids_.resize(3 * n);
  reference_.resize(2 * n), sample_ids_.resize(2 * n);
  sampled_.resize(channels * 2 * n);
  sampled_partials_.resize(channels * (planes + kernels::image_slots) * 2 * n);
  if (!context.surfaces.empty()) {
    surfaces_.resize(surface_channels * 2 * n);
    surface_partials_.resize(surface_channels * (planes + kernels::image_slots) * 2 * n);
  }
  for (runtime::Buffer<float>* buffer : {&values_, &by_area_, &by_inside_, &by_outside_, &rule_values_,
                                         &rule_area_, &rule_inside_, &rule_outside_})
    buffer->resize(channels * 2 * n);
  jumps_.resize(3 * channels * n);
  silhouette_rows_.resize(channels * planes * n);
  if (context.pairs) pair_rows_.resize(channels * n);
  next_entry_.resize(n), others_.resize(n);
  entry_groups_.reserve(n), mesh_entries_.reserve(n);
  first_entry_.assign(most_in_run * tile_pixels, -1), first_row_.assign(tile_pixels, -1);
  touched_.reserve(most_in_run * tile_pixels), all_crossed_.resize(most_in_run * crossed_room);
  all_keep_centre_.resize(most_in_run * channels * tile_pixels);
}

void SilhouetteWork::make_room_as(const TileContext& context, const SilhouetteWork& other) {
  if (other.capacity_ > capacity_) allocate_entries(context, other.capacity_);
  if (other.piece_capacity_ > piece_capacity_) allocate_pieces(context, other.piece_capacity_);
  const auto resize = [](auto& mine, const auto& theirs) {
    if (mine.size() < theirs.size()) mine.resize(theirs.size());
  };
  const auto reserve = [](auto& mine, const auto& theirs) { mine.reserve(theirs.capacity()); };
  resize(entry_pixels_, other.entry_pixels_);
  resize(entry_primitives_, other.entry_primitives_), resize(mesh_entries_, other.mesh_entries_);
  resize(piece_pixels_, other.piece_pixels_), resize(piece_edges_, other.piece_edges_);
  regions_.make_room_as(other.regions_), reserve(entry_groups_, other.entry_groups_);
  resize(rows_, other.rows_), resize(other_rows_, other.other_rows_), reserve(row_values_, other.row_values_);
  if (near_triangles_.ids.size() < other.near_triangles_.ids.size())
    near_triangles_.resize(other.near_triangles_.ids.size());
  resize(near_entries_, other.near_entries_), reserve(near_offsets_, other.near_offsets_);
  reserve(segments_, other.segments_), reserve(piece_segments_, other.piece_segments_);
  reserve(seen_groups_, other.seen_groups_), resize(marks_, other.marks_);
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
    a.crossings = array(crossings_.data()), a.by_area = array(by_area_.data());
    a.by_inside = array(by_inside_.data()), a.by_outside = array(by_outside_.data());
    a.partials = array(sampled_partials_.data()), a.rows = array(silhouette_rows_.data());
    launch(context.kernels.silhouette_rows[shape_of(group)][s.kind][context.camera_slots > 0 ? 1 : 0], a,
           s.begin / lanes, (s.end + lanes - 1) / lanes);
  }
  differentiate_pieces(context);
}

}  // namespace diffrt::renderer
