// From a tile's rows and residuals to sums of w j j' and w j r: for items that read the same rows of tables
// together, a record.
#pragma once

#include <vector>

#include "module/pair_sums.hpp"
#include "module/products.hpp"
#include "module/row_map.hpp"
#include "runtime/buffer.hpp"

namespace diffrt::module {

// Slots that are columns of J, in their order: `local` is a place among them. A record is the upper triangle
// of products of locals and, last, of the residual.
class RecordLayout {
 public:
  explicit RecordLayout(const RowMap& map);

  int locals() const { return locals_; }
  std::size_t size() const { return static_cast<std::size_t>((locals_ + 1) * (locals_ + 2) / 2); }
  std::size_t place(int a, int b) const {  // a <= b
    return static_cast<std::size_t>(a * (locals_ + 1) - a * (a - 1) / 2 + b - a);
  }

  // Planes of partials of an output, and which sums its products go to: outputs with the same slots share
  // them.
  struct Output {
    std::vector<int> planes, locals;
    int pattern = 0;
  };
  struct Pattern {
    std::vector<std::int32_t> places;  // in a record, of each product (over_pairs)
    std::size_t first = 0;             // among the sums
  };
  const std::vector<Output>& outputs() const { return outputs_; }
  const std::vector<Pattern>& patterns() const { return patterns_; }
  std::size_t sums() const { return sums_; }  // floats, of all patterns
  const ProductArithmetic& arithmetic() const { return arithmetic_; }

  // Adds a record to H and g. `ids`: of its blocks, -1 where a table has no such row.
  void add_to(const double* record, const std::int32_t* ids, PairSums& H, double* g) const;

 private:
  // Locals of one argument in one block, or in none.
  struct Piece {
    const Columns* columns;
    int block = -1, first = 0, count = 0;
  };

  const RowMap& map_;
  const ProductArithmetic arithmetic_ = product_arithmetic();
  int locals_ = 0;
  std::vector<int> components_;  // of locals, in their argument
  std::vector<Piece> pieces_;
  std::vector<Output> outputs_;
  std::vector<Pattern> patterns_;
  std::size_t sums_ = 0;
};

// The records of a part of the domain, in the order in which their rows are first met.
class Records {
 public:
  void clear() { count_ = 0, ids_.clear(), std::fill(table_.begin(), table_.end(), -1); }
  std::size_t count() const { return count_; }
  const std::int32_t* ids(std::size_t k, std::size_t blocks) const { return ids_.data() + k * blocks; }
  double* record(std::size_t k, std::size_t size) { return records_.data() + k * size; }
  // The one of these ids; a new one is zero.
  std::size_t find(const std::int32_t* ids, std::size_t blocks, std::size_t size);

 private:
  std::size_t count_ = 0, last_ = 0;
  std::vector<std::int32_t> ids_, table_;
  std::vector<double> records_;
};

// A thread's sums, over the tiles of one part after another.
class RecordSums {
 public:
  // `items`: of a tile.
  void make_room(const RecordLayout& layout, const RowMap& map, Index items);
  void begin() { used_ = 0; }
  // Rows of `items` places: planes `stride` apart, of outputs (residuals by now), then of partials, weighed,
  // and 0 where there is no residual; ids, which are changed. `factors`: of each output's items, 0 where
  // there is none; null: all are there.
  void add(const RecordLayout& layout, const RowMap& map, float* rows, std::int32_t* ids, Index stride,
           const float* factors, Index items, Records& records);
  // What is not in the records yet.
  void finish(const RecordLayout& layout, Records& records);

 private:
  // A record's sums in vectors.
  struct Place {
    std::size_t record;
    Index items;  // since they were settled
  };
  float* sums_of(const RecordLayout& layout, std::size_t record, Index items, Records& records);
  void settle(const RecordLayout& layout, std::size_t place, Records& records);
  void add_run(const RecordLayout& layout, Index first, Index last, std::size_t record, Records& records);
  void add_items(const RecordLayout& layout, Index first, Index last, double* record);
  void tidy_ids(const RowMap& map, std::int32_t* ids, Index stride, const float* factors, int outputs,
                Index items);

  std::vector<std::vector<const float*>> planes_;  // of each output, the residual last
  std::vector<Place> places_;
  std::size_t used_ = 0;
  runtime::Buffer<float> sums_;
  std::vector<std::int32_t> key_;
  std::vector<double> row_;
  std::vector<char> there_;
};

}  // namespace diffrt::module
