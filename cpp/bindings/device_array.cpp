// Results that stay on a GPU, and how they are handed to other libraries.
#include "bindings.hpp"
#include "dlpack.hpp"
#include "driver_call.hpp"

namespace diffrt::bindings {
namespace {

// What a consumer holds. Let go from any thread, with or without the interpreter.
template <class Managed>
struct Export {
  DeviceArray array;
  std::vector<std::int64_t> shape, strides;
  Managed managed{};
};

template <class Managed>
void release(Managed* managed) {
  delete static_cast<Export<Managed>*>(managed->context);
}

template <class Managed>
Managed* export_array(const DeviceArray& array) {
  auto* made = new Export<Managed>{array, array.shape(), array.strides()};
  Managed& managed = made->managed;
  managed.context = made;
  managed.deleter = &release<Managed>;
  managed.tensor = {reinterpret_cast<void*>(array.address()),
                    {dlpack::kDLCUDA, array.device_index()},
                    static_cast<std::int32_t>(made->shape.size()),
                    {dlpack::kDLFloat, 32, 1},
                    made->shape.data(),
                    made->strides.data(),
                    0};
  return &managed;
}

// A capsule that nobody has taken over lets go itself.
template <class Managed>
py::object capsule_of(Managed* managed) {
  PyObject* capsule = PyCapsule_New(managed, Managed::name, [](PyObject* object) {
    if (!PyCapsule_IsValid(object, Managed::name)) return;
    auto* left = static_cast<Managed*>(PyCapsule_GetPointer(object, Managed::name));
    left->deleter(left);
  });
  if (capsule == nullptr) {
    managed->deleter(managed);
    throw py::error_already_set();
  }
  return py::reinterpret_steal<py::object>(capsule);
}

py::object to_dlpack(const DeviceArray& array, bool versioned, bool copied) {
  if (!versioned) return capsule_of(export_array<dlpack::ManagedTensor>(array));
  auto* managed = export_array<dlpack::ManagedTensorVersioned>(array);
  managed->major = 1, managed->minor = 0;
  managed->flags = copied ? dlpack::flag_copied : 0;
  return capsule_of(managed);
}

py::array to_numpy(const DeviceArray& array) {
  auto* owned = new std::vector<float>(array.size());
  const py::capsule keep(owned, [](void* p) { delete static_cast<std::vector<float>*>(p); });
  {
    const WithoutGil without;
    const DriverCall call;
    array.fetch(*owned);
  }
  std::vector<py::ssize_t> shape(array.shape().begin(), array.shape().end()), strides;
  for (const std::int64_t stride : array.strides())
    strides.push_back(static_cast<py::ssize_t>(stride) * static_cast<py::ssize_t>(sizeof(float)));
  return py::array(py::dtype::of<float>(), shape, strides, owned->data(), keep);
}

DeviceArray copy(const DeviceArray& array) {
  const WithoutGil without;
  const DriverCall call;
  return array.copy();
}

}  // namespace

void bind_device_array(py::module_& module) {
  py::class_<DeviceArray>(module, "DeviceArray")
      .def_property_readonly("shape", [](const DeviceArray& a) { return py::tuple(py::cast(a.shape())); })
      .def_property_readonly("strides", [](const DeviceArray& a) { return py::tuple(py::cast(a.strides())); })
      .def_property_readonly("device", &DeviceArray::device)
      .def_property_readonly("is_cuda", &DeviceArray::is_cuda)
      .def_property_readonly("device_index", &DeviceArray::device_index)
      .def_property_readonly("address", &DeviceArray::address)
      .def("used_on", &DeviceArray::used_on)
      .def("copy", &copy)
      .def("numpy", &to_numpy)
      .def("dlpack", &to_dlpack);
}

}  // namespace diffrt::bindings
