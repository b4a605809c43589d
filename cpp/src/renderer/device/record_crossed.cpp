// Which pixels silhouettes cross, what is on either side, and what they show.
#include "renderer/device/record_crossed.hpp"

#include <limits>

#include "renderer/device/crossed.hpp"
#include "renderer/launch_arguments.hpp"

namespace diffrt::renderer::gpu {

using runtime::array;

void Crossed::record_values(Recording& recording, const runtime::DeviceBuffer<float>& rendered,
                            const runtime::DeviceBuffer<std::int32_t>& ids, bool with_rows) {
  if (with_rows && !with_rows_) make_row_room();
  record_find(recording, ids, with_rows);
  record_look(recording);
  record_samples(recording, with_rows);
  record_rule_models(recording);
  record_mix(recording, rendered);
  if (!with_rows) return;
  record_motion(recording);
  record_gather(recording, ids);
}

void Crossed::record_find(Recording& recording, const runtime::DeviceBuffer<std::int32_t>& ids,
                          bool with_rows) {
  if (has_edges_) {
    recording.sequence().fill(pixel_pieces_.array(), 0);
    const auto side_by_side = recording.sequence().parallel();
    for (const MeshEdges& mesh : meshes_) {
      if (mesh.count == 0) continue;
      recording.launch(scene_.kernels.count_pieces, mesh.count, [this, &mesh](auto& a) {
        const Group& group = mesh.group->group();
        set_size(a);
        set_camera(a, scene_.state);
        a.first_edge = mesh.first, a.edge_stride = edge_stride_;
        a.face_stride = group.stride, a.vertex_stride = group.vertex_stride;
        a.first_faces = array(mesh.first_faces), a.second_faces = array(mesh.second_faces);
        a.starts = array(mesh.starts), a.half_edges = array(mesh.half_edges), a.along = array(mesh.along);
        a.faces = array(mesh.group->faces()), a.vertices_camera = array(mesh.group->vertices_camera());
        a.triangles = array(mesh.group->table(scene_.upload)), a.components = array(components_);
        a.pixel_pieces = array(pixel_pieces_);
      });
    }
  }
  recording.launch(scene_.kernels.find_crossed, pixels(), [this, &ids](auto& a) {
    set_size(a);
    set_camera(a, scene_.state);
    set_smooth(a);
    a.plane_count = plane_count_;
    a.crossed_capacity = capacity_[crossed], a.entry_capacity = capacity_[entries];
    a.piece_capacity = capacity_[pieces], a.rows_of_entry = rows_of_entry();
    set_lists(a, spheres_);
    a.kinds = array(scene_.upload.array(uploaded_kinds_)), a.smooth = array(smooth_), a.ids = array(ids);
    a.pixel_pieces = array(pixel_pieces_), a.pixel_places = array(pixel_places_);
    a.lengths = array(scene_.zeros.array(lengths_)), a.crossed = array(crossed_), a.entries = array(entries_);
    a.small_inverse = array(small_inverse_), a.small_ids = array(small_ids_);
  });
  if (edge_count_ > 0) record_pieces(recording);
  if (sphere_count_ + plane_count_ == 0) return;
  recording.launch(scene_.kernels.cross_entries[with_rows ? 1 : 0], bounds(entries), [this](auto& a) {
    a.tiles_x = scene_.grid.across;
    set_camera(a, scene_.state);
    set_smooth(a);
    a.entry_capacity = capacity_[entries];
    a.entries = array(entries_), a.crossings = array(crossings_);
  });
}

void Crossed::record_pieces(Recording& recording) {
  recording.launch(scene_.kernels.place_pieces, edge_count_, [this](auto& a) {
    set_size(a);
    a.edge_stride = edge_stride_, a.piece_capacity = capacity_[pieces];
    a.components = array(components_), a.pixel_pieces = array(pixel_pieces_);
    a.piece_numbers = array(piece_numbers_);
  });
  recording.launch(scene_.kernels.cross_pieces, bounds(pieces), [this](auto& a) {
    a.tiles_x = scene_.grid.across;
    set_camera(a, scene_.state);
    a.crossed_capacity = capacity_[crossed], a.piece_capacity = capacity_[pieces];
    a.edge_stride = edge_stride_, a.components = array(components_);
    a.edge_numbers = array(edge_numbers_), a.pixel_places = array(pixel_places_), a.crossed = array(crossed_);
    a.piece_numbers = array(piece_numbers_), a.pieces = array(piece_values_);
  });
  recording.launch(scene_.kernels.join_pieces, bounds(pieces), [this](auto& a) {
    a.crossed_capacity = capacity_[crossed], a.piece_capacity = capacity_[pieces];
    a.pieces = array(piece_values_), a.pixel_places = array(pixel_places_);
    a.crossed = array(crossed_), a.piece_numbers = array(piece_numbers_);
  });
  recording.launch(scene_.kernels.link_pieces, bounds(pieces), [this](auto& a) {
    a.tiles_x = scene_.grid.across;
    a.crossed_capacity = capacity_[crossed], a.entry_capacity = capacity_[entries];
    a.piece_capacity = capacity_[pieces], a.edge_stride = edge_stride_;
    a.edge_numbers = array(edge_numbers_), a.components = array(components_);
    a.meshes = array(mesh_table_), a.pixel_places = array(pixel_places_);
    a.pieces = array(piece_values_), a.piece_numbers = array(piece_numbers_);
    a.crossed = array(crossed_), a.entries = array(entries_), a.crossings = array(crossings_);
  });
}

void Crossed::record_look(Recording& recording) {
  if (mesh_groups_.empty()) return;
  // Large triangles of one mesh after the other; small ones of all meshes beside them.
  for (std::size_t m = 0; m < mesh_groups_.size(); ++m) {
    const auto side_by_side = recording.sequence().parallel();
    const DeviceGroup* mesh = mesh_groups_[m];
    recording.launch(scene_.kernels.see_large_triangles, bounds(entries), [this, m, mesh](auto& a) {
      set_rays(a, scene_.state);
      a.offsets = array(mesh->large_lists().offsets());
      a.candidates = array(mesh->large_lists().candidates());
      a.first = m == 0 ? 1 : 0, a.first_id = mesh->group().first_id, a.stride = mesh->group().stride;
      a.entry_capacity = capacity_[entries];
      a.triangles = array(mesh->table(scene_.upload)), a.bounds = array(mesh->reach(scene_.upload));
      a.crossings = array(crossings_), a.entries = array(entries_), a.inverse_depth = array(seen_inverse_);
    });
    if (m > 0) continue;
    for (const DeviceGroup* other : mesh_groups_) record_small_triangles(recording, *other, 0);
  }
  const auto side_by_side = recording.sequence().parallel();
  for (const DeviceGroup* mesh : mesh_groups_) record_small_triangles(recording, *mesh, 1);
}

void Crossed::record_small_triangles(Recording& recording, const DeviceGroup& mesh, int turn) {
  const int threads = mesh.group().stride * kernels::triangle_quarters;
  recording.launch(scene_.kernels.see_small_triangles, threads, [this, &mesh, turn](auto& a) {
    set_rays(a, scene_.state);
    a.turn = turn, a.tiles_x = scene_.grid.across;
    a.first_id = mesh.group().first_id, a.stride = mesh.group().stride;
    a.crossed_capacity = capacity_[crossed], a.entry_capacity = capacity_[entries];
    a.triangles = array(mesh.table(scene_.upload)), a.bounds = array(mesh.reach(scene_.upload));
    a.pixel_places = array(pixel_places_), a.crossed = array(crossed_);
    a.crossings = array(crossings_);
    // Bits of floats that are not negative compare as the floats do.
    a.small_inverse =
        array(runtime::DeviceArray<std::int32_t>{small_inverse_.array().address, small_inverse_.size()});
    a.largest = a.small_inverse, a.small_ids = array(small_ids_);
  });
}

void Crossed::record_samples(Recording& recording, bool with_rows) {
  const int slots = with_rows ? scene_.planes + kernels::image_slots : 0;
  recording.launch(scene_.kernels.choose_sides, bounds(entries), [this, slots](auto& a) {
    set_rays(a, scene_.state);
    set_smooth(a);
    set_lists(a, spheres_);
    a.plane_count = plane_count_, a.mesh_count = static_cast<std::int32_t>(mesh_groups_.size());
    a.channels = channels(), a.slots = slots, a.entry_capacity = capacity_[entries];
    a.smooth = array(smooth_), a.meshes = array(mesh_table_), a.backgrounds = array(backgrounds_);
    a.crossings = array(crossings_), a.inverse_depth = array(seen_inverse_), a.entries = array(entries_);
    a.small_inverse = array(small_inverse_), a.small_ids = array(small_ids_);
    a.reference = array(reference_), a.samples = array(samples_), a.partials = array(partials_);
  });
  // Each entry's samples are of one group each: kernels of different groups and outputs write to different
  // places.
  const auto side_by_side = recording.sequence().parallel();
  const int mode = !with_rows ? 0 : scene_.camera_slots > 0 ? 2 : 1;
  for (const OutputChannels& output : scene_.outputs) {
    const auto o = static_cast<std::size_t>(output.output);
    for (const std::unique_ptr<DeviceGroup>& group : scene_.groups) {
      const int surface = group->group().surface;
      if (o >= std::size(scene_.kernels.sample_sides) ||
          scene_.kernels.sample_sides[o][surface][mode].code == nullptr)
        continue;  // the mask: 1 wherever something is seen
      recording.launch(scene_.kernels.sample_sides[o][surface][mode], bounds(entries),
                       [this, &output, &group = *group, slots](auto& a) {
                         set_camera(a, scene_.state);
                         set_surface(a, group, scene_.upload);
                         set_pivot(a, group.group());
                         a.channel = output.first, a.slots = slots, a.entry_capacity = capacity_[entries];
                         a.entries = array(entries_), a.crossings = array(crossings_);
                         a.reference = array(reference_), a.samples = array(samples_),
                         a.partials = array(partials_);
                       });
    }
  }
}

// The mixes of entries of which the rule is a model; mix_pixels leaves them as they are.
void Crossed::record_rule_models(Recording& recording) {
  const auto n = static_cast<std::size_t>(capacity_[entries]);
  const auto copy = [&](const runtime::DeviceArray<float>& to, const runtime::DeviceBuffer<float>& from,
                        int plane) {
    if (to.size > 0) recording.sequence().copy(to, from.array().part(static_cast<std::size_t>(plane) * n, n));
  };
  for (std::size_t m = 0; m < rule_models_.size(); ++m) {
    const module::PointwiseOnDevice& model = *rule_models_[m];
    for (int c = 0; c < channels(); ++c) {
      {
        const auto side_by_side = recording.sequence().parallel();
        if (c == 0) copy(model.input(RuleModels::area), crossings_, kernels::crossing_area);
        copy(model.input(RuleModels::inside), samples_, 2 * c);
        copy(model.input(RuleModels::outside), samples_, 2 * c + 1);
      }
      model.record(recording.sequence(), bounds(entries));
      recording.launch(scene_.kernels.rule_results, bounds(entries), [this, m, c](auto& a) {
        const module::PointwiseOnDevice& shown = *rule_models_[m];
        a.rule = first_rule_model + static_cast<int>(m), a.channel = c;
        a.by_area = shown.plane(RuleModels::area), a.by_inside = shown.plane(RuleModels::inside);
        a.by_outside = shown.plane(RuleModels::outside);
        a.entry_capacity = capacity_[entries];
        a.nothing = std::numeric_limits<float>::quiet_NaN();
        a.entries = array(entries_), a.results = array(shown.results()), a.mixes = array(mixes_);
      });
    }
  }
}

void Crossed::record_mix(Recording& recording, const runtime::DeviceBuffer<float>& rendered) {
  recording.launch(scene_.kernels.mix_pixels, bounds(crossed), [this, &rendered](auto& a) {
    a.channels = channels();
    a.crossed_capacity = capacity_[crossed], a.entry_capacity = capacity_[entries];
    a.backgrounds = array(backgrounds_), a.crossings = array(crossings_), a.entries = array(entries_);
    a.samples = array(samples_), a.mixes = array(mixes_), a.rendered = array(rendered);
    a.crossed = array(crossed_);
  });
}

}  // namespace diffrt::renderer::gpu
