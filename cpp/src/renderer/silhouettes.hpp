// The pixels of a run of tiles that silhouettes cross: what they show, and their rows.
//
// An entry is a pixel and an object whose silhouette crosses it. Kernels find what covers how much of the
// pixel, what is on either side, and the rule's value, for the entries of all the tiles together. Where a
// mesh is a tile is alone in its run. One entry in a pixel: the pixel shows its value. Several: centre + sum
// (value_j - near_j), near_j being what entry j has on the side of the pixel's centre, kept within the range
// of all that is mixed. That is exact for silhouettes that do not cross each other in the pixel.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "renderer/mesh_batch.hpp"
#include "renderer/silhouette_regions.hpp"

namespace diffrt::renderer {

inline constexpr int tile = kernels::tile;
inline constexpr int tile_pixels = tile * tile;

struct OutputChannels;
struct Workspace;

// Partials by the slots of one primitive: of channel c and plane k at values[c * channel_stride + k *
// plane_stride], the primitive's own slots first, the camera's last.
struct RowValues {
  const float* values = nullptr;
  std::ptrdiff_t channel_stride = 0, plane_stride = 0;
};

// Where the rows of a tile are, or become those of a Jacobian: a pixel's place is the same in all planes, and
// in that of the ids.
struct RowTarget {
  float* planes;
  std::int32_t* ids;
  std::ptrdiff_t plane_stride, row_stride;

  std::ptrdiff_t place_of(int pixel) const { return pixel / tile * row_stride + pixel % tile; }
};

// What a crossed pixel (its number in the tile) depends on by one primitive. `place` says where its values
// are.
struct CrossedRow {
  std::int32_t id;
  int pixel, place;
};

// A pixel that shows something else than what its centre sees, and the first of its entries. Its rows: what
// belongs into the planes of the primitive that its centre sees, zeros if there is nothing; and perhaps
// others, in SilhouetteWork::other_rows().
struct CrossedPixel {
  int pixel, first_entry;
  int own_place;
};

class SilhouetteWork {
 public:
  // Rows of all crossed pixels but what is their own, those of one pixel one after another.
  Span<const CrossedRow> other_rows() const {
    return {other_rows_.data(), static_cast<std::size_t>(other_row_count_)};
  }

  RowValues values_at(int place) const {
    const auto number = static_cast<unsigned>(place);
    const RowValues& source = sources_[number % source_count];
    return {source.values + number / source_count, source.channel_stride, source.plane_stride};
  }

  // Finds where silhouettes of spheres and planes are in a run of tiles: first of all.
  void find(const TileContext& context, const TileRun& run);
  // What was found.
  const SilhouetteRegions& regions() const { return regions_; }

  // Finds what silhouettes do to the run, after find_visible and show: changes the blocks `rendered`,
  // and `with_rows` prepares gather_rows.
  void run(const TileContext& context, const TileRun& run, Workspace& work, bool with_rows);

  // The functions below are about one tile of the run, number `j` in it.
  void select(const TileContext& context, int j);

  // Rows of the tile's crossed pixels. Those whose centre sees nothing but that have rows get the id of one.
  void gather_rows(const TileContext& context, Workspace& work);

  // Where a scene is `pairs`, after differentiate: rows of the pixels that have one entry. Calls other(pixel,
  // the row in the planes, id, its row) for each, and id -1 where there is nothing else: what is not one of
  // other_rows(). In silhouette_alone.hpp.
  template <class Other>
  void patch_alone(const TileContext& context, const Workspace& work, const RowTarget& target, Other&& other);
  // How many pixels patch_alone may call `other` for.
  int alone() const { return alone_count_; }

  // Makes room for as much as `other` has had to hold, so that a thread that meets its tiles later allocates
  // nothing.
  void make_room_as(const TileContext& context, const SilhouetteWork& other);

  // After differentiate: rows of crossed pixels that see `group`, `planes` of them per channel; but of those
  // that patch_alone has.
  void patch(const TileContext& context, const Group& group, int planes, const Workspace& work,
             const RowTarget& target) const;

 private:
  struct Segment {    // entries found by one kind of kernels
    int group, kind;  // kind -1: a mesh
    int begin, end;
  };
  struct PieceSegment {
    int group, begin, end;
  };

