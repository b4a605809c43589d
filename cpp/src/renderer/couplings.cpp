#include "renderer/couplings.hpp"

#include <algorithm>
#include <cstring>

namespace diffrt::renderer {
namespace {

// Vectors are padded with zeros to whole numbers of these, so that inner loops have a known length.
constexpr int lanes = 4;
constexpr int padded(int slots) { return (slots + lanes - 1) / lanes * lanes; }
constexpr int widest = padded(kernels::slots_free_triangle + kernels::camera_slots);
static_assert(kernels::slots_plane == kernels::slots_sphere && widest == 16);

int slots_of(const Couplings::Entry& entry) { return entry.own_slots + entry.camera_slots; }
std::int32_t id_a(std::uint64_t key) { return static_cast<std::int32_t>(key >> 32); }
std::int32_t id_b(std::uint64_t key) { return static_cast<std::int32_t>(key & 0xffffffffu); }

// Two numbers in one register. What is stored in one piece can be loaded in one piece right after; of two
// pieces the processor would have to wait for the cache.
using Two = double __attribute__((vector_size(16)));

Two get(const double* from) {
  Two two;
  std::memcpy(&two, from, sizeof(two));
  return two;
}
void put(Two two, double* to) { std::memcpy(to, &two, sizeof(two)); }

template <int Own, int Camera>
void load_slots(const Couplings::Entry& entry, const float* planes, double* v) {
  const float* camera = planes + entry.camera_plane * entry.plane_stride;
  const auto value = [&](int s) {
    if (s < Own) return static_cast<double>(planes[s * entry.plane_stride]);
    return s < Own + Camera ? static_cast<double>(camera[(s - Own) * entry.plane_stride]) : 0.0;
  };
  for (int s = 0; s < padded(Own + Camera); s += 2) put(Two{value(s), value(s + 1)}, v + s);
}

// The partials of one channel, padded with zeros.
void load(const Couplings::Entry& entry, int channel, double* v) {
  const float* planes = entry.values + channel * entry.channel_stride;
  const bool camera = entry.camera_slots != 0;
  switch (entry.own_slots) {
    case kernels::slots_sphere:  // a plane has as many
      return camera ? load_slots<kernels::slots_sphere, kernels::camera_slots>(entry, planes, v)
                    : load_slots<kernels::slots_sphere, 0>(entry, planes, v);
    case kernels::slots_triangle:
      return camera ? load_slots<kernels::slots_triangle, kernels::camera_slots>(entry, planes, v)
                    : load_slots<kernels::slots_triangle, 0>(entry, planes, v);
    default:
      return camera ? load_slots<kernels::slots_free_triangle, kernels::camera_slots>(entry, planes, v)
                    : load_slots<kernels::slots_free_triangle, 0>(entry, planes, v);
  }
}

// rows += factor u v', `count` rows of N numbers.
template <int N>
void add_product(double* rows, int count, double factor, const double* u, const double* v) {
  Two vector[N / 2];
  for (int k = 0; k < N / 2; ++k) vector[k] = get(v + 2 * k);
  for (int s = 0; s < count; ++s, rows += N) {
    const double scaled = factor * u[s];
    for (int k = 0; k < N / 2; ++k) put(get(rows + 2 * k) + scaled * vector[k], rows + 2 * k);
  }
}

void add_product(double* rows, int count, int width, double factor, const double* u, const double* v) {
  switch (width) {
    case 4:
      return add_product<4>(rows, count, factor, u, v);
    case 8:
      return add_product<8>(rows, count, factor, u, v);
    case 12:
      return add_product<12>(rows, count, factor, u, v);
    default:
      return add_product<16>(rows, count, factor, u, v);
  }
}

}  // namespace

void Couplings::start_tile(int tile_index) {
  TileSums& tile = tiles_[static_cast<std::size_t>(tile_index)];
  tile.keys.clear(), tile.records.clear(), tile.sums.clear(), tile.ids.clear(), tile.pairs.clear();
}

std::size_t Couplings::TileSums::find_or_add(const Entry& a, const Entry& b) {
  const std::uint64_t key = key_of(a.id, b.id);
  for (std::size_t k = keys.size(); k-- > 0;) {
    if (keys[k] == key) return k;
  }
  return add(a, b);
}

std::size_t Couplings::TileSums::add(const Entry& a, const Entry& b) {
  Record record{a.group, b.group, slots_of(a), slots_of(b), padded(slots_of(b)), sums.size(), 0};
  record.size = static_cast<std::size_t>((record.slots_a + (a.id == b.id ? 1 : 0)) * record.stride);
  sums.resize(sums.size() + record.size, 0.0);
  keys.push_back(key_of(a.id, b.id));
  records.push_back(record);
  return keys.size() - 1;
}

bool Couplings::TileSums::same_as_last(const Entry* entries, int count, int first) {
  bool same = first == last_first && ids.size() == static_cast<std::size_t>(count);
  for (int i = 0; i < count && same; ++i) same = ids[static_cast<std::size_t>(i)] == entries[i].id;
  if (same) return true;
  last_first = first;
  ids.clear();
  for (int i = 0; i < count; ++i) ids.push_back(entries[i].id);
  return false;
}

void Couplings::add(int tile_index, const Entry* entries, int count, bool first_is_primary, int channels,
                    const float* weights, const float* residuals, std::ptrdiff_t stride) {
  bool any = false;
  for (int c = 0; c < channels; ++c) any = any || weights[c * stride] != 0;
  if (!any) return;
  TileSums& tile = tiles_[static_cast<std::size_t>(tile_index)];
  const int first = first_is_primary ? 1 : 0;
  if (!tile.same_as_last(entries, count, first)) {  // neighbours mostly see the same primitives
    tile.pairs.clear();
    for (int j = first; j < count; ++j) {
      for (int i = 0; i <= j; ++i) {
        const bool ordered = entries[i].id <= entries[j].id;
        const int a = ordered ? i : j, b = ordered ? j : i;
        const Record& record = tile.records[tile.find_or_add(entries[a], entries[b])];
        // w (v_i v_j' + v_j v_i') of one primitive has the symmetric part of 2 w v_i v_j'.
        const double factor = i != j && entries[a].id == entries[b].id ? 2 : 1;
        tile.pairs.push_back({a, b, record.slots_a, record.stride, record.start, factor});
      }
    }
  }
  tile.values.resize(static_cast<std::size_t>(count * widest));
  const auto values_of = [&](int entry) { return tile.values.data() + entry * widest; };
  for (int c = 0; c < channels; ++c) {
    const auto weight = static_cast<double>(weights[c * stride]);
    if (weight == 0) continue;
    const double gradient = weight * static_cast<double>(residuals[c * stride]);
    for (int i = 0; i < count; ++i) load(entries[i], c, values_of(i));
    for (const Pair& pair : tile.pairs) {
      double* sums = tile.sums.data() + pair.start;
      const double *u = values_of(pair.a), *v = values_of(pair.b);
      add_product(sums, pair.slots_a, pair.stride, pair.factor * weight, u, v);
      if (pair.a != pair.b) continue;
      sums += pair.slots_a * pair.stride;
      for (int k = 0; k < pair.stride; k += 2) put(get(sums + k) + gradient * get(v + k), sums + k);
    }
  }
}

// Where the products of two of a pixel's entries are added; until another record is.
double* Couplings::TileSums::sums_of(const TwoEntries& pixel, int a, int b) {
  const auto entry = [&](int i) {
    Entry its;
    its.id = i == 0 ? id_a(pixel.key) : id_b(pixel.key), its.group = pixel.groups[i],
    its.own_slots = TwoEntries::slots;
    return its;
  };
  const std::size_t place = find_or_add(entry(a), entry(b));  // may move the sums
  return sums.data() + records[place].start;
}

void Couplings::add(int tile_index, const TwoEntries* pixels, int count) {
  for (int first = 0; first < count; first += most_in_turn)
    add_runs(tiles_[static_cast<std::size_t>(tile_index)], pixels + first,
             std::min(count - first, most_in_turn));
}

// Pixels of the same two primitives are summed in one go, in registers.
void Couplings::add_runs(TileSums& tile, const TwoEntries* pixels, int count) {
  int run[most_in_turn], rest[most_in_turn];
  for (int i = 0; i < count; ++i) rest[i] = i;
  while (count > 0) {
    const std::uint64_t key = pixels[rest[0]].key;
    int taken = 0, left = 0;
    for (int i = 0; i < count; ++i) {
      const int k = rest[i];
      const bool same = pixels[k].key == key;
      run[taken] = rest[left] = k;
      taken += same ? 1 : 0, left += same ? 0 : 1;
    }
    add_run(tile, pixels, run, taken);
    count = left;
  }
}

void Couplings::add_run(TileSums& tile, const TwoEntries* pixels, const int* run, int count) {
  constexpr int N = TwoEntries::slots, half = N / 2;
  const auto two = [](const float* from) {
    return Two{static_cast<double>(from[0]), static_cast<double>(from[1])};
  };
  Two rows[N][half], gradient[half];
  const auto sum = [&](int a, int b) {
    for (auto& row : rows) {
      for (Two& part : row) part = Two{};
    }
    for (int i = 0; i < count; ++i) {
      const TwoEntries& pixel = pixels[run[i]];
      const auto weight = static_cast<double>(pixel.weight);
      for (int s = 0; s < N; ++s) {
        const double scaled = weight * static_cast<double>(pixel.partials[a][s]);
        for (int k = 0; k < half; ++k) rows[s][k] += scaled * two(pixel.partials[b] + 2 * k);
      }
    }
  };
  const auto add_rows = [&](double* to) {
    for (int s = 0; s < N; ++s) {
      for (int k = 0; k < half; ++k, to += 2) put(get(to) + rows[s][k], to);
    }
    return to;
  };
  const TwoEntries& first = pixels[run[0]];
  const int lower = id_a(first.key) < id_b(first.key) ? 0 : 1;
  sum(lower, 1 - lower);
  add_rows(tile.sums_of(first, lower, 1 - lower));
  sum(1, 1);
  for (Two& part : gradient) part = Two{};
  for (int i = 0; i < count; ++i) {
    const TwoEntries& pixel = pixels[run[i]];
    const double factor = static_cast<double>(pixel.weight) * static_cast<double>(pixel.residual);
    for (int k = 0; k < half; ++k) gradient[k] += factor * two(pixel.partials[1] + 2 * k);
  }
  double* to = add_rows(tile.sums_of(first, 1, 1));
  for (int k = 0; k < half; ++k, to += 2) put(get(to) + gradient[k], to);
}

void Couplings::add_sums(int tile_index, const Entry& a, const Entry& b, const float* sums, int planes) {
  TileSums& tile = tiles_[static_cast<std::size_t>(tile_index)];
  const Record record = tile.records[tile.add(a, b)];
  double* to = tile.sums.data() + record.start;
  const auto plane_of = [](const Entry& entry, int slot) {
    return slot < entry.own_slots ? slot : entry.camera_plane + slot - entry.own_slots;
  };
  for (int s = 0; s < record.slots_a + (a.id == b.id ? 1 : 0); ++s, to += record.stride) {
    const float* row = sums + (s < record.slots_a ? plane_of(a, s) : planes) * planes;
    for (int t = 0; t < record.slots_b; ++t) to[t] += static_cast<double>(row[plane_of(b, t)]);
  }
}

// Adds the sums of a tile to those of the same pairs in tiles before it.
void Couplings::add_to_totals(const TileSums& tile) {
  for (std::size_t k = 0; k < tile.keys.size(); ++k) {
    const Record& record = tile.records[k];
    Total& total = total_of(tile.keys[k], record);
    double* to = total_sums_.data() + total.start;
    const double* sums = tile.sums.data() + record.start;
    for (std::size_t i = 0; i < record.size; ++i) to[i] += sums[i];
  }
}

// In a table of open addresses, a power of two in size.
Couplings::Total& Couplings::total_of(std::uint64_t key, const Record& record) {
  const std::size_t mask = table_.size() - 1;
  std::size_t place = (key * 0x9e3779b97f4a7c15u >> 32) & mask;
  for (; table_[place] >= 0; place = (place + 1) & mask) {
    Total& total = totals_[static_cast<std::size_t>(table_[place])];
    if (total.key == key) return total;
  }
  table_[place] = static_cast<int>(totals_.size());
  totals_.push_back({key, &record, total_sums_.size()});
  total_sums_.resize(total_sums_.size() + record.size, 0.0);
  return totals_.back();
}

void Couplings::sum(const std::vector<int>& tiles) {
  std::size_t records = 0, places = 1;
  for (const int t : tiles) records += tiles_[static_cast<std::size_t>(t)].keys.size();
  while (places < 2 * records) places *= 2;
  table_.assign(places, -1);
  totals_.clear(), total_sums_.clear();
  for (const int t : tiles) add_to_totals(tiles_[static_cast<std::size_t>(t)]);
  std::sort(totals_.begin(), totals_.end(), [](const Total& a, const Total& b) { return a.key < b.key; });
}

template <class F>
void Couplings::for_each_total(const Linearization& linearization, const Nodes& nodes, F&& body) const {
  const auto set = [&](Pieces& pieces, int group, std::int32_t id) {
    const GroupLinearization& linear = linearization.groups()[static_cast<std::size_t>(group)];
    pieces.set(linearization, linear, id - linear.first_id, nodes);
  };
  Pieces a, b;
  std::int32_t last_a = -1;
  for (const Total& total : totals_) {
    if (id_a(total.key) != last_a) set(a, total.record->group_a, id_a(total.key)), last_a = id_a(total.key);
    const bool same = id_a(total.key) == id_b(total.key);
    if (!same) set(b, total.record->group_b, id_b(total.key));
    body(total, a, same ? a : b);
  }
}

void Couplings::begin(const Linearization& linearization, SparseSums& H) {
  pairs_.clear();
  for_each_total(linearization, H.nodes(), [&](const Total&, const Pieces& a, const Pieces& b) {
    for (const Piece& p : a) {
      for (const Piece& q : b) {
        if (!H.always(p.node, q.node)) pairs_.push_back(SparseSums::pair_of(p.node, q.node));
      }
    }
  });
  std::sort(pairs_.begin(), pairs_.end());
  pairs_.erase(std::unique(pairs_.begin(), pairs_.end()), pairs_.end());
  H.begin(pairs_);
}

void Couplings::add_to(const Linearization& linearization, SparseSums& H, Span<double> g) {
  double symmetric[widest * widest];
  for_each_total(linearization, H.nodes(), [&](const Total& total, const Pieces& a, const Pieces& b) {
    const Record& record = *total.record;
    const double* sums = total_sums_.data() + total.start;
    const int stride = record.stride;
    if (&a != &b) return H.add(a, b, sums, stride);
    for (int s = 0; s < record.slots_a; ++s) {
      for (int t = 0; t < record.slots_a; ++t)
        symmetric[s * stride + t] = 0.5 * (sums[s * stride + t] + sums[t * stride + s]);
    }
    H.add(a, symmetric, stride);
    add_gradient(H.nodes(), a, sums + record.slots_a * stride, g);
  });
}

}  // namespace diffrt::renderer
