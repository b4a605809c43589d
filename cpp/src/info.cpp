#include "diffrt/info.hpp"

#include "runtime/devices.hpp"
#include "runtime/isa.hpp"
#include "runtime/thread_pool.hpp"

namespace diffrt {

std::string version() { return DIFFRT_VERSION; }
std::string isa_level() { return runtime::active_level().name; }

std::vector<std::string> available_isa_levels() {
  std::vector<std::string> names;
  for (const runtime::IsaLevel& level : runtime::supported_levels()) names.push_back(level.name);
  return names;
}

std::vector<std::string> devices() {
  std::vector<std::string> names;
  for (const DeviceDetails& details : device_details()) names.push_back(details.device);
  return names;
}
std::vector<DeviceDetails> device_details() { return runtime::usable_devices(); }
std::vector<MissingDevice> missing_devices() { return runtime::missing_devices(); }

int default_threads() { return runtime::available_processors(); }
int kernel_count() { return kernels::kernel_count; }

}  // namespace diffrt
