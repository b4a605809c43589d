#include <memory>
#include <optional>

#include "driver_call.hpp"
#include "fitting.hpp"
#include "foreign_array.hpp"
#include "image_memory.hpp"
#include "normal_matrix.hpp"
#include "turns.hpp"

namespace diffrt::bindings {

DoubleArray theta_of(const py::object& theta) {
  if (py::isinstance<py::array_t<double>>(theta))
    return py::reinterpret_borrow<DoubleArray>(DoubleArray::ensure(theta));
  const py::array any = py::array::ensure(theta);
  const char kind = any ? any.dtype().kind() : 'O';
  if (!any || (kind != 'f' && kind != 'i' && kind != 'u')) {
    PyErr_Clear();
    throw ArgumentError("theta: must be an array of real numbers");
  }
  return DoubleArray::ensure(any);
}

namespace {

using namespace pybind11::literals;

Matrix4 matrix_of(const DoubleArray& T) {
  Matrix4 result;
  if (T.size() != 16) throw ArgumentError("a pose must be 4 x 4");
  std::copy_n(T.data(), 16, result.begin());
  return result;
}

Vector3 vector_of(const DoubleArray& v) {
  if (v.size() != 3) throw ArgumentError("a vector must have 3 numbers");
  return {v.data()[0], v.data()[1], v.data()[2]};
}

PinholeCamera camera_of(const py::object& c) {
  return {c.attr("width").cast<int>(),
          c.attr("height").cast<int>(),
          c.attr("fx").cast<double>(),
          c.attr("fy").cast<double>(),
          c.attr("cx").cast<double>(),
          c.attr("cy").cast<double>(),
          matrix_of(c.attr("T_world_camera").cast<DoubleArray>())};
}

Shape shape_of(const py::object& s) {
  if (py::hasattr(s, "radius"))
    return Sphere{vector_of(s.attr("center").cast<DoubleArray>()), s.attr("radius").cast<double>()};
  if (py::hasattr(s, "normal"))
    return Plane{vector_of(s.attr("point").cast<DoubleArray>()),
                 vector_of(s.attr("normal").cast<DoubleArray>())};
  const auto vertices = s.attr("vertices").cast<DoubleArray>();
  const auto faces =
      s.attr("faces").cast<py::array_t<std::int32_t, py::array::c_style | py::array::forcecast>>();
  return Mesh{std::make_shared<const std::vector<double>>(vertices.data(), vertices.data() + vertices.size()),
              std::make_shared<const std::vector<std::int32_t>>(faces.data(), faces.data() + faces.size()),
              matrix_of(s.attr("T_world_mesh").cast<DoubleArray>())};
}

Scene scene_of(const py::object& scene) {
  Scene result;
  result.camera = camera_of(scene.attr("camera"));
  for (const auto& item : scene.attr("shapes").attr("items")()) {
    const auto pair = py::reinterpret_borrow<py::tuple>(item);
    result.shapes.emplace_back(pair[0].cast<std::string>(), shape_of(pair[1]));
  }
  return result;
}

py::array_t<double> matrix_array(const Matrix4& T) {
  py::array_t<double> result({4, 4});
  std::copy(T.begin(), T.end(), result.mutable_data());
  return result;
}

// The numbers of a scene as keyword arguments of Python's own values: {"camera": {...}, "ball": {...}}.
py::dict scene_numbers(const Scene& scene) {
  py::dict result;
  const PinholeCamera& c = scene.camera;
  result["camera"] = py::dict("fx"_a = c.fx, "fy"_a = c.fy, "cx"_a = c.cx, "cy"_a = c.cy,
                              "T_world_camera"_a = matrix_array(c.T_world_camera));
  for (const auto& [shape_name, shape] : scene.shapes) {
    py::dict numbers;
    if (const auto* sphere = std::get_if<Sphere>(&shape)) {
      numbers = py::dict("center"_a = sphere->center, "radius"_a = sphere->radius);
    } else if (const auto* plane = std::get_if<Plane>(&shape)) {
      numbers = py::dict("point"_a = plane->point, "normal"_a = plane->normal);
    } else {
      const Mesh& mesh = std::get<Mesh>(shape);
      py::array_t<double> vertices({static_cast<py::ssize_t>(mesh.vertices->size() / 3), py::ssize_t{3}});
      std::copy(mesh.vertices->begin(), mesh.vertices->end(), vertices.mutable_data());
      numbers = py::dict("vertices"_a = vertices, "T_world_mesh"_a = matrix_array(mesh.T_world_mesh));
    }
    result[shape_name.c_str()] = numbers;
  }
  return result;
}

// What is built in by its name, or a model.
using Named = std::variant<std::string, Model>;
using Rules = std::vector<std::pair<std::string, Named>>;  // by the shape's name

Shown output_of(const Named& output) {
  if (const Model* const model = std::get_if<Model>(&output)) return *model;
  const std::string& text = std::get<std::string>(output);
  std::string names;
  for (const Output output : {Output::distance, Output::depth, Output::mask, Output::normal, Output::shade}) {
    if (text == name(output)) return output;
    names += std::string(names.empty() ? "" : ", ") + name(output);
  }
  throw ArgumentError("output: unknown name '" + text + "'. Valid: " + names + ".");
}

Rule rule_of(const Named& rule) {
  if (const Model* const model = std::get_if<Model>(&rule)) return *model;
  const std::string& name = std::get<std::string>(rule);
  if (name == "blend") return BoundaryRule::blend;
  if (name == "foreground") return BoundaryRule::foreground;
  if (name == "none") return BoundaryRule::none;
  throw ArgumentError("rules: unknown rule '" + name + "'; choose from blend, foreground, none");
}

// A Renderer that one Python thread uses at a time: calls let go of the interpreter's lock while they
// compute. Nobody waits for that lock while it is his turn, nor for his turn while he has that lock.
class LockedRenderer {
 public:
  // It is this thread's turn, from construction on, or take().
  class Turn {
   public:
    explicit Turn(LockedRenderer& renderer) : renderer_(renderer) {
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
      const bool whole = renderer_.turns_.take(waiting);
      taken_ = true;
      if (renderer_.on_gpu_ && !DriverCall::begin()) {
        taken_ = false;
        renderer_.turns_.give();
        stop_for_good();
      }
      renderer_.whole_ = renderer_.whole_ && whole;
      if (renderer_.whole_) return;
      try {
        renderer_.make_anew();
      } catch (...) {
        give();
        throw;
      }
    }
    void give() {
      taken_ = false;
      if (renderer_.on_gpu_) DriverCall::end();
      renderer_.turns_.give();
    }

