// What a Jacobian holds: of a rendered image, or of a model's outputs.
#pragma once

#include "diffrt/jacobian.hpp"

namespace diffrt {

class JacobianData {
 public:
  virtual ~JacobianData() = default;

  int height = 0, width = 0, channels = 1;
  std::size_t parameters = 0;
  std::size_t pixels() const { return static_cast<std::size_t>(height) * static_cast<std::size_t>(width); }
  std::size_t values() const { return pixels() * static_cast<std::size_t>(channels); }

  // As in Jacobian, of spans that are as long as they should be.
  virtual void multiply(Span<const double> v, Span<double> out) const = 0;
  virtual void multiply_transposed(Span<const double> w, Span<double> out) const = 0;
  virtual DensePlanes dense_planes() const = 0;
  virtual void to_dense(Span<float> out) const = 0;
  virtual Jacobian::Sparse to_sparse() const = 0;
  virtual bool on_device() const { return false; }
  virtual DeviceArray dense_on_device() const = 0;  // where they are on one
  virtual Span<const std::int32_t> primitive_ids() const = 0;

 protected:
  JacobianData() = default;
  JacobianData(const JacobianData&) = default;
  JacobianData& operator=(const JacobianData&) = default;
};

}  // namespace diffrt
