// Compiled models with their data.
#include "driver_call.hpp"
#include "fitting.hpp"
#include "image_memory.hpp"
#include "memory.hpp"
#include "normal_matrix.hpp"
#include "turns.hpp"

namespace diffrt::bindings {
namespace {

using namespace pybind11::literals;

// Of a contiguous array of one of the four types.
ModelArray model_array(const std::string& name, const py::array& array) {
  const char kind = array.dtype().kind();
  const bool wide = array.itemsize() == 8;
  if ((kind != 'f' && kind != 'i') || (!wide && array.itemsize() != 4) ||
      (array.flags() & py::array::c_style) == 0)
    throw ArgumentError(name + ": must be a contiguous array of float32, float64, int32 or int64");
  using Type = ModelArray::Type;
  const Type type = kind == 'f' ? (wide ? Type::float64 : Type::float32) : (wide ? Type::int64 : Type::int32);
  return {array.data(),
          type,
          static_cast<std::size_t>(array.size()),
          {array.shape(), array.shape() + array.ndim()}};
}

// A BoundModel that one Python thread uses at a time, as LockedRenderer.
class LockedModel {
 public:
  class Turn {
   public:
    explicit Turn(LockedModel& model) : model_(model) {
      take([] {
        const WithGil with;
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      });
    }
    ~Turn() {
      if (taken_) give();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    template <class F>
    void take(F&& waiting) {
      const bool whole = model_.turns_.take(waiting);
      taken_ = true;
      model_.whole_ = model_.whole_ && whole;
      if (model_.whole_) return;
      give();
      throw ArgumentError(model_.name_ +
                          ": another thread was using this bound model when the process was forked; bind the "
                          "model anew in the child");
    }
    void give() {
      taken_ = false;
      model_.turns_.give();
    }

   private:
    LockedModel& model_;
    bool taken_ = false;
  };

  LockedModel(const Model& model, const std::vector<std::size_t>& shape, const py::dict& arrays,
              const std::vector<std::pair<std::string, std::size_t>>& rows, const std::string& device,
              int threads, std::size_t dense_limit)
      : name_(model.name()),
        model_(bind(model, shape, arrays, rows, device, threads)),
        dense_limit_(dense_limit) {}
  ~LockedModel() {
    if (!whole_ || turns_.left_behind()) new BoundModel(std::move(model_));  // stays as it is
  }
  LockedModel(const LockedModel&) = delete;
  LockedModel& operator=(const LockedModel&) = delete;

  BoundModel& get() { return model_; }
  const std::shared_ptr<MemoryPool<SparseMatrix>>& matrices() const { return matrices_; }
  std::size_t dense_limit() const { return dense_limit_; }

  // Runs without the interpreter's lock, alone in this model.
  template <class F>
  auto alone(F&& function) {
    const WithoutGil without;
    const Turn turn(*this);
    return function(model_);
  }

  py::array_t<float> new_values() {
    ImageMemory values = values_->take();
    if (values == nullptr) values = new_memory(std::max(model_.values(), std::size_t{1}));
    float* data = values.get();
    return values_->array(std::move(values), data, {model_.height(), model_.width(), model_.channels()});
  }

 private:
  static BoundModel bind(const Model& model, const std::vector<std::size_t>& shape, const py::dict& arrays,
                         const std::vector<std::pair<std::string, std::size_t>>& rows,
                         const std::string& device, int threads) {
    ModelData data(shape);
    for (const auto& [name, array] : arrays) {
      const auto text = name.cast<std::string>();
      data.set(text, model_array(text, py::reinterpret_borrow<py::array>(array)));
    }
    for (const auto& [name, count] : rows) data.set_rows(name, count);
    ModelOptions options;
    options.device = device, options.threads = threads;
    options.dense_limit = 0;  // what is dense is made of what is sparse, where it is asked for
    const WithoutGil without;
    return BoundModel(model, data, options);
  }