   private:
    LockedRenderer& renderer_;
    bool taken_ = false;
  };

  LockedRenderer(const py::object& scene, std::vector<std::string> free, const std::vector<Named>& outputs,
                 std::vector<std::optional<double>> background, bool exact, const Rules& rules,
                 std::string device, int threads, std::size_t dense_limit)
      : renderer_(make(scene, std::move(free), outputs, std::move(background), exact, rules,
                       std::move(device), threads)),
        dense_limit_(dense_limit) {}

  ~LockedRenderer() {
    if (!whole_ || turns_.left_behind()) leave();
  }
  LockedRenderer(const LockedRenderer&) = delete;
  LockedRenderer& operator=(const LockedRenderer&) = delete;

  Renderer& get() { return renderer_; }

  // Runs without the interpreter's lock, alone in this renderer.
  template <class F>
  auto alone(F&& function) {
    const WithoutGil without;
    const Turn turn(*this);
    return function(renderer_);
  }

  py::array_t<float> new_image() {
    const PinholeCamera& camera = renderer_.scene().camera;
    std::vector<py::ssize_t> shape = {camera.height, camera.width};
    if (renderer_.channels() > 1) shape.push_back(renderer_.channels());
    ImageMemory image = images_->take();
    if (image == nullptr)
      image = new_memory(renderer_.pixels() * static_cast<std::size_t>(renderer_.channels()));
    float* data = image.get();
    return images_->array(std::move(image), data, std::move(shape));
  }

  const std::shared_ptr<MemoryPool<SparseMatrix>>& matrices() const { return matrices_; }
  std::size_t dense_limit() const { return dense_limit_; }

