#include "device_list.hpp"

#include <cstdio>

#include "runtime/devices.hpp"

namespace diffrt::tests {

std::vector<std::string> device_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> found;
    try {
      open("vulkan");
      found.emplace_back("vulkan");
    } catch (const DeviceError& error) {
      std::fprintf(stderr, "skipped on Vulkan: %s\n", error.what());
    }
    return found;
  }();
  return names;
}

std::shared_ptr<runtime::Device> open(const std::string& name) { return runtime::open_device(name); }

}  // namespace diffrt::tests
