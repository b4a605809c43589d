// From a tile's candidates to entries: which pixels silhouettes cross, and how.
#include "renderer/silhouettes.hpp"

#include <cmath>

#include "renderer/launch_arguments.hpp"

namespace diffrt::renderer {

using runtime::array;
using runtime::launch;

namespace {

constexpr int lanes = kernels::lanes;
// The shapes of the kernels `lines`, `cross` and `silhouette_rows`: spheres 0, planes 1.
int shape_of(const Group& group) { return group.kind == GroupKind::spheres ? 0 : 1; }

}  // namespace

void SilhouetteWork::run(const TileContext& context, int tile_index, Workspace& work, bool with_rows) {
  const Part part = part_in_image(context.grid, tile_index);
  left_ = part.left, top_ = part.top, columns_ = part.columns, lines_ = part.rows;
  crossed_count_ = other_row_count_ = 0;
  detect(context, tile_index);
  if (entries_ == 0) return;
  cross(context, with_rows);
  look(context, tile_index);
  sample(context, with_rows);
  apply_rules(context);
  combine(context, work);
  if (!with_rows || crossed_count_ == 0) return;
  find_jumps(context);
  differentiate(context);
  gather_rows(context, work);
}

void SilhouetteWork::detect(const TileContext& context, int tile_index) {
  segments_.clear(), piece_segments_.clear(), entry_groups_.clear(), regions_.clear();
  entries_ = 0, count_ = 0;
  once_ = shared_ = TileMask{};
  for (std::size_t g = 0; g < context.groups.size(); ++g) {
    const Group& group = context.groups[g];
    if (group.mesh == nullptr && group.touches(tile_index))
      find_regions(context, static_cast<int>(g), tile_index);
    if (group.mesh != nullptr && group.silhouettes.count > 0 && !group.silhouettes.tiles.empty(tile_index))
      detect_edges(context, static_cast<int>(g), tile_index);
  }
  hide_regions();
  add_entries();
  cross_pieces(context);
}

// The masks of a group's silhouettes.
void SilhouetteWork::find_regions(const TileContext& context, int g, int tile_index) {
  const Group& group = context.groups[static_cast<std::size_t>(g)];
  const bool round = group.kind == GroupKind::spheres;
  const int first = round ? group.tiles.begin(tile_index) : 0,
            last = round ? group.tiles.end(tile_index) : group.count;
  const auto half = 0.5f * static_cast<float>(tile);
  const float slope_x = static_cast<float>(1 / context.state.fx),
              slope_y = static_cast<float>(1 / context.state.fy);
  const float x = (static_cast<float>(left_) + half - 0.5f - static_cast<float>(context.state.cx)) * slope_x;
  const float y = (static_cast<float>(top_) + half - 0.5f - static_cast<float>(context.state.cy)) * slope_y;
  for (int entry = first; entry < last; ++entry) {
    const int k = round ? group.tiles.candidate(entry) : entry;
    const int kind = group.kinds[static_cast<std::size_t>(k)];
    if (kind < 0) continue;
    SilhouetteRegion& region = regions_.emplace_back();
    region.group = g, region.kind = kind, region.primitive = k;
    find_region(group, k, left_, top_, columns_, lines_, region);
    if (round) {
      const float* row = group.table.data() + static_cast<std::ptrdiff_t>(k) * kernels::sphere_components;
      region.inverse = (row[0] * x + row[1] * y + row[2]) * row[4];
      region.inverse_x = row[0] * row[4] * slope_x * half;
      region.inverse_y = row[1] * row[4] * slope_y * half;
    }
    if (!any(region.crossed) && !(round && any(region.full))) regions_.pop_back();
  }
}

// Takes out pixels where a silhouette is hidden for certain: behind a sphere whose own is not in the pixel.
void SilhouetteWork::hide_regions() {
  constexpr std::size_t most = 16;  // spheres tried; large ones in one tile are few
  std::size_t tried = 0;
  for (const SilhouetteRegion& front : regions_) {
    if (!(front.inverse > 0) || !any(front.full)) continue;
    if (++tried > most) break;
    for (SilhouetteRegion& region : regions_) {
      if (&region == &front || !front.hides(region)) continue;
      for (std::size_t w = 0; w < region.crossed.size(); ++w) region.crossed[w] &= ~front.full[w];
    }
  }
}

// Entries of spheres and planes, by group and kind.
void SilhouetteWork::add_entries() {
  const std::size_t room = regions_.size() * tile_pixels + 4 * lanes;
  if (entry_pixels_.size() < room) entry_pixels_.resize(2 * room), entry_primitives_.resize(2 * room);
  for (std::size_t first = 0, last = 0; first < regions_.size(); first = last) {
    const int group = regions_[first].group;
    unsigned kinds = 0;
    for (; last < regions_.size() && regions_[last].group == group; ++last)
      kinds |= 1u << regions_[last].kind;
    for (int kind = 0; kind < 3; ++kind) {
      if ((kinds >> kind & 1) == 0) continue;
      const int begin = entries_;
      for (std::size_t r = first; r < last; ++r) {
        const SilhouetteRegion& region = regions_[r];
        if (region.kind != kind) continue;
        for (std::size_t w = 0; w < region.crossed.size(); ++w) {
          shared_[w] |= once_[w] & region.crossed[w];
          once_[w] |= region.crossed[w];
          for (std::uint64_t word = region.crossed[w]; word != 0; word &= word - 1) {
            entry_pixels_[static_cast<std::size_t>(entries_)] =
                static_cast<int>(64 * w) + __builtin_ctzll(word);
            entry_primitives_[static_cast<std::size_t>(entries_)] = region.primitive;
            ++entries_;
          }
        }
      }
      if (entries_ == begin) continue;
      segments_.push_back({group, kind, begin, entries_});
      entry_groups_.resize(static_cast<std::size_t>(entries_), group);
      pad_entries();
    }
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
  for (runtime::Buffer<float>* buffer : {&values_, &by_area_, &by_inside_, &by_outside_, &rule_values_,
                                         &rule_area_, &rule_inside_, &rule_outside_})
    buffer->resize(channels * 2 * n);
  jumps_.resize(3 * channels * n);
  silhouette_rows_.resize(channels * planes * n);
  next_entry_.resize(n), singles_.resize(n), others_.resize(n);
  entry_groups_.reserve(n), mesh_entries_.reserve(n);
  first_entry_.assign(tile_pixels, -1), first_row_.assign(tile_pixels, -1);
  touched_.reserve(tile_pixels), crossed_.resize(tile_pixels);
  keeps_centre_.resize(channels * tile_pixels);
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
  reserve(regions_, other.regions_), reserve(entry_groups_, other.entry_groups_);
  resize(rows_, other.rows_), resize(other_rows_, other.other_rows_), reserve(row_values_, other.row_values_);
  if (near_triangles_.ids.size() < other.near_triangles_.ids.size())
    near_triangles_.resize(other.near_triangles_.ids.size());
  resize(near_entries_, other.near_entries_), reserve(near_offsets_, other.near_offsets_);
  reserve(segments_, other.segments_), reserve(piece_segments_, other.piece_segments_);
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
