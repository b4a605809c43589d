// Vulkan's loader and the devices it finds.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "diffrt/info.hpp"
#include "runtime/shared_library.hpp"
#include "runtime/vulkan/api.hpp"

namespace diffrt::runtime::vulkan {

// Kernels ask by it that NaN is minded: kernels/aot/spirv.py.
constexpr const char* float_controls = "VK_KHR_shader_float_controls";

struct PhysicalDevice {
  VkPhysicalDevice handle = nullptr;
  VkPhysicalDeviceProperties properties{};
  VkPhysicalDeviceMemoryProperties memory{};
  std::uint32_t queue_family = 0;
  bool has_timestamps = false;
  DeviceDetails details;
  std::string problem;  // why it cannot be used; empty if it can
};

class Instance {
 public:
  // One at a time in a process. Throws DeviceError: no loader, no driver, too old.
  static std::shared_ptr<Instance> open();
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  const InstanceFunctions& vk() const { return functions_; }
  // In the loader's order, which VK_DRIVER_FILES and VK_LOADER_DEVICE_SELECT change.
  const std::vector<PhysicalDevice>& devices() const { return devices_; }

 private:
  Instance();
  PhysicalDevice describe(VkPhysicalDevice handle, std::size_t index) const;

  SharedLibrary library_;
  InstanceFunctions functions_;
  VkInstance handle_ = nullptr;
  std::vector<PhysicalDevice> devices_;
};

}  // namespace diffrt::runtime::vulkan
