#include "renderer/device/crossed.hpp"

#include <algorithm>
#include <stdexcept>

#include "renderer/tiles.hpp"

namespace diffrt::renderer::gpu {
namespace {

using runtime::DeviceBuffer;

template <class T>
void make(runtime::Device& device, DeviceBuffer<T>& buffer, std::size_t size) {
  buffer = {};  // first: there may not be room for both
  buffer = {device, size};
}

}  // namespace

Crossed::Crossed(CrossedScene scene, Once& once) : scene_(scene) {
  spheres_ = group_of(GroupKind::spheres), planes_ = group_of(GroupKind::planes);
  sphere_count_ = spheres_ == nullptr ? 0 : spheres_->group().count;
  plane_count_ = planes_ == nullptr ? 0 : planes_->group().count;
  for (const std::unique_ptr<DeviceGroup>& group : scene_.groups) {
    if (group->group().mesh == nullptr) continue;
    mesh_groups_.push_back(group.get());
    has_edges_ = has_edges_ || group->group().rules[0] != BoundaryRule::none;
  }
  kinds_.assign(static_cast<std::size_t>(std::max(sphere_count_ + plane_count_, 1)), -1);
  uploaded_kinds_ = scene_.upload.add(kinds_.data(), kinds_.size());
  lengths_ = scene_.zeros.add<std::int32_t>(kernels::lengths_size);
  told_lengths_ = scene_.results.add<std::int32_t>(kernels::lengths_size);
  send_tables(once);
  send_edges(once);
  // As for one silhouette around the image, and for each primitive some.
  const int around = 4 * (scene_.grid.width + scene_.grid.height) + 16 * static_cast<int>(kinds_.size());
  capacity_ = {around, around, has_edges_ ? around + 2 * edge_count_ : 0, around, 64};
  if (has_edges_) capacity_[entries] += around;
  make_room();
}

const DeviceGroup* Crossed::group_of(GroupKind kind) const {
  for (const std::unique_ptr<DeviceGroup>& group : scene_.groups) {
    if (group->group().kind == kind) return group.get();
  }
  return nullptr;
}

// Behind the rules that kernels know those that are models.
int Crossed::rule_number(const Group& group, std::size_t primitive) const {
  const module::Pointwise* const model = group.rule_models.empty() ? nullptr : group.rule_models[primitive];
  if (model == nullptr) return static_cast<int>(group.rules[primitive]);
  const auto& models = scene_.rule_models.all();
  const auto found =
      std::find_if(models.begin(), models.end(), [&](const auto& m) { return m.get() == model; });
  return first_rule_model + static_cast<int>(found - models.begin());
}

void Crossed::send_tables(Once& once) {
  std::vector<std::int32_t> smooth, meshes;
  for (const DeviceGroup* device_group : {spheres_, planes_}) {
    if (device_group == nullptr) continue;
    const Group& group = device_group->group();
    for (std::size_t k = 0; k < static_cast<std::size_t>(group.count); ++k) {
      std::int32_t numbers[kernels::smooth_numbers];
      numbers[kernels::smooth_rule] = rule_number(group, k);
      numbers[kernels::smooth_moves] = group.depends[k];
      smooth.insert(smooth.end(), std::begin(numbers), std::end(numbers));
    }
  }
  for (const DeviceGroup* device_group : mesh_groups_) {
    const Group& group = device_group->group();
    std::int32_t numbers[kernels::mesh_numbers];
    numbers[kernels::mesh_first_id] = group.first_id, numbers[kernels::mesh_count] = group.count;
    numbers[kernels::mesh_rigid] = group.kind == GroupKind::rigid_mesh ? 1 : 0;
    numbers[kernels::mesh_rule] = rule_number(group, 0);
    numbers[kernels::mesh_moves] = group.depends[0];
    meshes.insert(meshes.end(), std::begin(numbers), std::end(numbers));
  }
  std::vector<float> backgrounds;
  for (const OutputChannels& output : scene_.outputs)
    backgrounds.insert(backgrounds.end(), static_cast<std::size_t>(output.count), output.background);
  smooth_ = once.send(smooth), mesh_table_ = once.send(meshes), backgrounds_ = once.send(backgrounds);
}

// The edges of all meshes, one mesh after another; their vertices are numbered through, too.
void Crossed::send_edges(Once& once) {
  meshes_.clear();
  edge_count_ = 0;
  for (const DeviceGroup* group : mesh_groups_) {
    meshes_.push_back({group, edge_count_, group->group().silhouettes.edges.count(), {}, {}, {}, {}, {}});
    edge_count_ += meshes_.back().count;
  }
  edge_stride_ = whole_packets(static_cast<std::size_t>(edge_count_));
  const auto stride = static_cast<std::size_t>(edge_stride_);
  std::vector<std::int32_t> numbers(kernels::edge_numbers * stride, 0);
  int first_vertex = 0;
  for (std::size_t m = 0; m < meshes_.size(); ++m) {
    MeshEdges& mesh = meshes_[m];
    const Silhouettes& s = mesh.group->group().silhouettes;
    for (std::size_t e = 0; e < static_cast<std::size_t>(mesh.count); ++e) {
      const std::size_t place = static_cast<std::size_t>(mesh.first) + e;
      const auto put = [&](int component, std::int32_t value) {
        numbers[static_cast<std::size_t>(component) * stride + place] = value;
      };
      put(kernels::edge_half_edge, s.edges.half_edges[static_cast<std::size_t>(s.edges.starts[e])]);
      put(kernels::edge_ends, first_vertex + s.edges.ends[2 * e]);
      put(kernels::edge_ends + 1, first_vertex + s.edges.ends[2 * e + 1]);
      put(kernels::edge_mesh, static_cast<std::int32_t>(m));
    }
    first_vertex += mesh.group->group().vertex_stride;
    if (mesh.count == 0) continue;
    mesh.first_faces = once.send(s.first_faces), mesh.second_faces = once.send(s.second_faces);
    mesh.starts = once.send(s.edges.starts), mesh.half_edges = once.send(s.edges.half_edges);
    mesh.along = once.send(s.along);
  }
  edge_numbers_ = once.send(numbers);
  make(scene_.device, components_, kernels::edge_components * stride);
}

// A capacity is a multiple of 64, so that lists of components are aligned.
void Crossed::make_room() {
  for (int& capacity : capacity_) capacity = (capacity + 63) / 64 * 64;
  const auto size = [this](List list) { return static_cast<std::size_t>(capacity_[list]); };
  const auto all = static_cast<std::size_t>(pixels()), c = static_cast<std::size_t>(channels());
  runtime::Device& device = scene_.device;
  make(device, pixel_places_, all);
  if (has_edges_) make(device, pixel_pieces_, all);
  make(device, crossed_, kernels::crossed_components * size(crossed));
  make(device, entries_, kernels::entry_components * size(entries));
  // Chains have no nodes, planes few.
  const int nodes = spheres_ != nullptr  ? kernels::crossing_components - kernels::crossing_nodes
                    : planes_ != nullptr ? 3 * kernels::nodes_gentle
                                         : 1;
  make(device, crossings_, static_cast<std::size_t>(kernels::crossing_nodes + nodes) * size(entries));
  make(device, seen_inverse_, kernels::entry_points * size(entries));
  make(device, small_inverse_, kernels::entry_points * size(entries));
  make(device, small_ids_, kernels::entry_points * size(entries));
  make(device, reference_, 2 * size(entries));
  make(device, samples_, 2 * c * size(entries));
  make(device, mixes_, kernels::mix_components * c * size(entries));
  rule_models_.clear();
  for (const auto& model : scene_.rule_models.all())
    rule_models_.push_back(
        std::make_unique<module::PointwiseOnDevice>(*model, scene_.shared_device, capacity_[entries]));
  make(device, piece_numbers_, kernels::piece_numbers * size(pieces));
  make(device, piece_values_, kernels::piece_components * size(pieces));
  if (with_rows_) make_row_room();
}

void Crossed::make_row_room() {
  with_rows_ = true;
  const auto size = [this](List list) { return static_cast<std::size_t>(capacity_[list]); };
  const auto c = static_cast<std::size_t>(channels()), planes = static_cast<std::size_t>(scene_.planes);
  const auto all_rows = static_cast<std::size_t>(row_capacity());
  runtime::Device& device = scene_.device;
  make(device, partials_, 2 * c * (planes + kernels::image_slots) * size(entries));
  make(device, entry_rows_, c * planes * size(entries));
  make(device, piece_rows_, c * static_cast<std::size_t>(6 + scene_.camera_slots) * size(pieces));
  row_results_ = Download();
  row_numbers_ = row_results_.add<std::int32_t>(kernels::row_numbers * all_rows);
  row_values_ = row_results_.add<float>(c * planes * all_rows);
  row_results_.allocate(device);
  make(device, tile_places_, static_cast<std::size_t>(pixels()));
  make(device, tile_blocks_, 2 * static_cast<std::size_t>(pixels()));
  make(device, pixel_pairs_, kernels::pixel_pair_numbers * size(pixel_pairs));
  pair_results_ = Download();
  pairs_ = pair_results_.add<std::int32_t>(kernels::pair_numbers * size(pairs));
  pair_sums_ = pair_results_.add<float>(static_cast<std::size_t>(pair_size()) * size(pairs));
  pair_results_.allocate(device);
}

void Crossed::stage() {
  std::size_t k = 0;
  for (const DeviceGroup* group : {spheres_, planes_}) {
    if (group == nullptr) continue;
    for (const int kind : group->group().kinds) kinds_[k++] = kind;
  }
}

int Crossed::needed(List list) const {
  const int length = scene_.results.host(told_lengths_)[static_cast<int>(list) * kernels::list_spacing + 1];
  return list == pairs ? length / pair_size() : length;
}

runtime::Bounds Crossed::bounds(List list) const {
  const auto place = static_cast<std::size_t>(static_cast<int>(list) * kernels::list_spacing);
  const int items = list == pairs ? pair_size() : 1;
  return runtime::Bounds::on_device(scene_.zeros.array(lengths_).part(place, 2), capacity_[list] * items);
}

bool Crossed::grow() {
  bool grown = false;
  for (int list = 0; list < lists; ++list) {
    const int wanted = needed(static_cast<List>(list));
    if (wanted <= capacity_[static_cast<std::size_t>(list)]) continue;
    capacity_[static_cast<std::size_t>(list)] = wanted + wanted / 2;
    grown = true;
  }
  if (grown) make_room();
  return grown;
}

void unpack_extras(const TileGrid& grid, const std::int32_t* numbers, const float* values, int count,
                   int capacity, int size, RowStorage& storage) {
  const std::int32_t *ids = numbers + kernels::row_id * capacity,
                     *places = numbers + kernels::row_pixel * capacity;
  // Where a pixel's rows lie depends on which thread was first; their order is always the same.
  std::vector<int> order;
  for (int r = 0; r < count; ++r) {
    if (ids[r] >= 0) order.push_back(r);
  }
  std::stable_sort(order.begin(), order.end(), [places](int a, int b) { return places[a] < places[b]; });
  for (const int r : order) {
    const int tile_index = places[r] / tile_pixels, p = places[r] % tile_pixels;
    const int x = tile_index % grid.across * tile + p % tile, y = tile_index / grid.across * tile + p / tile;
    RowExtras& extras = storage.extras[static_cast<std::size_t>(tile_index)];
    const auto partials = static_cast<std::size_t>(size);
    float* to = RowExtras::begin_record(extras.make_room(1, partials), y * grid.width + x, ids[r]);
    std::copy_n(values + static_cast<std::size_t>(r) * partials, partials, to);
    extras.add(1);
  }
}

void Crossed::fetch_extras(RowStorage& storage) const {
  unpack_extras(scene_.grid, row_results_.host(row_numbers_), row_results_.host(row_values_), row_count(),
                row_capacity(), channels() * scene_.planes, storage);
}

void Crossed::fetch_couplings(Couplings& couplings) const {
  const auto capacity = static_cast<std::size_t>(capacity_[pairs]);
  const std::int32_t* numbers = pair_results_.host(pairs_);
  const auto entry_of = [this](std::int32_t id) {
    const auto after =
        std::upper_bound(scene_.groups.begin(), scene_.groups.end(), id,
                         [](std::int32_t i, const auto& g) { return i < g->group().first_id; });
    if (after == scene_.groups.begin() || !(*std::prev(after))->group().owns(id))
      throw std::logic_error("a GPU paired a primitive that there is not");
    const auto g = static_cast<std::size_t>(after - scene_.groups.begin()) - 1;
    const int own = scene_.groups[g]->group().slots, cameras = scene_.camera_slots;
    return Couplings::Entry{id, static_cast<int>(g), nullptr, 0, 1, own, cameras, scene_.planes - cameras};
  };
  couplings.start(scene_.grid.tiles());
  for (std::size_t r = 0; r < static_cast<std::size_t>(needed(pairs)); ++r) {
    couplings.add_sums(
        numbers[kernels::pair_tile * capacity + r], entry_of(numbers[kernels::pair_a * capacity + r]),
        entry_of(numbers[kernels::pair_b * capacity + r]),
        pair_results_.host(pair_sums_) + r * static_cast<std::size_t>(pair_size()), scene_.planes);
  }
}

}  // namespace diffrt::renderer::gpu
