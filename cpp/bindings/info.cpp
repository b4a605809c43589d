#include "bindings.hpp"

namespace diffrt::bindings {

void bind_info(py::module_& module) {
  module.def("version", &version);
  module.def("isa_level", &isa_level);
  module.def("available_isa_levels", &available_isa_levels);
  module.def("devices", &devices);
  module.def("default_threads", &default_threads);
  module.def("kernel_count", &kernel_count);
}

}  // namespace diffrt::bindings
