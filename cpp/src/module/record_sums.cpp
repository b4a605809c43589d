#include "module/record_sums.hpp"

#include <algorithm>
#include <cstring>

namespace diffrt::module {
namespace {

// Runs of items that are shorter are added one by one.
constexpr Index short_run = 6;
// Sums in single precision are of so many items at most.
constexpr Index settled_items = 1024;
// Bytes of sums in vectors that a thread has at hand.
constexpr std::size_t sums_at_hand = std::size_t{1} << 18;

std::size_t hash_of(const std::int32_t* ids, std::size_t blocks) {
  std::uint64_t hash = 0;
  for (std::size_t b = 0; b < blocks; ++b)
    hash = (hash ^ static_cast<std::uint32_t>(ids[b])) * 0x9e3779b97f4a7c15u, hash ^= hash >> 29;
  return static_cast<std::size_t>(hash);
}

}  // namespace

RecordLayout::RecordLayout(const RowMap& map) : map_(map) {
  const Description& d = map.description();
  std::vector<int> local_of(d.slots.size(), -1);
  for (std::size_t s = 0; s < d.slots.size(); ++s) {
    const Slot& slot = d.slots[s];
    const Columns* const columns = map.layout().columns(static_cast<std::size_t>(slot.argument));
    if (columns == nullptr) continue;
    if (pieces_.empty() || pieces_.back().columns != columns || pieces_.back().block != slot.block)
      pieces_.push_back({columns, slot.block, locals_, 0});
    ++pieces_.back().count;
    components_.push_back(slot.component);
    local_of[s] = locals_++;
  }
  for (int c = 0; c < map.outputs(); ++c) {
    Output output;
    for (const RowPlane& row : map.planes_of(c)) {
      output.planes.push_back(row.plane);
      output.locals.push_back(local_of[static_cast<std::size_t>(row.slot)]);
    }
    output.locals.push_back(locals_);
    const auto same = std::find_if(outputs_.begin(), outputs_.end(),
                                   [&](const Output& other) { return other.locals == output.locals; });
    if (same != outputs_.end()) {
      output.pattern = same->pattern;
    } else {
      output.pattern = static_cast<int>(patterns_.size());
      Pattern pattern;
      pattern.first = sums_;
      over_pairs(arithmetic_, static_cast<int>(output.locals.size()), [&](int a, int b) {
        const int i = output.locals[static_cast<std::size_t>(a)],
                  j = output.locals[static_cast<std::size_t>(b)];
        pattern.places.push_back(b < a ? -1
                                       : static_cast<std::int32_t>(place(std::min(i, j), std::max(i, j))));
      });
      sums_ += pattern.places.size() * static_cast<std::size_t>(arithmetic_.lanes);
      sums_ = static_cast<std::size_t>(round_up(static_cast<Index>(sums_), row_multiple));
      patterns_.push_back(std::move(pattern));
    }
    outputs_.push_back(std::move(output));
  }
}

void RecordLayout::add_to(const double* record, const std::int32_t* ids, PairSums& H, double* g) const {
  const auto node_of = [&](const Piece& p, std::size_t& node) {
    const std::int32_t id = p.block < 0 ? 0 : ids[p.block];
    node = p.columns->first_node + static_cast<std::size_t>(id);
    return id >= 0;
  };
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    const Piece& p = pieces_[i];
    std::size_t a = 0;
    if (!node_of(p, a)) continue;
    double* const to = g + p.columns->first + (a - p.columns->first_node) * p.columns->width;
    for (int s = p.first; s < p.first + p.count; ++s)
      to[components_[static_cast<std::size_t>(s)]] += record[place(s, locals_)];
    for (std::size_t j = i; j < pieces_.size(); ++j) {
      const Piece& q = pieces_[j];
      std::size_t b = 0;
      if (!node_of(q, b)) continue;
      double* const block = H.block(std::min(a, b), std::max(a, b));
      const std::size_t width = a <= b ? q.columns->width : p.columns->width;
      for (int s = p.first; s < p.first + p.count; ++s) {
        const auto row = static_cast<std::size_t>(components_[static_cast<std::size_t>(s)]);
        for (int t = i == j ? s : q.first; t < q.first + q.count; ++t) {
          const auto column = static_cast<std::size_t>(components_[static_cast<std::size_t>(t)]);
          const double value = record[place(s, t)];
          if (a <= b) {
            block[row * width + column] += value;
          } else {
            block[column * width + row] += value;
          }
          if (a == b && s != t) block[column * width + row] += value;
        }
      }
    }
  }
}

