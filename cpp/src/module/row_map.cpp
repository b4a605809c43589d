#include "module/row_map.hpp"

#include <algorithm>

namespace diffrt::module {

RowMap::RowMap(std::shared_ptr<const LoadedModel> model, const std::vector<std::size_t>& rows)
    : model_(std::move(model)), rows_(rows), layout_(model_->description, rows) {
  const Description& d = description();
  outputs_.resize(static_cast<std::size_t>(numbers_of(d.output_shape)));
  dense_ = d.planes.size() == outputs_.size() * layout_.size();
  for (std::size_t k = 0; k < d.planes.size(); ++k) {
    const Plane& plane = d.planes[k];
    const Slot& slot = d.slots[static_cast<std::size_t>(plane.slot)];
    const Columns* const columns = layout_.columns(static_cast<std::size_t>(slot.argument));
    if (columns == nullptr) {
      dense_ = false;
      continue;
    }
    RowPlane row;
    row.plane = static_cast<int>(k), row.slot = plane.slot, row.block = slot.block;
    row.column = columns->first + static_cast<std::size_t>(slot.component);
    row.width = columns->width, row.rows = columns->rows;
    const auto output = static_cast<std::size_t>(plane.output);
    outputs_[output].push_back(row);
    dense_ =
        dense_ && slot.block < 0 && !layout_.is_pose(*columns) && k == output * layout_.size() + row.column;
  }
}

void RowMap::to_slots(Span<const double> theta, const double* v, Index K, double* slots) const {
  const Description& d = description();
  std::fill_n(slots, static_cast<Index>(d.slots.size()) * K, 0.0);
  for (std::size_t s = 0; s < d.slots.size(); ++s) {
    const Columns* const columns = layout_.columns(static_cast<std::size_t>(d.slots[s].argument));
    if (columns == nullptr || d.slots[s].block >= 0) continue;
    double* const to = slots + static_cast<Index>(s) * K;
    const double* from = v + static_cast<Index>(columns->first) * K;
    if (!layout_.is_pose(*columns)) {
      std::copy_n(from + d.slots[s].component * K, K, to);
      continue;
    }
    const scene::Matrix6 J = layout_.pose_derivative(theta, *columns, PoseDerivative::theta);
    for (int j = 0; j < 6; ++j) {
      for (Index k = 0; k < K; ++k) to[k] += J(d.slots[s].component, j) * from[j * K + k];
    }
  }
}

void RowMap::from_slots(Span<const double> theta, const double* sums, Span<double> out) const {
  const Description& d = description();
  const std::size_t P = layout_.size();
  for (std::size_t i = 0; i < P; ++i) out[i] += sums[i];
  for (std::size_t s = 0; s < d.slots.size(); ++s) {
    const Columns* const columns = layout_.columns(static_cast<std::size_t>(d.slots[s].argument));
    if (columns == nullptr || d.slots[s].block >= 0) continue;
    const auto component = static_cast<std::size_t>(d.slots[s].component);
    if (!layout_.is_pose(*columns)) {
      out[columns->first + component] += sums[P + s];
      continue;
    }
    const scene::Matrix6 J = layout_.pose_derivative(theta, *columns, PoseDerivative::theta);
    for (std::size_t j = 0; j < 6; ++j)
      out[columns->first + j] += J(d.slots[s].component, static_cast<int>(j)) * sums[P + s];
  }
}

void RowMap::multiply(const RowView& view, int c, Index items, const double* v, const double* slots, Index K,
                      Index k, double* sums) const {
  std::fill_n(sums, items, 0.0);
  for (const RowPlane& row : planes_of(c)) {
    const float* const plane = view.planes + row.plane * view.stride;
    if (row.block < 0) {
      const double factor = slots[row.slot * K + k];
      for (Index i = 0; i < items; ++i) sums[i] += factor * static_cast<double>(plane[i]);
      continue;
    }
    const std::int32_t* const ids = view.ids + row.block * view.id_stride;
    for (Index i = 0; i < items; ++i) {
      std::size_t place = 0;
      if (row.find(ids[i], place))
        sums[i] += v[static_cast<Index>(place) * K + k] * static_cast<double>(plane[i]);
    }
  }
}

void RowMap::multiply_transposed(const RowView& view, int c, Index items, const double* w, Index w_stride,
                                 double* sums) const {
  for (const RowPlane& row : planes_of(c)) {
    const float* const plane = view.planes + row.plane * view.stride;
    if (row.block < 0) {
      double sum = 0;
      for (Index i = 0; i < items; ++i) {
        const double weight = w[i * w_stride];
        sum += weight != 0 ? weight * static_cast<double>(plane[i]) : 0.0;
      }
      sums[layout_.size() + static_cast<std::size_t>(row.slot)] += sum;
      continue;
    }
    const std::int32_t* const ids = view.ids + row.block * view.id_stride;
    for (Index i = 0; i < items; ++i) {
      const double weight = w[i * w_stride];
      std::size_t place = 0;
      if (weight != 0 && row.find(ids[i], place)) sums[place] += weight * static_cast<double>(plane[i]);
    }
  }
}

}  // namespace diffrt::module
