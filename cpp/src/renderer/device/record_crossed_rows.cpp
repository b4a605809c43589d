// What crossed pixels depend on: rows, and the sums of their products.
#include "renderer/device/crossed.hpp"
#include "renderer/device/record_crossed.hpp"
#include "renderer/launch_arguments.hpp"

namespace diffrt::renderer::gpu {

using runtime::array;

// By the motion of silhouettes.
void Crossed::record_motion(Recording& recording) {
  const auto side_by_side = recording.sequence().parallel();
  const int camera = scene_.camera_slots > 0 ? 1 : 0;
  const auto set = [this](auto& a) {
    a.tiles_x = scene_.grid.across;
    set_camera(a, scene_.state);
    a.channels = channels(), a.planes_of_row = scene_.planes, a.entry_capacity = capacity_[entries];
    a.entries = array(entries_), a.crossings = array(crossings_);
    a.partials = array(partials_), a.mixes = array(mixes_);
  };
  if (sphere_count_ + plane_count_ > 0) {
    recording.launch(scene_.kernels.move_entries[camera], bounds(entries), [this, set](auto& a) {
      set(a);
      set_smooth(a);
      a.rows = array(entry_rows_);
    });
  }
  for (std::size_t m = 0; m < meshes_.size(); ++m) {
    const DeviceGroup& device_group = *meshes_[m].group;
    const Group& group = device_group.group();
    if (meshes_[m].count == 0 || !group.depends[0]) continue;
    const int free = group.kind == GroupKind::free_mesh ? 1 : 0;
    recording.launch(scene_.kernels.move_pieces[free][camera], bounds(pieces),
                     [this, set, m, &device_group, &group](auto& a) {
                       set(a);
                       set_pivot(a, group);
                       a.mesh = static_cast<std::int32_t>(m), a.first_id = group.first_id;
                       a.piece_capacity = capacity_[pieces];
                       a.edge_stride = edge_stride_, a.face_stride = group.stride;
                       a.vertex_stride = group.vertex_stride;
                       a.components = array(components_), a.edge_numbers = array(edge_numbers_);
                       a.faces = array(device_group.faces());
                       a.vertices_camera = array(device_group.vertices_camera());
                       a.piece_numbers = array(piece_numbers_), a.pieces = array(piece_values_);
                       a.piece_rows = array(piece_rows_);
                     });
  }
}

void Crossed::record_gather(Recording& recording, const runtime::DeviceBuffer<std::int32_t>& ids) {
  recording.launch(scene_.kernels.gather_rows, bounds(crossed), [this, &ids](auto& a) {
    a.channels = channels(), a.planes = scene_.planes, a.camera_slots = scene_.camera_slots;
    a.smooth_count = sphere_count_ + plane_count_, a.mesh_count = static_cast<std::int32_t>(meshes_.size());
    a.crossed_capacity = capacity_[crossed], a.entry_capacity = capacity_[entries];
    a.piece_capacity = capacity_[pieces], a.row_capacity = row_capacity();
    a.smooth = array(smooth_), a.meshes = array(mesh_table_);
    a.entries = array(entries_), a.partials = array(partials_), a.mixes = array(mixes_);
    a.entry_rows = array(entry_rows_);
    a.piece_numbers = array(piece_numbers_), a.piece_rows = array(piece_rows_);
    a.crossed = array(crossed_), a.ids = array(ids);
    a.row_numbers = array(row_results_.array(row_numbers_));
    a.row_values = array(row_results_.array(row_values_));
  });
}

void Crossed::record_patch(Recording& recording, const Group& group, int planes,
                           const runtime::DeviceBuffer<std::int32_t>& ids,
                           const runtime::DeviceBuffer<float>& rows_of_pixels) const {
  recording.launch(scene_.kernels.patch_rows, bounds(crossed),
                   [this, &group, planes, &ids, &rows_of_pixels](auto& a) {
                     a.channels = channels(), a.planes = planes, a.row_planes = scene_.planes;
                     a.slots = group.slots, a.camera_slots = scene_.camera_slots;
                     a.first_id = group.first_id, a.id_count = group.count;
                     a.crossed_capacity = capacity_[crossed];
                     a.crossed = array(crossed_), a.ids = array(ids);
                     a.row_values = array(row_results_.array(row_values_));
                     a.planes_of_pixels = array(rows_of_pixels);
                   });
}

void Crossed::record_extras(Recording& recording) {
  row_results_.fetch(recording.sequence(), row_numbers_, row_values_);
}

void Crossed::record_kept_extras(Recording& recording, std::function<const DeviceRows&()> kept) {
  using Words = runtime::DeviceArray<std::int32_t>;
  const auto keep = [&](const Words& source, Words (DeviceRows::*to)() const) {
    recording.launch(scene_.kernels.keep_words, static_cast<int>(source.size),
                     [kept, source, to](auto& a) { a.source = array(source), a.to = array((kept().*to)()); });
  };
  const auto values = row_results_.array(row_values_);
  keep(crossed_.array(), &DeviceRows::crossed);
  keep(row_results_.array(row_numbers_), &DeviceRows::row_numbers);
  keep({values.address, values.size}, &DeviceRows::row_values);
}

void Crossed::record_couplings(Recording& recording, const runtime::DeviceBuffer<float>& residual,
                               const runtime::DeviceBuffer<float>& weight) {
  const auto set_rows = [this](auto& a) {
    a.crossed_capacity = capacity_[crossed], a.row_capacity = row_capacity();
    a.crossed = array(crossed_), a.row_numbers = array(row_results_.array(row_numbers_));
    a.tile_places = array(tile_places_), a.tile_blocks = array(tile_blocks_);
    a.lengths = array(scene_.zeros.array(lengths_));
    a.pixel_pairs = array(pixel_pairs_), a.pixel_pair_capacity = capacity_[pixel_pairs];
  };
  recording.launch(scene_.kernels.pair_rows, bounds(crossed), [this, set_rows](auto& a) {
    set_rows(a);
    a.pixel_places = array(pixel_places_);
  });
  recording.launch(scene_.kernels.pair_primitives, bounds(pixel_pairs), [this, set_rows](auto& a) {
    set_rows(a);
    a.size = pair_size(), a.pair_capacity = capacity_[pairs];
    a.pairs = array(pair_results_.array(pairs_));
  });
  recording.launch(scene_.kernels.couple_primitives, bounds(pairs), [this, &residual, &weight](auto& a) {
    a.channels = channels(), a.planes = scene_.planes;
    a.pixel_pairs = array(pixel_pairs_), a.pixel_pair_capacity = capacity_[pixel_pairs];
    a.pairs = array(pair_results_.array(pairs_)), a.pair_capacity = capacity_[pairs];
    a.row_values = array(row_results_.array(row_values_));
    a.residual = array(residual), a.weight = array(weight);
    a.sums = array(pair_results_.array(pair_sums_));
  });
  pair_results_.fetch(recording.sequence(), pairs_, pair_sums_);
}

void Crossed::record_lengths(Recording& recording) const {
  const runtime::DeviceArray<std::int32_t> from = scene_.zeros.array(lengths_),
                                           to = scene_.results.array(told_lengths_);
  recording.launch(scene_.kernels.keep_words, kernels::lengths_size,
                   [from, to](auto& a) { a.source = array(from), a.to = array(to); });
}

}  // namespace diffrt::renderer::gpu
