// Pixels that silhouettes cross, on a GPU: kernels/pipeline/crossed, in lists over the whole image.
//
// How long the lists are is known when the device has made them. They have room for `capacity` items; what
// does not fit is left out, and the host is told how much room it takes: it then calls grow() and evaluates
// again.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "module/pointwise_on_device.hpp"
#include "renderer/couplings.hpp"
#include "renderer/device/device_group.hpp"
#include "renderer/device/device_rows.hpp"
#include "renderer/outputs.hpp"
#include "renderer/row_storage.hpp"

namespace diffrt::renderer::gpu {

// What a scene's silhouettes are asked about, the same for all evaluations.
struct CrossedScene {
  const std::shared_ptr<runtime::Device>& shared_device;
  runtime::Device& device;
  const kernels::DeviceTable& kernels;
  const TileGrid grid;
  const scene::State& state;
  const std::vector<std::unique_ptr<DeviceGroup>>& groups;
  Upload& upload;
  Zeros& zeros;
  Download& results;
  const std::vector<OutputChannels>& outputs;
  const RuleModels& rule_models;
  int channels, planes, camera_slots;  // planes: slots of the widest group, the camera's among them
};

// `count` rows of crossed pixels, as gather_rows leaves them in lists of this capacity, `size` numbers each.
void unpack_extras(const TileGrid& grid, const std::int32_t* numbers, const float* values, int count,
                   int capacity, int size, RowStorage& storage);

class Crossed {
 public:
  // Registers what goes up, is cleared, and comes down.
  Crossed(CrossedScene scene, Once& once);
  Crossed(const Crossed&) = delete;
  Crossed& operator=(const Crossed&) = delete;

  // Before what goes up is staged: what depends on theta.
  void stage();

  // After what each pixel sees and shows: changes the blocks `rendered`, and finds rows if `with_rows`;
  // pixels whose centre sees nothing but that have rows get an id.
  void record_values(Recording& recording, const runtime::DeviceBuffer<float>& rendered,
                     const runtime::DeviceBuffer<std::int32_t>& ids, bool with_rows);
  // After the rows of all pixels that see the group, `planes` of them per channel.
  void record_patch(Recording& recording, const Group& group, int planes,
                    const runtime::DeviceBuffer<std::int32_t>& ids,
                    const runtime::DeviceBuffer<float>& rows) const;
  // Brings down what rows there are besides those of the centres.
  void record_extras(Recording& recording);
  // Keeps them where `rows()` says at the time of a run.
  void record_kept_extras(Recording& recording, std::function<const DeviceRows&()> rows);
  int crossed_capacity() const { return capacity_[crossed]; }
  int row_capacity() const { return rows_of_entry() * capacity_[entries]; }
  // Sums of products of rows of different primitives, after all groups are patched.
  void record_couplings(Recording& recording, const runtime::DeviceBuffer<float>& residual,
                        const runtime::DeviceBuffer<float>& weight);

  // The edges as the groups have them now. Recordings have to be made anew then.
  void send_edges(Once& once);

  // After all: how long the lists were.
  void record_lengths(Recording& recording) const;

  // After an evaluation. Makes room for lists that had not enough: whether there were any. Recordings have to
  // be made anew then.
  bool grow();
  void fetch_extras(RowStorage& rows) const;
  // How many there were in the last evaluation.
  int crossed_count() const { return needed(crossed); }
  int row_count() const { return rows_of_entry() * needed(entries); }
  void fetch_couplings(Couplings& couplings) const;

 private:
  enum List { crossed, entries, pieces, pixel_pairs, pairs, lists };
  static_assert(static_cast<int>(crossed) == kernels::list_crossed &&
                static_cast<int>(lists) == kernels::lists);

  // The edges of a mesh.
  struct MeshEdges {
    const DeviceGroup* group;
    int first = 0, count = 0;  // among those of all meshes
    runtime::DeviceBuffer<std::int32_t> first_faces, second_faces, starts, half_edges, along;
  };

  static constexpr int first_rule_model = static_cast<int>(BoundaryRule::none) + 1;
  int rule_number(const Group& group, std::size_t primitive) const;
  void send_tables(Once& once);
  void make_room();
  void make_row_room();
  int channels() const { return scene_.channels; }
  int pixels() const { return scene_.grid.tiles() * kernels::tile * kernels::tile; }
  int rows_of_entry() const { return has_edges_ ? kernels::rows_of_chain : kernels::rows_of_entry; }
  int pair_size() const { return scene_.planes * (scene_.planes + 1); }
  // How many items a list would have had.
  int needed(List list) const;
  runtime::Bounds bounds(List list) const;
  const DeviceGroup* group_of(GroupKind kind) const;

  // record_crossed.cpp
  void record_find(Recording& recording, const runtime::DeviceBuffer<std::int32_t>& ids, bool with_rows);
  void record_pieces(Recording& recording);
  void record_look(Recording& recording);
  void record_small_triangles(Recording& recording, const DeviceGroup& mesh, int turn);
  void record_samples(Recording& recording, bool with_rows);
  void record_rule_models(Recording& recording);
  void record_mix(Recording& recording, const runtime::DeviceBuffer<float>& rendered);
  // record_crossed_rows.cpp
  void record_motion(Recording& recording);
  void record_gather(Recording& recording, const runtime::DeviceBuffer<std::int32_t>& ids);
  template <class Arguments>
  void set_smooth(Arguments& a) const;
  template <class Arguments>
  void set_size(Arguments& a) const;

  const CrossedScene scene_;
  const DeviceGroup *spheres_ = nullptr, *planes_ = nullptr;
  int sphere_count_ = 0, plane_count_ = 0, edge_count_ = 0, edge_stride_ = 0;
  std::vector<const DeviceGroup*> mesh_groups_;
  std::vector<MeshEdges> meshes_;  // of mesh_groups_
  bool has_edges_ = false;         // whether a mesh has silhouettes; some have no edge at some theta
  bool with_rows_ = false;         // whether there is room for rows

  std::vector<std::int32_t> kinds_;  // of spheres and planes
  Piece<std::int32_t> uploaded_kinds_, lengths_, told_lengths_;
  std::array<int, lists> capacity_{};

  runtime::DeviceBuffer<std::int32_t> smooth_, mesh_table_, edge_numbers_;
  runtime::DeviceBuffer<float> backgrounds_, components_;
  runtime::DeviceBuffer<std::int32_t> pixel_pieces_, pixel_places_, crossed_, entries_, piece_numbers_;
  runtime::DeviceBuffer<std::int32_t> small_ids_;
  runtime::DeviceBuffer<float> crossings_, seen_inverse_, small_inverse_, reference_, samples_, mixes_,
      piece_values_;
  std::vector<std::unique_ptr<module::PointwiseOnDevice>> rule_models_;
  // Of rows.
  runtime::DeviceBuffer<float> partials_, entry_rows_, piece_rows_;
  Download row_results_, pair_results_;  // row_numbers and row_values; pairs and their sums
  Piece<std::int32_t> row_numbers_, pairs_;
  Piece<float> row_values_, pair_sums_;
  runtime::DeviceBuffer<std::int32_t> tile_places_, tile_blocks_, pixel_pairs_;
};

}  // namespace diffrt::renderer::gpu
