#include "diffrt/jacobian.hpp"

#include "check_span.hpp"
#include "diffrt/errors.hpp"
#include "jacobian_data.hpp"

namespace diffrt {
namespace {

// Of a Jacobian that there is.
const JacobianData& held(const std::shared_ptr<const JacobianData>& data) {
  if (data == nullptr) throw ArgumentError("Jacobian: is empty; Renderer::jacobian makes one");
  return *data;
}

}  // namespace

int Jacobian::height() const { return data_ ? data_->height : 0; }
int Jacobian::width() const { return data_ ? data_->width : 0; }
int Jacobian::channels() const { return data_ ? data_->channels : 0; }
std::size_t Jacobian::parameters() const { return data_ ? data_->parameters : 0; }

void Jacobian::multiply(Span<const double> v, Span<double> out) const {
  const JacobianData& data = held(data_);
  check_span("v", v, data.parameters, "P");
  check_span("out", out, data.values(), "H x W x C");
  data.multiply(v, out);
}

void Jacobian::multiply_transposed(Span<const double> w, Span<double> out) const {
  const JacobianData& data = held(data_);
  check_span("w", w, data.values(), "H x W x C");
  check_span("out", out, data.parameters, "P");
  data.multiply_transposed(w, out);
}

DensePlanes Jacobian::dense_planes() const { return held(data_).dense_planes(); }

void Jacobian::to_dense(Span<float> out) const {
  const JacobianData& data = held(data_);
  check_span("out", out, data.values() * data.parameters, "C x P x H x W");
  data.to_dense(out);
}

bool Jacobian::on_device() const { return data_ && data_->on_device(); }

DeviceArray Jacobian::dense_on_device() const {
  if (!on_device())
    throw ArgumentError("J: its rows are on the host; jacobian_on_device() leaves them on the device");
  return data_->dense_on_device();
}

Jacobian::Sparse Jacobian::to_sparse() const { return held(data_).to_sparse(); }
Span<const std::int32_t> Jacobian::primitive_ids() const { return held(data_).primitive_ids(); }

}  // namespace diffrt
