// From a model's rows to columns of J: J = J_slots S, where S takes theta to slots, as a tile's items have
// them.
#pragma once

#include <memory>
#include <vector>

#include "module/domain.hpp"
#include "module/layout.hpp"
#include "module/loaded.hpp"

namespace diffrt::module {

// Rows of some items, as a model's code leaves them.
struct RowView {
  const float* planes = nullptr;  // of partials
  Index stride = 0;
  const std::int32_t* ids = nullptr;
  Index id_stride = 0;
};

// A plane of partials by what is a column of J.
struct RowPlane {
  int plane = 0;  // of the partials
  int slot = 0;
  int block = -1;  // in which `column` is that of the table's first row, with `width` for each of `rows`
  std::size_t column = 0, width = 0, rows = 0;
  // Of the place of an item's number in theta; false if it reads beyond the table.
  bool find(std::int32_t id, std::size_t& place) const {
    place = column + static_cast<std::size_t>(id) * width;
    return id >= 0 && static_cast<std::size_t>(id) < rows;
  }
};

class RowMap {
 public:
  RowMap(std::shared_ptr<const LoadedModel> model, const std::vector<std::size_t>& rows);
  RowMap(const RowMap&) = delete;
  RowMap& operator=(const RowMap&) = delete;

  const Description& description() const { return model_->description; }
  const Functions& functions() const { return model_->cpu; }
  void check_functions() const { cpu_functions(*model_); }
  bool has_code(runtime::DeviceKind kind) const { return model_->devices->has(kind); }
  DeviceCode& device_code(const std::shared_ptr<runtime::Device>& device) const {
    return model_->devices->of(device);
  }
  const Layout& layout() const { return layout_; }
  int outputs() const { return static_cast<int>(outputs_.size()); }
  int planes() const { return static_cast<int>(description().planes.size()); }
  int blocks() const { return static_cast<int>(description().blocks.size()); }
  // Those of an output, slots ascending.
  const std::vector<RowPlane>& planes_of(int output) const {
    return outputs_[static_cast<std::size_t>(output)];
  }
  std::size_t rows_of_block(int block) const {
    return rows_[static_cast<std::size_t>(description().blocks[static_cast<std::size_t>(block)].argument)];
  }
  // Whether the planes are those of J's columns, none missing.
  bool dense() const { return dense_; }

  // slots [slots, K] = S v, v [P, K], of slots in no block. By theta's numbers.
  void to_slots(Span<const double> theta, const double* v, Index K, double* slots) const;
  // out (P) += S' sums, likewise. `sums` is P + slots numbers, of which the first P are added as they are.
  void from_slots(Span<const double> theta, const double* sums, Span<double> out) const;
  std::size_t slots() const { return description().slots.size(); }

  // sums [items] of output `c` = J v for the items of a view: `v` [P, K] and to_slots of it, column `k`.
  void multiply(const RowView& view, int c, Index items, const double* v, const double* slots, Index K,
                Index k, double* sums) const;
  // sums [P + slots] += J' w, by slots where they are in no block; w(i) is asked of items [0, items).
  void multiply_transposed(const RowView& view, int c, Index items, const double* w, Index w_stride,
                           double* sums) const;

 private:
  const std::shared_ptr<const LoadedModel> model_;
  const std::vector<std::size_t> rows_;
  const Layout layout_;
  std::vector<std::vector<RowPlane>> outputs_;
  bool dense_ = false;
};

}  // namespace diffrt::module
