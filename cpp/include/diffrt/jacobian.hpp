// The Jacobian of a rendered image, or of a model's outputs, stored by local rows.
//
// A pixel depends on the primitive that it sees, by its slots (4 numbers for a sphere or a plane, 6 for a
// rigid mesh, 9 for a triangle whose vertices are free), and on the camera's intrinsics. A row is (primitive
// id, partials by the slots), or several of these where a pixel sees several primitives; J = J_local S, with
// S the sparse matrix from theta to slots. Storage and products do not grow with P.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "diffrt/device_array.hpp"
#include "diffrt/export.hpp"
#include "diffrt/span.hpp"

namespace diffrt {

class JacobianData;  // internal

// Columns of J where they are stored: plane c * P + p begins plane_stride numbers after the one before, and
// its rows are row_stride apart.
struct DensePlanes {
  const float* data = nullptr;  // null: there are none
  std::ptrdiff_t row_stride = 0, plane_stride = 0;
};

class DIFFRT_API Jacobian {
 public:
  Jacobian() = default;
  explicit Jacobian(std::shared_ptr<const JacobianData> data) : data_(std::move(data)) {}

  int height() const;
  int width() const;
  int channels() const;
  std::size_t parameters() const;  // P

  // out [H, W, C] = J v, v (P).
  void multiply(Span<const double> v, Span<double> out) const;
  // out (P) = J' w, w [H, W, C].
  void multiply_transposed(Span<const double> w, Span<double> out) const;

  // If the rows are stored as dense columns already (a scene of one primitive, a model without tables and
  // poses), where they are; they live as long as any copy of this Jacobian.
  DensePlanes dense_planes() const;
  // out: C * P planes [H, W], plane c * P + p.
  void to_dense(Span<float> out) const;

  // Of Renderer::jacobian_on_device: whether the rows are on the GPU. The methods above and below then bring
  // them to the host when they are first needed there.
  bool on_device() const;
  // The columns of J, [H, W, P], or [H, W, C, P] for C > 1, on the device: planes as in to_dense(). Of a
  // scene of one primitive they are J's own memory: what is written there changes J. Throws ArgumentError
  // unless on_device().
  DeviceArray dense_on_device() const;

  struct Sparse {                          // compressed rows, columns ascending
    std::vector<std::int64_t> row_starts;  // H * W * C + 1
    std::vector<std::int32_t> columns;
    std::vector<float> values;
  };
  Sparse to_sparse() const;

  // Which primitive each pixel sees, [H, W]: spheres first, then planes, then the faces of each mesh, in the
  // order of the scene; -1 the background. Where a silhouette crosses a pixel whose centre sees nothing, one
  // that the pixel depends on. Of a model there are none.
  Span<const std::int32_t> primitive_ids() const;

 private:
  std::shared_ptr<const JacobianData> data_;
};

}  // namespace diffrt
