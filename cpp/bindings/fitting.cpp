#include "fitting.hpp"

#include "driver_call.hpp"

namespace diffrt::bindings {

using namespace pybind11::literals;

Loss loss_of(const LossArgument& loss) {
  if (const Model* const model = std::get_if<Model>(&loss)) return model_loss(*model);
  const auto& [kind, scale, alpha] = std::get<0>(loss);
  return {static_cast<Loss::Kind>(kind), scale, alpha};
}

SolveOptions solve_options(bool gauss_newton, std::size_t max_steps, double gradient_tolerance,
                           double step_tolerance, double cost_tolerance, double initial_damping,
                           const std::tuple<DoubleArray, DoubleArray, DoubleArray>& priors,
                           const DoubleArray& lower, const DoubleArray& upper, bool uncertainty,
                           std::size_t dense_limit) {
  SolveOptions options;
  options.method = gauss_newton ? Method::gauss_newton : Method::levenberg_marquardt;
  options.max_steps = max_steps;
  options.gradient_tolerance = gradient_tolerance;
  options.step_tolerance = step_tolerance;
  options.cost_tolerance = cost_tolerance;
  options.initial_damping = initial_damping;
  const auto& [indices, means, sigmas] = priors;
  for (py::ssize_t k = 0; k < indices.size(); ++k)
    options.priors.push_back(
        {static_cast<std::size_t>(indices.data()[k]), means.data()[k], sigmas.data()[k]});
  options.lower.assign(lower.data(), lower.data() + lower.size());
  options.upper.assign(upper.data(), upper.data() + upper.size());
  options.uncertainty = uncertainty;
  options.deferred = true;
  options.dense_limit = dense_limit;
  return options;
}

bool between_steps(const py::object& callback, const StepRecord& record, Span<const double> theta) {
  const WithGil with;
  try {
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (callback.is_none()) return true;
    const py::array_t<double> best(static_cast<py::ssize_t>(theta.size()), theta.data());
    const py::tuple arguments =
        py::make_tuple(record.step, record.cost, record.count, record.gradient_norm, record.step_norm,
                       record.lambda, record.gain_ratio, record.accepted, record.seconds, record.level, best);
    PyObject* const given =
        stopping_at_exit([&] { return PyObject_CallObject(callback.ptr(), arguments.ptr()); });
    if (given == nullptr) throw py::error_already_set();
    const auto answer = py::reinterpret_steal<py::object>(given);
    return answer.is_none() || answer.cast<bool>();
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_KeyboardInterrupt)) throw;
    return false;
  }
}

py::dict result_dict(SolveResult&& result) {
  const auto P = static_cast<py::ssize_t>(result.theta.size());
  py::list history;
  for (const StepRecord& r : result.history) {
    history.append(py::make_tuple(r.step, r.cost, r.count, r.gradient_norm, r.step_norm, r.lambda,
                                  r.gain_ratio, r.accepted, r.seconds, r.level));
  }
  return py::dict("theta"_a = to_array(std::move(result.theta), {P}), "cost"_a = result.cost,
                  "data_cost"_a = result.data_cost, "count"_a = result.count,
                  "status"_a = name(result.status), "steps"_a = result.steps, "history"_a = history,
                  "H"_a = sparse_arrays(result.H_sparse), "held"_a = result.held,
                  "uncertainty"_a = std::const_pointer_cast<Uncertainty>(result.uncertainty),
                  "unseen"_a = result.unseen);
}

}  // namespace diffrt::bindings
