#include "bindings.hpp"
#include "driver_call.hpp"
#include "memory.hpp"

namespace diffrt::bindings {
namespace {

std::vector<py::ssize_t> image_shape(const Jacobian& J) {
  std::vector<py::ssize_t> shape = {J.height(), J.width()};
  if (J.channels() > 1) shape.push_back(J.channels());
  return shape;
}

// Planes [C, P, H, W] seen as [H, W, P] or [H, W, C, P].
py::array dense(const std::shared_ptr<Jacobian>& J) {
  const py::ssize_t H = J->height(), W = J->width(), C = J->channels(),
                    P = static_cast<py::ssize_t>(J->parameters());
  const auto size = static_cast<py::ssize_t>(sizeof(float));
  std::vector<py::ssize_t> shape = {H, W, P}, strides = {W * size, size, H * W * size};
  if (C > 1) shape = {H, W, C, P}, strides = {W * size, size, P * H * W * size, H * W * size};
  if (const DensePlanes planes = J->dense_planes(); planes.data != nullptr) {
    strides = {planes.row_stride * size, size, planes.plane_stride * size};
    if (C > 1) strides.insert(strides.begin() + 2, P * planes.plane_stride * size);
    const py::capsule keep(new std::shared_ptr<Jacobian>(J),
                           [](void* p) { delete static_cast<std::shared_ptr<Jacobian>*>(p); });
    py::array view(py::dtype::of<float>(), shape, strides, planes.data, keep);
    // The storage is used again, and remembers which tiles are zero: nobody else may write there.
    view.attr("setflags")(py::arg("write") = false);
    return view;
  }
  std::vector<float> values;
  resize(values, static_cast<std::size_t>(H * W * C * P), "a dense Jacobian");
  {
    const WithoutGil without;
    const DriverCall call;
    J->to_dense(values);
  }
  auto* owned = new std::vector<float>(std::move(values));
  const py::capsule keep(owned, [](void* p) { delete static_cast<std::vector<float>*>(p); });
  return py::array(py::dtype::of<float>(), shape, strides, owned->data(), keep);
}

py::array multiply(const Jacobian& J, const DoubleArray& v) {
  std::vector<double> out(static_cast<std::size_t>(J.height()) * static_cast<std::size_t>(J.width()) *
                          static_cast<std::size_t>(J.channels()));
  {
    const WithoutGil without;
    const DriverCall call;
    J.multiply(span_of(v), out);
  }
  return to_array(std::move(out), image_shape(J));
}

py::array multiply_transposed(const Jacobian& J, const DoubleArray& w) {
  std::vector<double> out(J.parameters());
  {
    const WithoutGil without;
    const DriverCall call;
    J.multiply_transposed(span_of(w), out);
  }
  const auto size = static_cast<py::ssize_t>(out.size());
  return to_array(std::move(out), {size});
}

py::tuple to_sparse(const Jacobian& J) {
  Jacobian::Sparse sparse;
  {
    const WithoutGil without;
    const DriverCall call;
    sparse = J.to_sparse();
  }
  const auto entries = static_cast<py::ssize_t>(sparse.values.size());
  return py::make_tuple(to_array(std::move(sparse.values), {entries}),
                        to_array(std::move(sparse.columns), {entries}), index_array(sparse.row_starts));
}

py::array primitive_ids(const std::shared_ptr<Jacobian>& J) {
  const Span<const std::int32_t> ids = J->primitive_ids();
  const py::capsule keep(new std::shared_ptr<Jacobian>(J),
                         [](void* p) { delete static_cast<std::shared_ptr<Jacobian>*>(p); });
  py::array view(py::dtype::of<std::int32_t>(), {J->height(), J->width()}, ids.data(), keep);
  view.attr("setflags")(py::arg("write") = false);
  return view;
}

}  // namespace

py::object wrap_jacobian(Jacobian jacobian) {
  return py::cast(std::make_shared<Jacobian>(std::move(jacobian)));
}

void bind_jacobian(py::module_& module) {
  py::class_<Jacobian, std::shared_ptr<Jacobian>>(module, "Jacobian")
      .def_property_readonly("height", &Jacobian::height)
      .def_property_readonly("width", &Jacobian::width)
      .def_property_readonly("channels", &Jacobian::channels)
      .def_property_readonly("parameters", &Jacobian::parameters)
      .def("dense", &dense)
      .def_property_readonly("on_device", &Jacobian::on_device)
      .def("dense_on_device", &Jacobian::dense_on_device, py::call_guard<WithoutGil, DriverCall>())
      .def("multiply", &multiply)
      .def("multiply_transposed", &multiply_transposed)
      .def("to_sparse", &to_sparse)
      .def("primitive_ids", &primitive_ids);
}

}  // namespace diffrt::bindings
