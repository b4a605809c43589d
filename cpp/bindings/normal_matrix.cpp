#include "normal_matrix.hpp"

#include "memory.hpp"
#include "sparse.hpp"

namespace diffrt::bindings {
namespace {

class NormalMatrix {
 public:
  NormalMatrix(SparseMatrix matrix, std::size_t dense_limit, std::weak_ptr<MemoryPool<SparseMatrix>> pool)
      : matrix_(std::move(matrix)), dense_limit_(dense_limit), pool_(std::move(pool)) {}
  ~NormalMatrix() {
    if (const auto pool = pool_.lock()) pool->put(std::move(matrix_));
  }
  NormalMatrix(const NormalMatrix&) = delete;
  NormalMatrix& operator=(const NormalMatrix&) = delete;

  const SparseMatrix& matrix() const { return matrix_; }
  std::size_t dense_limit() const { return dense_limit_; }

  // Kept once it was asked for.
  py::object dense() {
    if (!dense_.is_none()) return dense_;
    const std::size_t P = matrix_.rows();
    if (P > dense_limit_) {
      throw ArgumentError("H: has no dense form, as there are " + std::to_string(P) +
                          " parameters and dense_limit is " + std::to_string(dense_limit_) +
                          ". It would take " + megabytes(P * P * sizeof(double)) +
                          "; use H_sparse, or Renderer(..., dense_limit=" + std::to_string(P) + ")");
    }
    std::vector<double> values;
    resize(values, P * P, "a dense H");
    to_dense(matrix_, values);
    dense_ = to_array(std::move(values), {static_cast<py::ssize_t>(P), static_cast<py::ssize_t>(P)});
    return dense_;
  }

 private:
  SparseMatrix matrix_;
  std::size_t dense_limit_;
  std::weak_ptr<MemoryPool<SparseMatrix>> pool_;
  py::object dense_ = py::none();
};

// Read-only, and alive as long as the array is.
template <class T>
py::array view(const py::object& self, const std::vector<T>& numbers) {
  const py::array_t<T> array(static_cast<py::ssize_t>(numbers.size()), numbers.data(), self);
  array.attr("setflags")(py::arg("write") = false);
  return array;
}

const SparseMatrix& matrix_of(const py::object& self) { return self.cast<const NormalMatrix&>().matrix(); }

template <class T>
std::vector<T> numbers_of(const py::handle& given) {
  const auto array = py::array_t<T, py::array::c_style | py::array::forcecast>::ensure(given);
  return {array.data(), array.data() + array.size()};
}

}  // namespace

py::object wrap_matrix(SparseMatrix matrix, std::size_t dense_limit,
                       const std::shared_ptr<MemoryPool<SparseMatrix>>& pool) {
  return py::cast(std::make_unique<NormalMatrix>(std::move(matrix), dense_limit, pool));
}

void bind_normal_matrix(py::module_& module) {
  py::class_<NormalMatrix>(module, "NormalMatrix",
                           "A symmetric sparse matrix by compressed rows, which are its columns, too.")
      .def_property_readonly("row_starts",
                             [](const py::object& self) { return view(self, matrix_of(self).row_starts); })
      .def_property_readonly("columns",
                             [](const py::object& self) { return view(self, matrix_of(self).columns); })
      .def_property_readonly("values",
                             [](const py::object& self) { return view(self, matrix_of(self).values); })
      .def_property_readonly("dense_limit", &NormalMatrix::dense_limit)
      .def("dense", &NormalMatrix::dense)
      .def("__eq__",
           [](const NormalMatrix& a, const py::object& other) {
             if (!py::isinstance<NormalMatrix>(other)) return false;
             const SparseMatrix &x = a.matrix(), &y = matrix_of(other);
             return x.row_starts == y.row_starts && x.columns == y.columns && x.values == y.values;
           })
      .def(py::pickle(
          [](const py::object& self) {
            const SparseMatrix& M = matrix_of(self);
            return py::make_tuple(view(self, M.row_starts), view(self, M.columns), view(self, M.values),
                                  self.cast<const NormalMatrix&>().dense_limit());
          },
          [](const py::tuple& state) {
            return std::make_unique<NormalMatrix>(
                SparseMatrix{numbers_of<std::int64_t>(state[0]), numbers_of<std::int32_t>(state[1]),
                             numbers_of<double>(state[2])},
                state[3].cast<std::size_t>(), std::weak_ptr<MemoryPool<SparseMatrix>>());
          }))
      .attr("__module__") = "diffrt_aot._core";
}

}  // namespace diffrt::bindings
