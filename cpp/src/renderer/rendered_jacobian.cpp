#include "renderer/rendered_jacobian.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace diffrt {
namespace {

using renderer::Block;
using renderer::GroupLinearization;

// The group of each id, looked up with the last answer first: neighbouring pixels mostly see the same group.
class GroupFinder {
 public:
  explicit GroupFinder(const std::vector<GroupLinearization>& groups) : groups_(groups) {}
  const GroupLinearization& operator()(std::int32_t id) {
    while (id < groups_[last_].first_id) --last_;
    while (id >= groups_[last_].first_id + groups_[last_].count) ++last_;
    return groups_[last_];
  }
  std::size_t index() const { return last_; }

 private:
  const std::vector<GroupLinearization>& groups_;
  std::size_t last_ = 0;
};

// One vector of slots per distinct block: rigid meshes have one for all their faces.
class SlotVectors {
 public:
  explicit SlotVectors(const RenderedJacobian& data) {
    std::size_t size = 0;
    for (const GroupLinearization& group : data.linearization.groups()) {
      const auto slots = static_cast<std::size_t>(renderer::slots_of(group.kind) + data.camera_slots);
      starts_.push_back(size);
      slots_.push_back(slots);
      size +=
          slots * static_cast<std::size_t>(group.kind == renderer::GroupKind::rigid_mesh ? 1 : group.count);
    }
    values_.assign(size, 0.0);
  }
  double* at(std::size_t group_index, const GroupLinearization& group, std::int32_t id) {
    const std::size_t k =
        group.kind == renderer::GroupKind::rigid_mesh ? 0 : static_cast<std::size_t>(id - group.first_id);
    return values_.data() + starts_[group_index] + k * slots_[group_index];
  }
  std::size_t slots(std::size_t group_index) const { return slots_[group_index]; }

 private:
  std::vector<std::size_t> starts_, slots_;
  std::vector<double> values_;
};

// Calls body(pixel, id, values) for every further entry of a row.
template <class F>
void for_each_extra(const RenderedJacobian& data, F&& body) {
  const auto size = static_cast<std::size_t>(data.channels * data.planes);
  for (const renderer::RowExtras& extras : data.rows->extras) {
    for (std::size_t e = 0; e < extras.count(); ++e) {
      const auto [pixel, id, partials] = extras.at(e, size);
      body(static_cast<std::size_t>(pixel), id, partials);
    }
  }
}

// Calls body(group_index, group, index, block) for every distinct block.
template <class F>
void for_each_block(const RenderedJacobian& data, F&& body) {
  Block scratch;
  const auto& groups = data.linearization.groups();
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const int count = groups[g].kind == renderer::GroupKind::rigid_mesh ? 1 : groups[g].count;
    for (int i = 0; i < count; ++i) body(g, groups[g], i, data.linearization.block(groups[g], i, scratch));
  }
}

}  // namespace

