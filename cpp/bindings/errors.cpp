// C++ exceptions become those of diffrt_aot.errors.
#include <cstring>

#include "bindings.hpp"

namespace diffrt::bindings {
namespace {

void raise(const char* type, const char* what) {
  const py::object exception = py::module_::import("diffrt_aot.errors").attr(type);
  // A file's name may be no UTF-8.
  const auto text = py::reinterpret_steal<py::object>(
      PyUnicode_DecodeUTF8(what, static_cast<py::ssize_t>(std::strlen(what)), "replace"));
  if (text) PyErr_SetObject(exception.ptr(), text.ptr());
}

}  // namespace

void bind_errors(py::module_&) {
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const ModuleError& error) {
      raise("ModelFileError", error.what());
    } catch (const ArgumentError& error) {
      raise("InvalidValueError", error.what());
    } catch (const SolverArgumentError& error) {
      raise("InvalidValueError", error.what());
    } catch (const MemoryError& error) {
      raise("OutOfMemoryError", error.what());
    } catch (const DeviceMemoryError& error) {
      raise("DeviceMemoryError", error.what());
    } catch (const DeviceLostError& error) {
      raise("DeviceLostError", error.what());
    } catch (const DeviceError& error) {
      raise("DeviceError", error.what());
    }
  });
}

}  // namespace diffrt::bindings
