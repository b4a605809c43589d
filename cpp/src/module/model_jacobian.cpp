#include "module/model_jacobian.hpp"

#include <algorithm>

#include "diffrt/errors.hpp"

namespace diffrt::module {

ModelJacobian::ModelJacobian(std::shared_ptr<const RowMap> map, const Domain& domain,
                             Span<const double> theta, std::shared_ptr<const RowStorage> rows)
    : map_(std::move(map)),
      domain_(domain),
      theta_(theta.begin(), theta.end()),
      poses_(map_->description().arguments.size(), scene::Matrix6::Identity()),
      rows_(std::move(rows)) {
  height = domain.height, width = domain.width, channels = map_->outputs();
  parameters = map_->layout().size();
  for (const Columns& c : map_->layout().all()) {
    if (map_->layout().is_pose(c))
      poses_[c.argument] = map_->layout().pose_derivative(theta_, c, PoseDerivative::theta);
  }
}

RowView ModelJacobian::view(Index place) const {
  const Index stride = domain_.plane_stride();
  return {rows_->planes.data() + channels * stride + place, stride, rows_->ids.data() + place, stride};
}

void ModelJacobian::multiply(Span<const double> v, Span<double> out) const {
  std::vector<double> slots(map_->slots()), sums(static_cast<std::size_t>(domain_.padded));
  map_->to_slots(theta_, v.data(), 1, slots.data());
  double* to = out.data();
  domain_.over_rows({0, domain_.slots()}, [&](Index place, Index, Index, Index count) {
    for (int c = 0; c < channels; ++c) {
      map_->multiply(view(place), c, count, v.data(), slots.data(), 1, 0, sums.data());
      for (Index i = 0; i < count; ++i) to[i * channels + c] = sums[static_cast<std::size_t>(i)];
    }
    to += count * channels;
  });
}

void ModelJacobian::multiply_transposed(Span<const double> w, Span<double> out) const {
  std::vector<double> sums(parameters + map_->slots(), 0.0);
  const double* from = w.data();
  domain_.over_rows({0, domain_.slots()}, [&](Index place, Index, Index, Index count) {
    for (int c = 0; c < channels; ++c)
      map_->multiply_transposed(view(place), c, count, from + c, channels, sums.data());
    from += count * channels;
  });
  std::fill(out.begin(), out.end(), 0.0);
  map_->from_slots(theta_, sums.data(), out);
}

DensePlanes ModelJacobian::dense_planes() const {
  if (!map_->dense()) return {};
  return {view(0).planes, domain_.padded, domain_.plane_stride()};
}

void ModelJacobian::to_dense(Span<float> out) const {
  std::fill(out.begin(), out.end(), 0.0f);
  const std::size_t pixels = this->pixels();
  for (int c = 0; c < channels; ++c) {
    float* const first = out.data() + static_cast<std::size_t>(c) * parameters * pixels;
    for (const RowPlane& row : map_->planes_of(c)) {
      const Slot& slot = map_->description().slots[static_cast<std::size_t>(row.slot)];
      const Columns& columns = *map_->layout().columns(static_cast<std::size_t>(slot.argument));
      domain_.over_rows({0, domain_.slots()}, [&](Index place, Index y, Index x, Index count) {
        const RowView rows = view(place);
        const float* const plane = rows.planes + row.plane * rows.stride;
        const Index at = y * domain_.width + x;
        const auto column = [&](std::size_t k) { return first + k * pixels + at; };
        if (row.block >= 0) {
          const std::int32_t* const ids = rows.ids + row.block * rows.id_stride;
          for (Index i = 0; i < count; ++i) {
            std::size_t k = 0;
            if (row.find(ids[i], k)) column(k)[i] += plane[i];
          }
        } else if (!map_->layout().is_pose(columns)) {
          std::copy_n(plane, count, column(row.column));
        } else {
          for (std::size_t k = 0; k < 6; ++k) {
            const auto factor =
                static_cast<float>(poses_[columns.argument](slot.component, static_cast<int>(k)));
            float* const to = column(columns.first + k);
            for (Index i = 0; i < count; ++i) to[i] += factor * plane[i];
          }
        }
      });
    }
  }
}

void ModelJacobian::terms_of(const RowPlane& row, const RowView& view, Index item,
                             std::vector<Term>& terms) const {
  if (row.block >= 0) {
    std::size_t column = 0;
    if (row.find(view.ids[row.block * view.id_stride + item], column))
      terms.push_back({column, row.plane, 1});
    return;
  }
  const Slot& slot = map_->description().slots[static_cast<std::size_t>(row.slot)];
  const Columns& columns = *map_->layout().columns(static_cast<std::size_t>(slot.argument));
  if (!map_->layout().is_pose(columns)) return terms.push_back({row.column, row.plane, 1});
  for (std::size_t k = 0; k < 6; ++k)
    terms.push_back(
        {columns.first + k, row.plane, poses_[columns.argument](slot.component, static_cast<int>(k))});
}

Jacobian::Sparse ModelJacobian::to_sparse() const {
  Jacobian::Sparse result;
  result.row_starts.reserve(values() + 1);
  result.row_starts.push_back(0);
  std::vector<Term> terms;
  domain_.over_rows({0, domain_.slots()}, [&](Index place, Index, Index, Index count) {
    const RowView rows = view(place);
    for (Index i = 0; i < count; ++i) {
      for (int c = 0; c < channels; ++c) {
        terms.clear();
        for (const RowPlane& row : map_->planes_of(c)) terms_of(row, rows, i, terms);
        std::stable_sort(terms.begin(), terms.end(),
                         [](const Term& a, const Term& b) { return a.column < b.column; });
        for (std::size_t k = 0; k < terms.size();) {
          const std::size_t column = terms[k].column;
          double value = 0;
          for (; k < terms.size() && terms[k].column == column; ++k)
            value += terms[k].factor * static_cast<double>(rows.planes[terms[k].plane * rows.stride + i]);
          result.columns.push_back(static_cast<std::int32_t>(column));
          result.values.push_back(static_cast<float>(value));
        }
        result.row_starts.push_back(static_cast<std::int64_t>(result.columns.size()));
      }
    }
  });
  return result;
}

Span<const std::int32_t> ModelJacobian::primitive_ids() const {
  throw ArgumentError("primitive_ids: are of a rendered image; a model has no primitives");
}

}  // namespace diffrt::module