std::size_t Records::find(const std::int32_t* ids, std::size_t blocks, std::size_t size) {
  const auto is = [&](std::size_t k) {
    return blocks == 0 || std::memcmp(ids_.data() + k * blocks, ids, blocks * sizeof *ids) == 0;
  };
  // Rows of an image meet the same in the same order.
  for (const std::size_t next : {last_ + 1, std::size_t{0}}) {
    if (next < count_ && is(next)) return last_ = next;
  }
  if (table_.size() < 4 * (count_ + 1)) {
    table_.assign(std::max(std::size_t{64}, 2 * table_.size()), -1);
    for (std::size_t k = 0; k < count_; ++k) {
      std::size_t at = hash_of(ids_.data() + k * blocks, blocks);
      while (table_[at & (table_.size() - 1)] >= 0) ++at;
      table_[at & (table_.size() - 1)] = static_cast<std::int32_t>(k);
    }
  }
  const std::size_t mask = table_.size() - 1;
  std::size_t at = hash_of(ids, blocks);
  for (; table_[at & mask] >= 0; ++at) {
    const auto k = static_cast<std::size_t>(table_[at & mask]);
    if (is(k)) return last_ = k;
  }
  table_[at & mask] = static_cast<std::int32_t>(count_);
  ids_.insert(ids_.end(), ids, ids + blocks);
  if (records_.size() < (count_ + 1) * size)
    records_.resize(std::max(2 * records_.size(), (count_ + 1) * size));
  std::fill_n(records_.data() + count_ * size, size, 0.0);
  return last_ = count_++;
}

void RecordSums::make_room(const RecordLayout& layout, const RowMap& map, Index items) {
  there_.reserve(static_cast<std::size_t>(items));
  planes_.resize(layout.outputs().size());
  for (std::size_t c = 0; c < planes_.size(); ++c) planes_[c].resize(layout.outputs()[c].locals.size());
  const std::size_t most = std::clamp<std::size_t>(
      sums_at_hand / sizeof(float) / std::max(layout.sums(), std::size_t{1}), 1, map.blocks() == 0 ? 1 : 256);
  places_.resize(most);
  sums_.resize(most * layout.sums());
  std::memset(sums_.data(), 0, sums_.size() * sizeof(float));
  key_.resize(static_cast<std::size_t>(map.blocks()));
  row_.resize(static_cast<std::size_t>(layout.locals()) + 1);
  used_ = 0;
}

void RecordSums::settle(const RecordLayout& layout, std::size_t place, Records& records) {
  double* const record = records.record(places_[place].record, layout.size());
  float* const sums = sums_.data() + place * layout.sums();
  for (const RecordLayout::Pattern& pattern : layout.patterns())
    layout.arithmetic().settle(sums + pattern.first, pattern.places.data(), pattern.places.size(), record);
  places_[place].items = 0;
}

void RecordSums::finish(const RecordLayout& layout, Records& records) {
  for (std::size_t place = 0; place < used_; ++place) settle(layout, place, records);
  used_ = 0;
}

float* RecordSums::sums_of(const RecordLayout& layout, std::size_t record, Index items, Records& records) {
  std::size_t place = 0;
  while (place < used_ && places_[place].record != record) ++place;
  if (place == used_) {
    if (used_ == places_.size()) finish(layout, records), place = 0;
    places_[used_++] = {record, 0};
  }
  if (places_[place].items + items > settled_items) settle(layout, place, records);
  places_[place].items += items;
  return sums_.data() + place * layout.sums();
}