void RenderedJacobian::multiply(Span<const double> v, Span<double> out) const {
  const RenderedJacobian& d = with_rows();
  const std::size_t pixels = d.pixels();
  const auto channels = static_cast<std::size_t>(d.channels);
  std::fill(out.begin(), out.end(), 0.0);
  if (d.dense) {
    for (std::size_t c = 0; c < channels; ++c) {
      for (int k = 0; k < d.planes; ++k) {
        const float* plane = d.plane(static_cast<int>(c), k);
        const double factor = v[static_cast<std::size_t>(k)];
        for (std::size_t p = 0; p < pixels; ++p)
          out[p * channels + c] += factor * static_cast<double>(plane[p]);
      }
    }
    return;
  }
  // Sv, block by block; then each pixel is a short inner product.
  SlotVectors vectors(d);
  for_each_block(d, [&](std::size_t g, const GroupLinearization& group, int i, const Block& block) {
    double* slots = vectors.at(g, group, group.first_id + i);
    for (std::size_t s = 0; s < vectors.slots(g); ++s) {
      for (int k = 0; k < block.width(); ++k)
        slots[s] += block.at(static_cast<int>(s), k) *
                    v[static_cast<std::size_t>(block.columns[static_cast<std::size_t>(k)])];
    }
  });
  GroupFinder find(d.linearization.groups());
  for (std::size_t p = 0; p < pixels; ++p) {
    const std::int32_t id = d.rows->ids[p];
    if (id < 0) continue;
    const GroupLinearization& group = find(id);
    const double* slots = vectors.at(find.index(), group, id);
    for (std::size_t c = 0; c < channels; ++c) {
      double sum = 0;
      for (std::size_t s = 0; s < vectors.slots(find.index()); ++s)
        sum += slots[s] *
               static_cast<double>(d.plane(static_cast<int>(c), d.plane_of(group, static_cast<int>(s)))[p]);
      out[p * channels + c] = sum;
    }
  }
  for_each_extra(d, [&](std::size_t p, std::int32_t id, const float* values) {
    const GroupLinearization& group = find(id);
    const double* slots = vectors.at(find.index(), group, id);
    for (std::size_t c = 0; c < channels; ++c, values += d.planes) {
      double sum = 0;
      for (std::size_t s = 0; s < vectors.slots(find.index()); ++s)
        sum += slots[s] * static_cast<double>(values[d.plane_of(group, static_cast<int>(s))]);
      out[p * channels + c] += sum;
    }
  });
}

void RenderedJacobian::multiply_transposed(Span<const double> w, Span<double> out) const {
  const RenderedJacobian& d = with_rows();
  const std::size_t pixels = d.pixels();
  const auto channels = static_cast<std::size_t>(d.channels);
  std::fill(out.begin(), out.end(), 0.0);
  if (d.dense) {
    for (std::size_t c = 0; c < channels; ++c) {
      for (int k = 0; k < d.planes; ++k) {
        const float* plane = d.plane(static_cast<int>(c), k);
        double sum = 0;
        for (std::size_t p = 0; p < pixels; ++p) sum += w[p * channels + c] * static_cast<double>(plane[p]);
        out[static_cast<std::size_t>(k)] += sum;
      }
    }
    return;
  }
  SlotVectors vectors(d);
  GroupFinder find(d.linearization.groups());
  for (std::size_t p = 0; p < pixels; ++p) {
    const std::int32_t id = d.rows->ids[p];
    if (id < 0) continue;
    const GroupLinearization& group = find(id);
    double* slots = vectors.at(find.index(), group, id);
    for (std::size_t c = 0; c < channels; ++c) {
      const double weight = w[p * channels + c];
      for (std::size_t s = 0; s < vectors.slots(find.index()); ++s)
        slots[s] += weight * static_cast<double>(
                                 d.plane(static_cast<int>(c), d.plane_of(group, static_cast<int>(s)))[p]);
    }
  }
  for_each_extra(d, [&](std::size_t p, std::int32_t id, const float* values) {
    const GroupLinearization& group = find(id);
    double* slots = vectors.at(find.index(), group, id);
    for (std::size_t c = 0; c < channels; ++c, values += d.planes) {
      const double weight = w[p * channels + c];
      for (std::size_t s = 0; s < vectors.slots(find.index()); ++s)
        slots[s] += weight * static_cast<double>(values[d.plane_of(group, static_cast<int>(s))]);
    }
  });
  for_each_block(d, [&](std::size_t g, const GroupLinearization& group, int i, const Block& block) {
    const double* slots = vectors.at(g, group, group.first_id + i);
    for (std::size_t s = 0; s < vectors.slots(g); ++s) {
      for (int k = 0; k < block.width(); ++k)
        out[static_cast<std::size_t>(block.columns[static_cast<std::size_t>(k)])] +=
            block.at(static_cast<int>(s), k) * slots[s];
    }
  });
}

