#include "diffrt/uncertainty.hpp"

#include "bindings.hpp"
#include "gil.hpp"

namespace diffrt::bindings {

py::array index_array(const std::vector<std::int64_t>& row_starts) {
  const auto rows = static_cast<py::ssize_t>(row_starts.size());
  if (row_starts.empty() || row_starts.back() < (std::int64_t{1} << 31))
    return to_array(std::vector<std::int32_t>(row_starts.begin(), row_starts.end()), {rows});
  return py::array_t<std::int64_t>(rows, row_starts.data());
}

py::tuple sparse_arrays(const SparseMatrix& matrix) {
  const auto entries = static_cast<py::ssize_t>(matrix.values.size());
  return py::make_tuple(index_array(matrix.row_starts),
                        py::array_t<std::int32_t>(entries, matrix.columns.data()),
                        py::array_t<double>(entries, matrix.values.data()));
}

namespace {

template <class F>
auto computed(F&& function) {
  const WithoutGil without;
  return function();
}

py::array_t<double> array_of(std::vector<double> numbers) {
  const auto size = static_cast<py::ssize_t>(numbers.size());
  return to_array(std::move(numbers), {size});
}

}  // namespace

void bind_uncertainty(py::module_& module) {
  py::class_<Uncertainty, std::shared_ptr<Uncertainty>>(module, "Uncertainty")
      .def("rank", [](const Uncertainty& self) { return computed([&] { return self.rank(); }); })
      .def("null_directions",
           [](const Uncertainty& self) {
             return sparse_arrays(computed([&] { return self.null_directions(); }));
           })
      .def("residual_variance",
           [](const Uncertainty& self) { return computed([&] { return self.residual_variance(); }); })
      .def("standard_deviations",
           [](const Uncertainty& self, bool sandwich) {
             return array_of(computed([&] {
               return sandwich ? self.standard_deviations_sandwich() : self.standard_deviations();
             }));
           })
      .def("covariance", [](const Uncertainty& self, bool sandwich) {
        return array_of(computed([&] { return sandwich ? self.covariance_sandwich() : self.covariance(); }));
      });
}

}  // namespace diffrt::bindings
