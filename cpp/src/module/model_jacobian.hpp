// The Jacobian of a model's outputs: its rows as its code left them, over the whole domain.
#pragma once

#include <memory>
#include <vector>

#include "jacobian_data.hpp"
#include "module/row_map.hpp"
#include "runtime/buffer.hpp"

namespace diffrt::module {

struct RowStorage {
  runtime::Buffer<float> planes;  // of outputs, then of partials
  runtime::Buffer<std::int32_t> ids;
};

class ModelJacobian : public JacobianData {
 public:
  ModelJacobian(std::shared_ptr<const RowMap> map, const Domain& domain, Span<const double> theta,
                std::shared_ptr<const RowStorage> rows);

  void multiply(Span<const double> v, Span<double> out) const override;
  void multiply_transposed(Span<const double> w, Span<double> out) const override;
  DensePlanes dense_planes() const override;
  void to_dense(Span<float> out) const override;
  Jacobian::Sparse to_sparse() const override;
  DeviceArray dense_on_device() const override { return {}; }
  Span<const std::int32_t> primitive_ids() const override;

 private:
  RowView view(Index place) const;
  // What an item's output depends on: column and factor of each plane's partial.
  struct Term {
    std::size_t column;
    int plane;
    double factor;
  };
  void terms_of(const RowPlane& row, const RowView& view, Index item, std::vector<Term>& terms) const;

  std::shared_ptr<const RowMap> map_;
  Domain domain_;
  std::vector<double> theta_;
  std::vector<scene::Matrix6> poses_;  // derivative of each, by argument
  std::shared_ptr<const RowStorage> rows_;
};

}  // namespace diffrt::module