DensePlanes RenderedJacobian::dense_planes() const {
  if (!dense) return {};
  return {with_rows().rows->planes.get(), width, static_cast<std::ptrdiff_t>(pixels())};
}

namespace {

// values[k] = sum over slots of partial(slot) * block.at(slot, k): an entry by columns.
template <class F>
void to_columns(const Block& block, int slots, std::vector<double>& values, F&& partial) {
  values.assign(block.columns.size(), 0.0);
  for (int s = 0; s < slots; ++s) {
    const auto factor = static_cast<double>(partial(s));
    if (factor == 0) continue;
    for (int k = 0; k < block.width(); ++k) values[static_cast<std::size_t>(k)] += block.at(s, k) * factor;
  }
}

// The sum of a pixel's entries, columns ascending and unique.
class MergedRow {
 public:
  explicit MergedRow(int channels) : channels_(static_cast<std::size_t>(channels)) {}

  void clear() { columns_.clear(), values_.clear(); }
  // partial(channel, slot)
  template <class F>
  void add(const Block& block, int slots, F&& partial) {
    const std::size_t first = columns_.size(), width = block.columns.size();
    columns_.insert(columns_.end(), block.columns.begin(), block.columns.end());
    values_.resize(channels_ * (first + width));
    for (std::size_t c = 0; c < channels_; ++c) {
      to_columns(block, slots, entry_, [&](int s) { return partial(static_cast<int>(c), s); });
      for (std::size_t k = 0; k < width; ++k) values_[(first + k) * channels_ + c] = entry_[k];
    }
  }
  // Calls body(channel, columns, values).
  template <class F>
  void for_each_channel(F&& body) {
    order_.resize(columns_.size());
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
      return columns_[a] != columns_[b] ? columns_[a] < columns_[b] : a < b;
    });
    for (std::size_t c = 0; c < channels_; ++c) {
      merged_columns_.clear(), merged_values_.clear();
      for (const std::size_t k : order_) {
        if (merged_columns_.empty() || merged_columns_.back() != columns_[k])
          merged_columns_.push_back(columns_[k]), merged_values_.push_back(0.0);
        merged_values_.back() += values_[k * channels_ + c];
      }
      body(static_cast<int>(c), merged_columns_, merged_values_);
    }
  }

 private:
  std::size_t channels_;
  std::vector<int> columns_, merged_columns_;
  std::vector<double> values_, merged_values_, entry_;  // values: columns x channels
  std::vector<std::size_t> order_;
};

struct ExtraEntry {
  std::size_t pixel;
  std::int32_t id;
  const float* values;
};

std::vector<ExtraEntry> extras_by_pixel(const RenderedJacobian& d) {
  std::vector<ExtraEntry> extras;
  for_each_extra(d, [&](std::size_t p, std::int32_t id, const float* values) {
    extras.push_back({p, id, values});
  });
  std::stable_sort(extras.begin(), extras.end(),
                   [](const ExtraEntry& a, const ExtraEntry& b) { return a.pixel < b.pixel; });
  return extras;
}