  void detect(const TileContext& context, const TileRun& run);
  void add_entries(int quad);
  void add_region(const SilhouetteRegion& region, int quad);
  void detect_edges(const TileContext& context, const MeshBatch& batch, int tile_index);
  void pad_entries();
  void allocate_entries(const TileContext& context, int entries);
  void allocate_pieces(const TileContext& context, int pieces);
  void cross_pieces(const TileContext& context);
  void link_pieces(const TileContext& context, const PieceSegment& segment);
  // The first piece of the chain that a piece belongs to.
  int chain_of(int piece) const {
    while (component_[static_cast<std::size_t>(piece)] != piece)
      piece = component_[static_cast<std::size_t>(piece)];
    return piece;
  }
  void add_chain(const TileContext& context, int group, int pixel, int root);
  float centre_of_chain(int root);
  bool is_chain(const TileContext& context, int e) const;
  void describe_chain(int from, int e);
  void make_entry_room(int more);
  // A stride is a multiple of 16, so that every component begins at a cache line.
  static int whole_lines(int count) { return (count + 15) / 16 * 16; }
  void cross(const TileContext& context, bool with_nodes);
  void look(const TileContext& context, const TileRun& run);
  void look_spheres(const TileContext& context, std::size_t g, int quad);
  void see_all(const TileContext& context, const TileRun& run);
  void see(const TileContext& context, std::size_t g, int component, int part, int first);
  void see(const TileContext& context, std::size_t g, int quad, int component, int part, int first, int last);
  void find_near_triangles(const MeshBatch& batch, int tile_index);
  void find_near_entries();
  void decide(const TileContext& context);
  // Whether an entry is visible: then something is seen inside.
  bool active(int e) const { return sample_ids_[static_cast<std::size_t>(e)] >= 0; }
  void find_seen_groups(const TileContext& context, bool with_rows);
  void sample(const TileContext& context, bool with_rows);
  void sample(const TileContext& context, const std::vector<OutputChannels>& outputs, bool with_rows,
              float* values, float* partials);
  void sample_models(const TileContext& context, bool with_rows);
  void fill_samples(const OutputChannels& output, int planes);
  void apply_rules(const TileContext& context);
  void drop_missing(const TileContext& context);
  void apply_model(const TileContext& context, const module::Pointwise& model);
  void combine(const TileContext& context, Workspace& work, bool with_rows);
  bool is_shared(int e) const;
  template <class Channels>
  bool combine_singles(Channels channels, float* rendered);
  void combine_one_by_one(const TileContext& context, float* rendered);
  void drop_centres(int channels);
  void combine_others(const TileContext& context, float* rendered);
  void add_crossed(int pixel, int first_entry) {
    const auto j = static_cast<std::size_t>(pixel / tile_pixels);
    CrossedPixel& crossed = all_crossed_[j * crossed_room + static_cast<std::size_t>(crossed_counts_[j]++)];
    crossed.pixel = pixel % tile_pixels, crossed.first_entry = first_entry;
  }
  bool combine_channels(const TileContext& context, int pixel, int first, float* rendered);
  bool combine_pixel(const TileContext& context, std::size_t shown_at, int first, int channel,
                     float background, float* rendered);
  // Where the first channel of a pixel is, in the blocks of all tiles.
  static int place_of(int pixel, int channels) {
    return pixel +
           static_cast<int>(static_cast<unsigned>(pixel) / tile_pixels) * (channels - 1) * tile_pixels;
  }
  void find_jumps(const TileContext& context);
  void differentiate(const TileContext& context);
  void differentiate_pieces(const TileContext& context);
  void weigh_partials(const TileContext& context);
  void make_row_room(const TileContext& context);
  void find_sources(const TileContext& context);
  // Whether the rows of a pixel are those of one entry, as they lie in the kernels' arrays.
  bool has_single_entry(const CrossedPixel& crossed) const {
    const auto i = static_cast<std::size_t>(crossed.first_entry);
    return crossed.first_entry < first_mesh_ && next_entry_[i] < 0 &&
           sample_ids_[i] != sample_ids_[i + static_cast<std::size_t>(stride_)];
  }
  template <class Channels, class Other>
  void patch_alone(Channels channels, const Workspace& work, const RowTarget& target, Other& other);
  void pair_rows(const TileContext& context);
  void add_third(int channels, const CrossedPixel& crossed, const RowTarget& target);
  int gather_singles(const TileContext& context, int first, Workspace& work);
  void gather_sums(const TileContext& context, int first_crossed, Workspace& work);
  void part_rows(const TileContext& context, CrossedPixel& crossed, Workspace& work);
  // The centre of a pixel that sees nothing gets the rows of `id`.
  void give_id(int channels, int pixel, std::int32_t id, Workspace& work);
  void gather_shared(const TileContext& context, int e);
  void gather_pieces(const TileContext& context);
  float* row_of(const TileContext& context, int pixel, std::int32_t id);

  float& crossing(int component, int e) {
    return crossings_[static_cast<std::size_t>(component * stride_ + e)];
  }
  float& piece(int component, int i) {
    return pieces_[static_cast<std::size_t>(component * piece_stride_ + i)];
  }