  const std::string name_;
  BoundModel model_;
  Turns turns_;
  bool whole_ = true;
  const std::shared_ptr<MemoryPool<ImageMemory>> values_ = std::make_shared<MemoryPool<ImageMemory>>();
  const std::shared_ptr<MemoryPool<SparseMatrix>> matrices_ = std::make_shared<MemoryPool<SparseMatrix>>();
  const std::size_t dense_limit_;
};

Span<float> numbers_of(py::array_t<float>& array) {
  return {array.mutable_data(), static_cast<std::size_t>(array.size())};
}

// [H, W, C] of float32 or float64, of any strides; one channel stands for all.
ImageView view_of(const py::object& object) {
  if (object.is_none()) return {};
  const auto array = py::reinterpret_borrow<py::array>(object);
  const auto channels = static_cast<int>(array.shape(2));
  return {array.data(),
          array.itemsize() == 8,
          static_cast<int>(array.shape(0)),
          static_cast<int>(array.shape(1)),
          channels,
          array.strides(0),
          array.strides(1),
          channels == 1 ? 0 : array.strides(2),
          false};
}

py::array_t<float> value(LockedModel& self, const DoubleArray& theta) {
  py::array_t<float> values = self.new_values();
  const Span<float> out = numbers_of(values);
  self.alone([&](BoundModel& model) { model.value(span_of(theta), out); });
  return values;
}

py::tuple jacobian_of_model(LockedModel& self, const DoubleArray& theta) {
  py::array_t<float> values = self.new_values();
  const Span<float> out = numbers_of(values);
  Jacobian J = self.alone([&](BoundModel& model) { return model.jacobian(span_of(theta), out); });
  return py::make_tuple(values, wrap_jacobian(std::move(J)));
}

// seeds: [P, K].
py::tuple multiply_model(LockedModel& self, const DoubleArray& theta, const DoubleArray& seeds) {
  py::array_t<float> values = self.new_values();
  const Span<float> out = numbers_of(values);
  const BoundModel& model = self.get();
  const py::ssize_t K = seeds.shape(1);
  std::vector<double> products;
  resize(products, model.values() * static_cast<std::size_t>(K), "J @ seeds");
  self.alone([&](BoundModel& m) { m.multiply(span_of(theta), span_of(seeds), out, products); });
  return py::make_tuple(values,
                        to_array(std::move(products), {model.height(), model.width(), model.channels(), K}));
}

py::tuple multiply_model_transposed(LockedModel& self, const DoubleArray& theta, const DoubleArray& w) {
  py::array_t<float> values = self.new_values();
  const Span<float> out = numbers_of(values);
  std::vector<double> product(self.get().parameters());
  self.alone([&](BoundModel& m) { m.multiply_transposed(span_of(theta), span_of(w), out, product); });
  const auto P = static_cast<py::ssize_t>(product.size());
  return py::make_tuple(values, to_array(std::move(product), {P}));
}

py::tuple normal_equations_of_model(LockedModel& self, const DoubleArray& theta, const py::object& observed,
                                    const py::object& weights, const LossArgument& loss) {
  const Observation observation{view_of(observed), view_of(weights)};
  NormalEquations result;
  result.H_sparse = self.matrices()->take();
  self.alone(
      [&](BoundModel& model) { model.normal_equations(span_of(theta), observation, loss_of(loss), result); });
  const auto P = static_cast<py::ssize_t>(result.g.size());
  return py::make_tuple(wrap_matrix(std::move(result.H_sparse), self.dense_limit(), self.matrices()),
                        to_array(std::move(result.g), {P}), result.cost, result.count);
}

py::tuple cost_of_model(LockedModel& self, const DoubleArray& theta, const py::object& observed,
                        const py::object& weights, const LossArgument& loss) {
  const Observation observation{view_of(observed), view_of(weights)};
  NormalEquations result;
  self.alone([&](BoundModel& model) { model.cost(span_of(theta), observation, loss_of(loss), result); });
  return py::make_tuple(result.cost, result.count);
}

py::dict fit_model(LockedModel& self, const py::object& observed, const py::object& weights,
                   const LossArgument& loss, const DoubleArray& theta0, bool gauss_newton,
                   std::size_t max_steps, double gradient_tolerance, double step_tolerance,
                   double cost_tolerance, double initial_damping,
                   const std::tuple<DoubleArray, DoubleArray, DoubleArray>& priors, const DoubleArray& lower,
                   const DoubleArray& upper, const py::object& callback, bool uncertainty,
                   std::size_t dense_limit) {
  const Observation observation{view_of(observed), view_of(weights)};
  SolveOptions options =
      solve_options(gauss_newton, max_steps, gradient_tolerance, step_tolerance, cost_tolerance,
                    initial_damping, priors, lower, upper, uncertainty, dense_limit);
  const Loss robust = loss_of(loss);
  return result_dict([&] {
    const WithoutGil without;
    LockedModel::Turn turn(self);
    options.callback = [&](const StepRecord& record, Span<const double> theta) {
      turn.give();  // the callback may use the model, and so may other threads
      const bool goes_on = between_steps(callback, record, theta);
      turn.take([] {});
      return goes_on;
    };
    return fit(self.get(), observation, span_of(theta0), robust, options);
  }());
}

py::list blocks_of_model(LockedModel& self) {
  py::list result;
  for (const ParameterBlock& block : self.get().blocks())
    result.append(py::make_tuple(block.name, block.offset, block.size, block.is_pose));
  return result;
}

}  // namespace

void bind_model(py::module_& module) {
  py::class_<LockedModel>(module, "BoundModel")
      .def(py::init<const Model&, const std::vector<std::size_t>&, const py::dict&,
                    const std::vector<std::pair<std::string, std::size_t>>&, const std::string&, int,
                    std::size_t>(),
           "model"_a, "shape"_a, "arrays"_a, "rows"_a, "device"_a, "threads"_a, "dense_limit"_a)
      .def("value", &value)
      .def("jacobian", &jacobian_of_model)
      .def("multiply", &multiply_model)
      .def("multiply_transposed", &multiply_model_transposed)
      .def("normal_equations", &normal_equations_of_model)
      .def("cost", &cost_of_model)
      .def("fit", &fit_model)
      .def("blocks", &blocks_of_model)
      .def_property_readonly("shape",
                             [](LockedModel& self) {
                               const BoundModel& model = self.get();
                               return py::make_tuple(model.height(), model.width(), model.channels());
                             })
      .def_property_readonly("domain_axes", [](LockedModel& self) { return self.get().is_image() ? 2 : 1; })
      .def_property_readonly("device", [](LockedModel& self) { return self.get().device(); })
      .def_property_readonly("dense_limit", [](LockedModel& self) { return self.dense_limit(); })
      .def_property_readonly("threads", [](LockedModel& self) { return self.get().threads(); });
}

}  // namespace diffrt::bindings