// Calls body(pixel, channel, columns, values) for every row that is not empty, pixel by pixel; columns
// ascend.
template <class F>
void for_each_row(const RenderedJacobian& d, F&& body) {
  const std::vector<ExtraEntry> extras = extras_by_pixel(d);
  GroupFinder find(d.linearization.groups());
  Block scratch, scratch_of_merged;
  std::vector<double> values;
  MergedRow merged(d.channels);
  std::int32_t last_id = -1;
  const Block* block = nullptr;
  std::size_t p = 0;
  for (std::size_t next = 0;; ++p) {
    // Rows of one entry, up to the next pixel with more.
    const std::size_t end = next < extras.size() ? extras[next].pixel : d.pixels();
    for (; p < end; ++p) {
      const std::int32_t id = d.rows->ids[p];
      if (id < 0) continue;
      const GroupLinearization& group = find(id);
      if (id != last_id) block = &d.linearization.block(group, id - group.first_id, scratch), last_id = id;
      const int slots = renderer::slots_of(group.kind) + d.camera_slots;
      for (int c = 0; c < d.channels; ++c) {
        to_columns(*block, slots, values, [&](int s) { return d.plane(c, d.plane_of(group, s))[p]; });
        body(p, c, block->columns, values);
      }
    }
    if (next == extras.size()) return;
    merged.clear();
    const auto add = [&](std::int32_t id, auto&& partial) {
      const GroupLinearization& group = find(id);
      merged.add(d.linearization.block(group, id - group.first_id, scratch_of_merged),
                 renderer::slots_of(group.kind) + d.camera_slots,
                 [&](int c, int s) { return partial(c, d.plane_of(group, s)); });
    };
    if (d.rows->ids[p] >= 0) add(d.rows->ids[p], [&](int c, int plane) { return d.plane(c, plane)[p]; });
    for (; next < extras.size() && extras[next].pixel == p; ++next)
      add(extras[next].id, [&](int c, int plane) { return extras[next].values[c * d.planes + plane]; });
    merged.for_each_channel([&](int c, const std::vector<int>& columns, const std::vector<double>& sums) {
      body(p, c, columns, sums);
    });
  }
}

}  // namespace

void RenderedJacobian::to_dense(Span<float> out) const {
  const RenderedJacobian& d = with_rows();
  const std::size_t pixels = d.pixels();
  if (d.dense) {
    std::memcpy(out.data(), d.rows->planes.get(), out.size() * sizeof(float));
    return;
  }
  std::fill(out.begin(), out.end(), 0.0f);
  for_each_row(d,
               [&](std::size_t p, int c, const std::vector<int>& columns, const std::vector<double>& values) {
                 for (std::size_t k = 0; k < values.size(); ++k) {
                   const std::size_t plane =
                       static_cast<std::size_t>(c) * d.parameters + static_cast<std::size_t>(columns[k]);
                   out[plane * pixels + p] = static_cast<float>(values[k]);
                 }
               });
}

Jacobian::Sparse RenderedJacobian::to_sparse() const {
  const RenderedJacobian& d = with_rows();
  const std::size_t pixels = d.pixels();
  const auto channels = static_cast<std::size_t>(d.channels);
  Jacobian::Sparse result;
  result.row_starts.assign(pixels * channels + 1, 0);
  const auto append = [&](std::size_t row, const auto& columns, const auto& values) {
    result.row_starts[row + 1] = static_cast<std::int64_t>(columns.size());
    for (std::size_t k = 0; k < columns.size(); ++k) {
      result.columns.push_back(static_cast<std::int32_t>(columns[k]));
      result.values.push_back(static_cast<float>(values[k]));
    }
  };
  if (d.dense) {
    std::vector<int> columns(d.parameters);
    for (std::size_t k = 0; k < columns.size(); ++k) columns[k] = static_cast<int>(k);
    std::vector<float> values(columns.size());
    for (std::size_t p = 0; p < pixels; ++p) {
      for (std::size_t c = 0; c < channels; ++c) {
        bool any = d.rows->ids[p] >= 0;
        for (std::size_t k = 0; k < values.size(); ++k) {
          values[k] = d.plane(static_cast<int>(c), static_cast<int>(k))[p];
          any = any || values[k] != 0;  // a silhouette crosses a pixel whose centre sees the background
        }
        if (any) append(p * channels + c, columns, values);
      }
    }
  } else {
    for_each_row(
        d, [&](std::size_t p, int c, const std::vector<int>& columns, const std::vector<double>& values) {
          append(p * channels + static_cast<std::size_t>(c), columns, values);
        });
  }
  for (std::size_t row = 0; row < pixels * channels; ++row)
    result.row_starts[row + 1] += result.row_starts[row];
  return result;
}

Span<const std::int32_t> RenderedJacobian::primitive_ids() const {
  const auto& ids = with_rows().rows->ids;
  return {ids.data(), ids.size()};
}

}  // namespace diffrt