void RecordSums::add_items(const RecordLayout& layout, Index first, Index last, double* record) {
  for (std::size_t c = 0; c < planes_.size(); ++c) {
    const std::vector<int>& locals = layout.outputs()[c].locals;
    for (Index i = first; i < last; ++i) {
      for (std::size_t k = 0; k < locals.size(); ++k) row_[k] = static_cast<double>(planes_[c][k][i]);
      for (std::size_t a = 0; a < locals.size(); ++a) {
        for (std::size_t b = a; b < locals.size(); ++b)
          record[layout.place(std::min(locals[a], locals[b]), std::max(locals[a], locals[b]))] +=
              row_[a] * row_[b];
      }
    }
  }
}

void RecordSums::add_run(const RecordLayout& layout, Index first, Index last, std::size_t record,
                         Records& records) {
  if (last - first < short_run) return add_items(layout, first, last, records.record(record, layout.size()));
  while (first < last) {
    const Index end = std::min(last, first / settled_items * settled_items + settled_items);
    float* const sums = sums_of(layout, record, end - first, records);
    for (std::size_t c = 0; c < planes_.size(); ++c) {
      const RecordLayout::Output& output = layout.outputs()[c];
      layout.arithmetic().add(planes_[c].data(), static_cast<int>(planes_[c].size()), first, end,
                              sums + layout.patterns()[static_cast<std::size_t>(output.pattern)].first);
    }
    first = end;
  }
}

// Rows that a table has not: -1. Where there is no residual, an item is as its neighbour.
void RecordSums::tidy_ids(const RowMap& map, std::int32_t* ids, Index stride, const float* factors,
                          int outputs, Index items) {
  const auto count = static_cast<std::size_t>(items);
  if (factors != nullptr) {
    there_.assign(count, 0);
    for (int c = 0; c < outputs; ++c) {
      for (std::size_t i = 0; i < count; ++i)
        there_[i] = static_cast<char>(there_[i] |
                                      static_cast<char>(factors[c * stride + static_cast<Index>(i)] != 0));
    }
  }
  for (int b = 0; b < map.blocks(); ++b, ids += stride) {
    const auto rows = static_cast<std::uint32_t>(map.rows_of_block(b));
    for (Index i = 0; i < items; ++i) ids[i] = static_cast<std::uint32_t>(ids[i]) < rows ? ids[i] : -1;
    if (factors == nullptr) continue;
    const auto first = std::find(there_.begin(), there_.end(), 1) - there_.begin();
    std::int32_t last = first < items ? ids[first] : -1;
    for (Index i = 0; i < items; ++i) {
      if (there_[static_cast<std::size_t>(i)] != 0) last = ids[i];
      ids[i] = last;
    }
  }
}

void RecordSums::add(const RecordLayout& layout, const RowMap& map, float* rows, std::int32_t* ids,
                     Index stride, const float* factors, Index items, Records& records) {
  const int outputs = map.outputs(), blocks = map.blocks();
  for (int c = 0; c < outputs; ++c) {
    const RecordLayout::Output& output = layout.outputs()[static_cast<std::size_t>(c)];
    std::vector<const float*>& planes = planes_[static_cast<std::size_t>(c)];
    for (std::size_t k = 0; k < output.planes.size(); ++k)
      planes[k] = rows + (outputs + output.planes[k]) * stride;
    planes.back() = rows + c * stride;
  }
  if (blocks == 0) return add_run(layout, 0, items, records.find(nullptr, 0, layout.size()), records);
  tidy_ids(map, ids, stride, factors, outputs, items);
  for (Index first = 0, last = 0; first < items; first = last) {
    last = items;
    for (int b = 0; b < blocks; ++b) {
      const std::int32_t* const id = ids + b * stride;
      const std::int32_t own = key_[static_cast<std::size_t>(b)] = id[first];
      Index i = first + 1;
      while (i < last && id[i] == own) ++i;
      last = i;
    }
    add_run(layout, first, last, records.find(key_.data(), key_.size(), layout.size()), records);
  }
}

}  // namespace diffrt::module
