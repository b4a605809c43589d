// Files of compiled models.
#include "bindings.hpp"

namespace diffrt::bindings {
namespace {

using Bytes = Span<const unsigned char>;

Bytes span_of(const std::string_view& bytes) {
  return {reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()};
}

Module load(const py::bytes& path) {
  const std::string name = path;
  const WithoutGil without;
  return Module::load(name);
}

Module from_bytes(const py::bytes& bytes, const std::string& name) {
  const auto view = static_cast<std::string_view>(bytes);  // nobody can change it
  const WithoutGil without;
  return Module::from_bytes(span_of(view), name);
}

py::bytes bytes_of(const Module& module) {
  const Bytes bytes = module.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

py::list arguments_of(const Model& model) {
  py::list arguments;
  for (const ModelArgument& a : model.arguments())
    arguments.append(py::make_tuple(a.name, a.kind, py::tuple(py::cast(a.shape))));
  return arguments;
}

}  // namespace

void bind_model_file(py::module_& module) {
  py::class_<Model>(module, "Model")
      .def_property_readonly("name", &Model::name)
      .def_property_readonly("arguments", &arguments_of)
      .def("with_constants", &Model::with_constants)
      .def("loss_weights",
           [](const Model& m, const py::array_t<float, py::array::c_style | py::array::forcecast>& squared) {
             const auto size = static_cast<std::size_t>(squared.size());
             py::array_t<float> weights(squared.size());
             model_weights(model_loss(m), {squared.data(), size}, {weights.mutable_data(), size});
             return weights;
           })
      .def_property_readonly("constants",
                             [](const Model& m) {
                               py::dict constants;
                               for (const auto& [name, numbers] : m.constants())
                                 constants[name.c_str()] = numbers;
                               return constants;
                             })
      .def_property_readonly("output_shape",
                             [](const Model& m) { return py::tuple(py::cast(m.output_shape())); });
  py::class_<Module>(module, "Module")
      .def_static("load", &load)
      .def_static("from_bytes", &from_bytes)
      .def_property_readonly("model_names", &Module::model_names)
      .def("model", &Module::model)
      .def_property_readonly("producer", &Module::producer)
      .def_property_readonly("targets", &Module::targets)
      .def_property_readonly("target", &Module::target)
      .def("bytes", &bytes_of);
}

}  // namespace diffrt::bindings
