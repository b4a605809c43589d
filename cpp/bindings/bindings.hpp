// What the topics of the extension share.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "diffrt/diffrt.hpp"
#include "gil.hpp"

namespace diffrt::bindings {

namespace py = pybind11;

void bind_device_array(py::module_& module);
void bind_errors(py::module_& module);
void bind_foreign_array(py::module_& module);
void bind_info(py::module_& module);
void bind_jacobian(py::module_& module);
void bind_model(py::module_& module);
void bind_model_file(py::module_& module);
void bind_normal_matrix(py::module_& module);
void bind_renderer(py::module_& module);
void bind_uncertainty(py::module_& module);

// scipy wants both index arrays of one type; int32 where it suffices.
py::array index_array(const std::vector<std::int64_t>& row_starts);
// (row_starts, columns, values)
py::tuple sparse_arrays(const SparseMatrix& matrix);

// Arrays that C++ may read as they are.
using DoubleArray = py::array_t<double, py::array::c_style | py::array::forcecast>;

inline Span<const double> span_of(const DoubleArray& array) {
  return {array.data(), static_cast<std::size_t>(array.size())};
}

// A vector becomes an array's memory, not a copy.
template <class T>
py::array_t<T> to_array(std::vector<T>&& values, std::vector<py::ssize_t> shape) {
  auto* owned = new std::vector<T>(std::move(values));
  const py::capsule keep(owned, [](void* p) { delete static_cast<std::vector<T>*>(p); });
  return py::array_t<T>(std::move(shape), owned->data(), keep);
}

// Python's wrapper of a Jacobian with its image.
py::object wrap_jacobian(Jacobian jacobian);

// theta as C++ wants it. Wrong kinds of numbers are refused; wrong lengths are the library's to refuse.
DoubleArray theta_of(const py::object& theta);

}  // namespace diffrt::bindings