  // The run at hand.
  int left_ = 0, top_ = 0;
  int entries_ = 0;  // in all, with padding
  // Of the arrays below: room, and the distance between components, which is what this run needs, so that
  // they lie close together in the cache.
  int capacity_ = 0, stride_ = 0;
  SilhouetteRegions regions_;
  int quads_ = 0;
  std::array<int, most_quads + 1> quad_begins_{};  // their entries of spheres and planes
  std::vector<Segment> segments_;
  std::vector<std::int32_t> entry_pixels_,
      entry_primitives_;           // primitive: its number in the group; a face of a mesh
  std::vector<int> entry_groups_;  // -1: padding
  runtime::Buffer<float> crossings_;

  // Triangles near any entry, with their bounds; and near each packet of entries: those of packet i are
  // [near_offsets_[i], near_offsets_[i + 1]).
  struct NearTriangles {
    std::vector<std::int32_t> ids;
    std::vector<float> x0, y0, x1, y1;
    void resize(std::size_t count);
  };
  NearTriangles near_triangles_;
  int near_count_ = 0;
  std::vector<std::int32_t> near_entries_, near_offsets_;
  int first_mesh_ = 0;  // entries from here on are of meshes
  // Seen at points [inner; outer; inside], samples [inside; outside], each of `stride_` numbers.
  runtime::Buffer<float> seen_inverse_, reference_;
  runtime::Buffer<std::int32_t> seen_ids_, sample_ids_;
  std::vector<int> seen_groups_;  // beside the silhouettes
  std::vector<unsigned> marks_;   // per group: `mark_` if it is one of them
  unsigned mark_ = 0;
  runtime::Buffer<float> sampled_, sampled_partials_;
  runtime::Buffer<float> surfaces_, surface_partials_;  // likewise, of which models make outputs
  runtime::Buffer<float> values_, by_area_, by_inside_, by_outside_;  // [channels, 2 stride_]
  runtime::Buffer<float> rule_values_, rule_area_, rule_inside_,
      rule_outside_;  // of a rule that not all have
  runtime::Buffer<float> jumps_, silhouette_rows_;
  static constexpr int pair_slots = kernels::slots_sphere;
  struct PairRow {
    float sides[2][pair_slots];  // in front, behind
  };
  runtime::Buffer<PairRow> pair_rows_;  // [channels, stride_]

  // Pieces of edges.
  int piece_capacity_ = 0, piece_stride_ = 0;  // as above
  std::vector<PieceSegment> piece_segments_;
  std::vector<std::int32_t> piece_pixels_, piece_edges_;
  std::vector<int> piece_entries_;  // or -1
  std::vector<int> first_piece_, next_piece_, component_;
  runtime::Buffer<float> pieces_, piece_jumps_, piece_rows_;
  struct MeshEntry {
    float area, moment_x, moment_y, edge_x, edge_y, outward_x, outward_y, centre, inverse;
    bool face_seen;  // the one that stands for the mesh where it is narrow
  };
  std::vector<MeshEntry> mesh_entries_;

  std::int32_t count_ = 0;  // kernels append here
  // Pixels with an entry, visible or not, and those with several.
  std::array<std::uint64_t, most_quads * words_of_quad> once_{}, shared_{};
  // Of each tile so many. One is written before it is known whether it is needed.
  static constexpr std::size_t crossed_room = tile_pixels + 1;
  std::vector<CrossedPixel> all_crossed_;
  std::array<int, most_in_run> crossed_counts_{}, alone_counts_{};
  Span<CrossedPixel> crossed_;  // of the tile at hand
  // The first of them are those of patch_alone.
  int crossed_count_ = 0, alone_count_ = 0;
  std::vector<int> first_row_;
  std::vector<int> first_entry_, next_entry_, touched_;
  std::vector<int> others_;  // visible entries that are not alone
  int other_count_ = 0;
  // [tiles, channels, 256]: whether the row of the pixel's centre is part of its row.
  std::vector<std::uint8_t> all_keep_centre_;
  Span<std::uint8_t> keeps_centre_;  // of the tile at hand
  // Where values of rows are: behind and in front of silhouettes that are alone in their pixels, in the
  // arrays of the kernels; sums; zeros. Number i of source s is place i * source_count + s.
  enum Source { behind, front, sums, zeros, source_count };
  std::array<RowValues, source_count> sources_;
  std::vector<CrossedRow> other_rows_;
  int other_row_count_ = 0;
  // Sums by block of the pixels with several entries, linked by pixel.
  struct SharedRow {
    std::int32_t id, block;
    int start, next;  // in row_values_; row of the same pixel
  };
  std::vector<SharedRow> rows_;
  int row_count_ = 0;
  std::vector<float> row_values_;
};

}  // namespace diffrt::renderer
