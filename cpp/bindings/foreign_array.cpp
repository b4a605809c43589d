#include "foreign_array.hpp"

#include "dlpack.hpp"

namespace diffrt::bindings {
namespace {

// Either kind of array.
struct Strided {
  const void* data;
  std::vector<std::int64_t> shape, strides;
  bool is_double, on_device;
};

Strided strided(const py::object& object) {
  if (py::isinstance<ForeignArray>(object)) {
    const auto& array = object.cast<const ForeignArray&>();
    return {reinterpret_cast<const void*>(array.address), array.shape, array.strides,
            array.dtype == "float64", true};
  }
  const auto array = py::reinterpret_borrow<py::array>(object);
  return {array.data(),
          {array.shape(), array.shape() + array.ndim()},
          {array.strides(), array.strides() + array.ndim()},
          array.itemsize() == 8,
          false};
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

// A view of an image argument [H, W] or [H, W, C].
ImageView image_of(const Strided& array, const char* name, const Renderer& renderer) {
  const PinholeCamera& camera = renderer.scene().camera;
  const int C = renderer.channels();
  const std::vector<std::int64_t>& shape = array.shape;
  const bool plain = shape.size() == 2 && C == 1, channels = shape.size() == 3 && shape[2] == C;
  if (!(plain || channels) || shape[0] != camera.height || shape[1] != camera.width) {
    std::string expected = "(" + std::to_string(camera.height) + ", " + std::to_string(camera.width) +
                           (C > 1 ? ", " + std::to_string(C) : "") + ")";
    std::string hint = shape.size() >= 2 && shape[0] == camera.width && shape[1] == camera.height &&
                               camera.width != camera.height
                           ? ". Images are [row, column]: perhaps it is transposed"
                           : "";
    throw ArgumentError(std::string(name) + ": has shape " + shape_text(shape) + ", expected " + expected +
                        hint);
  }
  return {array.data,
          array.is_double,
          camera.height,
          camera.width,
          C,
          array.strides[0],
          array.strides[1],
          channels ? static_cast<std::ptrdiff_t>(array.strides[2]) : 0,
          array.on_device};
}

std::string dtype_name(const dlpack::DataType& type) {
  const char* kind = type.code == dlpack::kDLInt       ? "int"
                     : type.code == dlpack::kDLUInt    ? "uint"
                     : type.code == dlpack::kDLFloat   ? "float"
                     : type.code == dlpack::kDLBfloat  ? "bfloat"
                     : type.code == dlpack::kDLComplex ? "complex"
                     : type.code == dlpack::kDLBool    ? "bool"
                                                       : "unknown";
  if (type.code == dlpack::kDLBool) return kind;
  return kind + std::to_string(type.bits) + (type.lanes > 1 ? " x " + std::to_string(type.lanes) : "");
}

template <class Managed>
std::unique_ptr<ForeignArray> take_over(const py::capsule& capsule) {
  auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule.ptr(), Managed::name));
  if (managed == nullptr || PyCapsule_SetName(capsule.ptr(), Managed::used_name) != 0)
    throw py::error_already_set();
  auto array = std::make_unique<ForeignArray>();
  array->release = [managed] {
    if (managed->deleter != nullptr) managed->deleter(managed);
  };
  const dlpack::Tensor& tensor = managed->tensor;
  const auto ndim = static_cast<std::size_t>(tensor.ndim);
  array->address = reinterpret_cast<std::uint64_t>(tensor.data) + tensor.byte_offset;
  array->dtype = dtype_name(tensor.dtype);
  array->shape.assign(tensor.shape, tensor.shape + ndim);
  array->strides.resize(ndim);
  std::int64_t step = tensor.dtype.bits / 8;
  for (std::size_t i = ndim; i-- > 0;) {
    array->strides[i] = tensor.strides != nullptr ? tensor.strides[i] * (tensor.dtype.bits / 8) : step;
    step *= tensor.shape[i];
  }
  return array;
}

std::unique_ptr<ForeignArray> from_dlpack(const py::capsule& capsule) {
  using dlpack::ManagedTensorVersioned;
  if (!PyCapsule_IsValid(capsule.ptr(), ManagedTensorVersioned::name))
    return take_over<dlpack::ManagedTensor>(capsule);
  const auto* managed = static_cast<const ManagedTensorVersioned*>(
      PyCapsule_GetPointer(capsule.ptr(), ManagedTensorVersioned::name));
  // All that is known of another major version is where its deleter is; the capsule calls it.
  if (managed->major != 1)
    throw py::buffer_error("its DLPack version is " + std::to_string(managed->major) + ", not 1");
  return take_over<ManagedTensorVersioned>(capsule);
}

std::unique_ptr<ForeignArray> from_address(std::uint64_t address, std::vector<std::int64_t> shape,
                                           std::vector<std::int64_t> strides, std::string dtype) {
  auto array = std::make_unique<ForeignArray>();
  array->address = address, array->dtype = std::move(dtype);
  array->shape = std::move(shape), array->strides = std::move(strides);
  return array;
}

}  // namespace

Observation observation_of(const Renderer& renderer, const py::object& observed, const py::object& weights) {
  Observation observation;
  observation.image = image_of(strided(observed), "observed", renderer);
  if (weights.is_none()) return observation;
  const Strided array = strided(weights);
  const PinholeCamera& camera = renderer.scene().camera;
  const bool per_pixel =
      array.shape.size() == 2 && array.shape[0] == camera.height && array.shape[1] == camera.width;
  if (per_pixel) {  // one weight for all channels
    observation.weights = {
        array.data, array.is_double, camera.height, camera.width, 1, array.strides[0], array.strides[1],
        0,          array.on_device};
  } else {
    observation.weights = image_of(array, "weights", renderer);
  }
  return observation;
}

void bind_foreign_array(py::module_& module) {
  py::class_<ForeignArray>(module, "ForeignArray")
      .def_static("from_dlpack", &from_dlpack)
      .def_static("from_address", &from_address)
      .def_property_readonly("dtype", [](const ForeignArray& a) { return a.dtype; })
      .def_property_readonly("shape", [](const ForeignArray& a) { return py::tuple(py::cast(a.shape)); })
      .def_property_readonly("strides", [](const ForeignArray& a) { return py::tuple(py::cast(a.strides)); })
      .def_property_readonly("address", [](const ForeignArray& a) { return a.address; });
}

}  // namespace diffrt::bindings
