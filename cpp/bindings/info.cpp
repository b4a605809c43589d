#include "bindings.hpp"
#include "driver_call.hpp"

namespace diffrt::bindings {

namespace {

// The interpreter goes on while drivers are asked.
py::list device_details_list() {
  std::vector<DeviceDetails> found;
  {
    const WithoutGil without;
    const DriverCall call;
    found = device_details();
  }
  py::list result;
  for (const DeviceDetails& d : found)
    result.append(py::make_tuple(d.device, d.name, d.driver, d.memory, d.software));
  return result;
}

py::list missing_devices_list() {
  std::vector<MissingDevice> found;
  {
    const WithoutGil without;
    const DriverCall call;
    found = missing_devices();
  }
  py::list result;
  for (const MissingDevice& missing : found) result.append(py::make_tuple(missing.device, missing.reason));
  return result;
}

}  // namespace

void bind_info(py::module_& module) {
  py::module_::import("atexit").attr("register")(py::cpp_function([] {
    const WithoutGil without;
    DriverCall::finish_all();
  }));
  module.def("version", &version);
  module.def("isa_level", &isa_level);
  module.def("available_isa_levels", &available_isa_levels);
  module.def("devices", &devices, py::call_guard<WithoutGil, DriverCall>());
  module.def("device_details", &device_details_list);
  module.def("missing_devices", &missing_devices_list);
  module.def("default_threads", &default_threads);
  module.def("kernel_count", &kernel_count);
}

}  // namespace diffrt::bindings
