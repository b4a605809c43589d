// Silhouettes of meshes in a tile: pieces of edges, linked into entries.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "renderer/launch_arguments.hpp"
#include "renderer/silhouettes.hpp"

namespace diffrt::renderer {

using runtime::array;
using runtime::launch;

namespace {

constexpr int lanes = kernels::lanes;

}  // namespace

// Of each mesh a segment: what its edges cross moves about its own pivot.
void SilhouetteWork::detect_edges(const TileContext& context, const MeshBatch& batch, int tile_index) {
  const BatchSilhouettes& s = batch.silhouettes;
  const Part part = part_in_image(context.grid, tile_index);
  kernels::detect_edges_arguments a;
  a.left = left_, a.top = top_, a.columns = part.columns, a.lines = part.rows, a.stride = s.stride;
  a.components = array(s.components.data()), a.candidates = array(s.tiles.candidates());
  a.count = array(&count_);
  const auto group_of = [&](int entry) {
    return batch.group_of_face(s.found_half_edges[static_cast<std::size_t>(s.tiles.candidate(entry))] / 3);
  };
  constexpr int together = 8;
  for (int entry = s.tiles.begin(tile_index), end = s.tiles.end(tile_index); entry < end;) {
    const int group = group_of(entry), begin = count_;
    while (entry < end && group_of(entry) == group) {
      int last = entry + 1;
      while (last < std::min(end, entry + together) && group_of(last) == group) ++last;
      const auto needed = static_cast<std::size_t>(count_ + (last - entry) * tile_pixels + lanes);
      if (piece_pixels_.size() < needed) piece_pixels_.resize(2 * needed), piece_edges_.resize(2 * needed);
      a.pixels = array(piece_pixels_.data()), a.primitives = array(piece_edges_.data());
      launch(context.kernels.detect_edges, a, entry, last);
      entry = last;
    }
    if (count_ == begin) continue;
    piece_segments_.push_back({group, begin, count_});
    for (; count_ % lanes != 0; ++count_) {
      const auto last = static_cast<std::size_t>(count_ - 1);
      piece_pixels_[last + 1] = piece_pixels_[last], piece_edges_[last + 1] = piece_edges_[last];
    }
  }
}

void SilhouetteWork::cross_pieces(const TileContext& context) {
  if (piece_segments_.empty()) return;
  if (count_ > piece_capacity_) allocate_pieces(context, count_);
  piece_stride_ = whole_lines(count_);
  piece_entries_.assign(static_cast<std::size_t>(count_), -1);
  for (const PieceSegment& segment : piece_segments_) {
    const BatchSilhouettes& s =
        context.batch_of(context.groups[static_cast<std::size_t>(segment.group)]).silhouettes;
    kernels::cross_edges_arguments a;
    set_camera(a, context.state);
    a.left = left_, a.top = top_, a.stride = piece_stride_ / lanes, a.edge_stride = s.stride;
    a.components = array(s.components.data());
    a.pixels = array(piece_pixels_.data()), a.primitives = array(piece_edges_.data());
    a.pieces = array(pieces_.data());
    launch(context.kernels.cross_edges, a, segment.begin / lanes, (segment.end + lanes - 1) / lanes);
    link_pieces(context, segment);
  }
}

void SilhouetteWork::allocate_pieces(const TileContext& context, int pieces) {
  piece_capacity_ = whole_lines(pieces);
  const auto n = static_cast<std::size_t>(piece_capacity_),
             channels = static_cast<std::size_t>(context.channels);
  pieces_.resize(kernels::piece_components * n);
  piece_jumps_.resize(3 * channels * n);
  piece_rows_.resize(channels * (6 + static_cast<std::size_t>(context.camera_slots)) * n);
  piece_entries_.reserve(n), next_piece_.reserve(n), component_.reserve(n);
  first_piece_.reserve(tile_pixels);
}

// Pieces of a pixel that meet at a vertex inside it belong together; each such chain is an entry.
void SilhouetteWork::link_pieces(const TileContext& context, const PieceSegment& segment) {
  const BatchSilhouettes& s =
      context.batch_of(context.groups[static_cast<std::size_t>(segment.group)]).silhouettes;
  first_piece_.assign(tile_pixels, -1);
  next_piece_.resize(static_cast<std::size_t>(count_));
  component_.resize(static_cast<std::size_t>(count_));
  const int begin = entries_;
  std::array<std::uint64_t, words_of_tile> pixels{};  // that have any
  // Backwards, so that the lists are in order.
  for (int i = segment.end - 1; i >= segment.begin; --i) {
    if (!(piece(kernels::piece_length, i) > 0)) continue;
    const int pixel = piece_pixels_[static_cast<std::size_t>(i)];
    pixels[static_cast<std::size_t>(pixel / 64)] |= std::uint64_t{1} << (pixel % 64);
    int& first = first_piece_[static_cast<std::size_t>(pixel)];
    next_piece_[static_cast<std::size_t>(i)] = first;
    component_[static_cast<std::size_t>(i)] = i;
    first = i;
  }
  const auto joined = [&](int i, int j) {
    for (int a = 0; a < 2; ++a) {
      for (int b = 0; b < 2; ++b) {
        const auto end_of = [&](int p, int end) {
          return s.found_ends[2 * static_cast<std::size_t>(piece_edges_[static_cast<std::size_t>(p)]) +
                              static_cast<std::size_t>(end)];
        };
        if (end_of(i, a) == end_of(j, b) && piece(kernels::piece_cut + a, i) == 0 &&
            piece(kernels::piece_cut + b, j) == 0)
          return true;
      }
    }
    return false;
  };
  const auto link = [&](int pixel) {
    const int first = first_piece_[static_cast<std::size_t>(pixel)];
    for (int i = first; i >= 0; i = next_piece_[static_cast<std::size_t>(i)]) {
      for (int j = next_piece_[static_cast<std::size_t>(i)]; j >= 0;
           j = next_piece_[static_cast<std::size_t>(j)]) {
        const int a = chain_of(i), b = chain_of(j);
        if (a != b && joined(i, j)) component_[static_cast<std::size_t>(std::max(a, b))] = std::min(a, b);
      }
    }
    for (int i = first; i >= 0; i = next_piece_[static_cast<std::size_t>(i)]) {
      if (chain_of(i) == i) add_chain(context, segment.group, pixel, i);
    }
  };
  // Strip by strip of four columns, so that the entries of a packet lie close together: the fewer triangles
  // are near them.
  static_assert(tile == 16, "a word is four rows");
  for (int strip = 0; strip < tile / 4; ++strip) {
    for (std::size_t w = 0; w < pixels.size(); ++w) {
      for (std::uint64_t word = pixels[w] & std::uint64_t{0x000f000f000f000f} << 4 * strip; word != 0;
           word &= word - 1)
        link(static_cast<int>(64 * w) + __builtin_ctzll(word));
    }
  }
  if (entries_ == begin) return;
  segments_.push_back({segment.group, -1, begin, entries_});
  pad_entries();
}

// The entry of the chain whose first piece is `root`.
void SilhouetteWork::add_chain(const TileContext& context, int g, int pixel, int root) {
  const Group& group = context.groups[static_cast<std::size_t>(g)];
  const MeshBatch& batch = context.batch_of(group);
  const BatchSilhouettes& s = batch.silhouettes;
  MeshEntry m{};
  float longest = 0, length = 0;
  int edge = 0, pieces = 0;
  bool closed = true;
  for (int i = root; i >= 0; i = next_piece_[static_cast<std::size_t>(i)]) {
    if (chain_of(i) != root) continue;
    ++pieces, length += piece(kernels::piece_length, i);
    closed = closed && piece(kernels::piece_cut, i) == 0 && piece(kernels::piece_cut + 1, i) == 0;
    m.area += piece(kernels::piece_area, i);
    m.moment_x += piece(kernels::piece_moment, i), m.moment_y += piece(kernels::piece_moment + 1, i);
    piece_entries_[static_cast<std::size_t>(i)] = entries_;
    if (piece(kernels::piece_length, i) <= longest) continue;
    longest = piece(kernels::piece_length, i);
    m.edge_x = piece(kernels::piece_middle, i), m.edge_y = piece(kernels::piece_middle + 1, i);
    m.outward_x = piece(kernels::piece_outward, i), m.outward_y = piece(kernels::piece_outward + 1, i);
    m.centre = piece(kernels::piece_centre, i), m.inverse = piece(kernels::piece_inverse, i);
    edge = piece_edges_[static_cast<std::size_t>(i)];
  }
  if (pieces > 1 && length < kernels::nick) {  // a corner that reaches in by no more than rounding
    for (int i = root; i >= 0; i = next_piece_[static_cast<std::size_t>(i)]) {
      if (chain_of(i) == root) piece_entries_[static_cast<std::size_t>(i)] = -1;
    }
    return;
  }
  if (pieces > 1) m.centre = centre_of_chain(root);
  const bool covered = m.centre >= 0;
  if (closed && m.area > -kernels::least_hole) {
    m.area = std::max(m.area, 0.0f);  // nothing of the border belongs to it
  } else {
    m.area -= std::floor(m.area);
    if (m.area < kernels::ambiguous_area && covered) m.area = 1;
    if (m.area > 1 - kernels::ambiguous_area && !covered) m.area = 0;
    // Whether all of the pixel or nothing of it is covered is not known: as if it were behind everything.
    if (pieces > 1 && m.centre == 0 &&
        (m.area <= kernels::ambiguous_area || m.area >= 1 - kernels::ambiguous_area))
      m.inverse = -1;
  }
  m.face_seen = s.components[static_cast<std::size_t>(kernels::edge_face * s.stride + edge)] != 0;
  make_entry_room(1);
  const auto e = static_cast<std::size_t>(entries_);
  entry_pixels_[e] = pixel;
  entry_primitives_[e] =
      batch.first_id + s.found_half_edges[static_cast<std::size_t>(edge)] / 3 - group.first_id;
  entry_groups_.push_back(g);
  const auto word = static_cast<std::size_t>(pixel / 64);
  const std::uint64_t bit = std::uint64_t{1} << (pixel % 64);
  shared_[word] |= once_[word] & bit;
  once_[word] |= bit;
  if (mesh_entries_.size() <= e) mesh_entries_.resize(2 * e + 1);
  mesh_entries_[e] = m;
  ++entries_;
}

// How far the pixel's centre is from a chain [px], positive on the covered side: what its nearest piece says.
// Where several are the nearest, at a vertex, and do not agree: all of them must, if it is a convex corner.
// 0 where it is so narrow that rounding makes it one or not.
float SilhouetteWork::centre_of_chain(int root) {
  const auto distance = [&](int i) {
    const float along = piece(kernels::piece_outward + 1, i) * piece(kernels::piece_middle, i) -
                        piece(kernels::piece_outward, i) * piece(kernels::piece_middle + 1, i);
    return std::hypot(piece(kernels::piece_centre, i),
                      std::max(std::abs(along) - 0.5f * piece(kernels::piece_length, i), 0.0f));
  };
  const auto each = [&](auto use) {
    for (int i = root; i >= 0; i = next_piece_[static_cast<std::size_t>(i)]) {
      if (chain_of(i) == root) use(i);
    }
  };
  float nearest = std::numeric_limits<float>::max();
  each([&](int i) { nearest = std::min(nearest, distance(i)); });
  int count = 0, covered = 0;
  float middle[2] = {}, outward[2] = {}, spread = 0;
  each([&](int i) {
    if (distance(i) > nearest + kernels::as_near) return;
    ++count;
    if (piece(kernels::piece_centre, i) >= 0) ++covered;
    for (int axis = 0; axis < 2; ++axis) {
      const float at = piece(kernels::piece_middle + axis, i),
                  normal = piece(kernels::piece_outward + axis, i);
      middle[axis] += at, outward[axis] += normal, spread += normal * at;
    }
  });
  // Of any two pieces of a convex corner, the normals lead apart.
  const float apart = static_cast<float>(count) * spread - outward[0] * middle[0] - outward[1] * middle[1];
  if (covered > 0 && covered < count && std::abs(apart) < kernels::as_near) return 0;
  return covered == count || (covered > 0 && apart < 0) ? nearest : -nearest;
}

bool SilhouetteWork::is_chain(const TileContext& context, int e) const {
  const int g = entry_groups_[static_cast<std::size_t>(e)];
  return context.groups[static_cast<std::size_t>(g)].mesh != nullptr;
}

// Components of a crossing, of entry `e` from those of chain `from`.
void SilhouetteWork::describe_chain(int from, int e) {
  const MeshEntry& m = mesh_entries_[static_cast<std::size_t>(from)];
  const int pixel = entry_pixels_[static_cast<std::size_t>(from)];
  const auto x = static_cast<float>(left_ + pixel % tile), y = static_cast<float>(top_ + pixel / tile);
  crossing(kernels::crossing_area, e) = m.area;
  crossing(kernels::crossing_moment, e) = m.moment_x, crossing(kernels::crossing_moment + 1, e) = m.moment_y;
  crossing(kernels::crossing_centre, e) = m.centre, crossing(kernels::crossing_longest, e) = 1;
  crossing(kernels::crossing_spread, e) = 1, crossing(kernels::crossing_spread_slope, e) = 0;
  const float step_x = kernels::silhouette_step * m.outward_x,
              step_y = kernels::silhouette_step * m.outward_y;
  const float points[2][2] = {{x + m.edge_x - step_x, y + m.edge_y - step_y},
                              {x + m.edge_x + step_x, y + m.edge_y + step_y}};
  const float area[2] = {m.area, m.area - 1};  // the rest has the opposite moments
  const int beside[2] = {kernels::crossing_inner, kernels::crossing_outer},
            centroid[2] = {kernels::crossing_inside, kernels::crossing_outside};
  for (int side = 0; side < 2; ++side) {
    const bool there = std::abs(area[side]) > kernels::least_area;
    crossing(beside[side], e) = points[side][0], crossing(beside[side] + 1, e) = points[side][1];
    crossing(centroid[side], e) = there ? x + m.moment_x / area[side] : points[side][0];
    crossing(centroid[side] + 1, e) = there ? y + m.moment_y / area[side] : points[side][1];
  }
}

void SilhouetteWork::differentiate_pieces(const TileContext& context) {
  if (piece_segments_.empty()) return;
  const int channels = context.channels, planes = 6 + context.camera_slots;
  for (const PieceSegment& segment : piece_segments_) {
    const Group& group = context.groups[static_cast<std::size_t>(segment.group)];
    const MeshBatch& batch = context.batch_of(group);
    for (int k = 0; k < 3 * channels; ++k) {
      for (int i = segment.begin; i < (segment.end + lanes - 1) / lanes * lanes; ++i) {
        const int e = piece_entries_[static_cast<std::size_t>(i)];
        piece_jumps_[static_cast<std::size_t>(k * piece_stride_ + i)] =
            e < 0 ? 0 : jumps_[static_cast<std::size_t>(k * stride_ + e)];
      }
    }
    kernels::silhouette_rows_edge_arguments a;
    set_camera(a, context.state);
    set_pivot(a, group);
    a.left = left_, a.top = top_, a.stride = piece_stride_ / lanes;
    a.channels = channels, a.planes = planes;
    a.edge_stride = batch.silhouettes.stride, a.face_stride = batch.stride,
    a.vertex_stride = batch.vertex_stride;
    a.components = array(batch.silhouettes.components.data());
    a.first_half_edges = array(batch.silhouettes.found_half_edges.data());
    a.faces = array(batch.faces.data()), a.vertices_camera = array(batch.vertices_camera.data());
    a.pixels = array(piece_pixels_.data()), a.primitives = array(piece_edges_.data());
    a.pieces = array(pieces_.data()), a.jumps = array(piece_jumps_.data()),
    a.rows = array(piece_rows_.data());
    launch(context.kernels.silhouette_rows_edge[group.kind == GroupKind::free_mesh ? 1 : 0]
                                               [context.camera_slots > 0 ? 1 : 0],
           a, segment.begin / lanes, (segment.end + lanes - 1) / lanes);
  }
}

}  // namespace diffrt::renderer