 private:
  static Renderer make(const py::object& scene, std::vector<std::string> free,
                       const std::vector<Named>& outputs, std::vector<std::optional<double>> background,
                       bool exact, const Rules& rules, std::string device, int threads) {
    RendererOptions options;
    options.free = std::move(free);
    options.outputs.clear();
    for (const Named& output : outputs) options.outputs.push_back(output_of(output));
    options.background = std::move(background);
    options.boundary = exact ? Boundary::exact : Boundary::none;
    for (const auto& [shape, rule] : rules) options.rules.emplace_back(shape, rule_of(rule));
    options.device = std::move(device);
    options.threads = threads;
    options.dense_limit = 0;  // what is dense is made of what is sparse, where it is asked for
    Scene values = scene_of(scene);
    const WithoutGil without;
    const DriverCall call;
    return Renderer(std::move(values), std::move(options));
  }

  // After a fork() during another thread's call: what that call was changing stays as it is.
  void leave() { new Renderer(std::move(renderer_)); }
  void make_anew() {
    Renderer fresh(renderer_.scene(), renderer_.options());
    leave();
    renderer_ = std::move(fresh);
    whole_ = true;
  }

  Renderer renderer_;
  const bool on_gpu_ = renderer_.device() != "cpu";
  Turns turns_;
  bool whole_ = true;
  const std::shared_ptr<MemoryPool<ImageMemory>> images_ = std::make_shared<MemoryPool<ImageMemory>>();
  const std::shared_ptr<MemoryPool<SparseMatrix>> matrices_ = std::make_shared<MemoryPool<SparseMatrix>>();
  const std::size_t dense_limit_;
};

Span<float> span_of(py::array_t<float>& image) {
  return {image.mutable_data(), static_cast<std::size_t>(image.size())};
}

py::array_t<float> render(LockedRenderer& self, const py::object& theta) {
  const DoubleArray values = theta_of(theta);
  py::array_t<float> image = self.new_image();
  const Span<float> out = span_of(image);
  const Span<const double> in = bindings::span_of(values);
  self.alone([&](Renderer& renderer) { renderer.render(in, out); });
  return image;
}

py::tuple jacobian(LockedRenderer& self, const py::object& theta) {
  const DoubleArray values = theta_of(theta);
  py::array_t<float> image = self.new_image();
  const Span<float> out = span_of(image);
  const Span<const double> in = bindings::span_of(values);
  Jacobian J = self.alone([&](Renderer& renderer) { return renderer.jacobian(in, out); });
  return py::make_tuple(image, wrap_jacobian(std::move(J)));
}

DeviceArray render_on_device(LockedRenderer& self, const py::object& theta) {
  const DoubleArray values = theta_of(theta);
  const Span<const double> in = bindings::span_of(values);
  return self.alone([&](Renderer& renderer) { return renderer.render_on_device(in); });
}

py::tuple jacobian_on_device(LockedRenderer& self, const py::object& theta) {
  const DoubleArray values = theta_of(theta);
  const Span<const double> in = bindings::span_of(values);
  DeviceArray image;
  Jacobian J = self.alone([&](Renderer& renderer) { return renderer.jacobian_on_device(in, &image); });
  return py::make_tuple(std::move(image), wrap_jacobian(std::move(J)));
}

py::tuple normal_equations(LockedRenderer& self, const py::object& theta, const py::object& observed,
                           const py::object& weights, const LossArgument& loss) {
  const DoubleArray values = theta_of(theta);
  const Span<const double> in = bindings::span_of(values);
  const Observation observation = observation_of(self.get(), observed, weights);
  NormalEquations result;
  result.H_sparse = self.matrices()->take();
  self.alone([&](Renderer& renderer) { renderer.normal_equations(in, observation, loss_of(loss), result); });
  const auto P = static_cast<py::ssize_t>(result.g.size());
  return py::make_tuple(wrap_matrix(std::move(result.H_sparse), self.dense_limit(), self.matrices()),
                        to_array(std::move(result.g), {P}), result.cost, result.count);
}

py::tuple cost(LockedRenderer& self, const py::object& theta, const py::object& observed,
               const py::object& weights, const LossArgument& loss) {
  const DoubleArray values = theta_of(theta);
  const Span<const double> in = bindings::span_of(values);
  const Observation observation = observation_of(self.get(), observed, weights);
  NormalEquations result;
  self.alone([&](Renderer& renderer) { renderer.cost(in, observation, loss_of(loss), result); });
  return py::make_tuple(result.cost, result.count);
}

py::dict fit_image(LockedRenderer& self, const py::object& observed, const py::object& weights,
                   const LossArgument& loss, const py::object& theta0, bool gauss_newton,
                   std::size_t max_steps, double gradient_tolerance, double step_tolerance,
                   double cost_tolerance, double initial_damping,
                   const std::tuple<DoubleArray, DoubleArray, DoubleArray>& priors, const DoubleArray& lower,
                   const DoubleArray& upper, const py::object& callback, int levels, bool uncertainty,
                   std::size_t dense_limit) {
  const DoubleArray values = theta_of(theta0);
  const Span<const double> in = bindings::span_of(values);
  const Observation observation = observation_of(self.get(), observed, weights);
  SolveOptions options =
      solve_options(gauss_newton, max_steps, gradient_tolerance, step_tolerance, cost_tolerance,
                    initial_damping, priors, lower, upper, uncertainty, dense_limit);
  const Loss robust = loss_of(loss);
  return result_dict([&] {
    const WithoutGil without;
    LockedRenderer::Turn turn(self);
    options.callback = [&](const StepRecord& record, Span<const double> theta) {
      turn.give();  // the callback may render, and so may other threads
      const bool goes_on = between_steps(callback, record, theta);
      turn.take([] {});
      return goes_on;
    };
    return fit(self.get(), observation, in, robust, options, levels);
  }());
}

py::list blocks(LockedRenderer& self) {
  py::list result;
  for (const ParameterBlock& block : self.get().blocks())
    result.append(py::make_tuple(block.name, block.offset, block.size, block.is_pose));
  return result;
}

}  // namespace

void bind_renderer(py::module_& module) {
  py::class_<LockedRenderer>(module, "Renderer")
      .def(py::init<const py::object&, std::vector<std::string>, const std::vector<Named>&,
                    std::vector<std::optional<double>>, bool, const Rules&, std::string, int, std::size_t>(),
           "scene"_a, "free"_a, "outputs"_a, "background"_a, "exact"_a, "rules"_a, "device"_a, "threads"_a,
           "dense_limit"_a)
      .def("render", &render)
      .def("jacobian", &jacobian)
      .def("render_on_device", &render_on_device)
      .def("jacobian_on_device", &jacobian_on_device)
      .def("use_stream",
           [](LockedRenderer& self, std::uintptr_t stream) {
             self.alone([&](Renderer& renderer) { renderer.use_stream(stream); });
           })
      .def("wait_for",
           [](LockedRenderer& self, std::uintptr_t stream) {
             self.alone([&](Renderer& renderer) { renderer.wait_for(stream); });
           })
      .def_property_readonly("stream", [](LockedRenderer& self) { return self.get().stream(); })
      .def("normal_equations", &normal_equations)
      .def("cost", &cost)
      .def("fit", &fit_image)
      .def("scene_numbers",
           [](LockedRenderer& self, const py::object& theta) {
             const DoubleArray values = theta_of(theta);
             return scene_numbers(self.get().scene_at(bindings::span_of(values)));
           })
      .def("extent",
           [](LockedRenderer& self, const py::object& theta) {
             const DoubleArray values = theta_of(theta);
             const Extent extent = self.get().extent(bindings::span_of(values));
             return py::make_tuple(extent.near, extent.far, extent.around_camera);
           })
      .def("blocks", &blocks)
      .def_property_readonly("theta0",
                             [](LockedRenderer& self) { return std::vector<double>(self.get().theta0()); })
      .def_property_readonly("channels", [](LockedRenderer& self) { return self.get().channels(); })
      .def_property_readonly("device", [](LockedRenderer& self) { return self.get().device(); })
      .def_property_readonly("threads", [](LockedRenderer& self) { return self.get().threads(); })
      .def_property_readonly("degenerate_triangles",
                             [](LockedRenderer& self) { return self.get().degenerate_triangles(); })
      .def_property_readonly("warnings", [](LockedRenderer& self) { return self.get().warnings(); });
  module.def("status_message", [](const std::string& status) {
    for (int k = 0; k < status_count; ++k) {
      if (status == name(static_cast<Status>(k))) return std::string(message(static_cast<Status>(k)));
    }
    throw ArgumentError("status: unknown name '" + status + "'");
  });
}

}  // namespace diffrt::bindings
