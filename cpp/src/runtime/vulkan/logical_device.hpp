// An opened Vulkan device: its functions, its queue, and what its errors mean.
#pragma once

#include <memory>
#include <mutex>

#include "runtime/device.hpp"
#include "runtime/vulkan/instance.hpp"

namespace diffrt::runtime::vulkan {

class LogicalDevice {
 public:
  // Throws DeviceError.
  LogicalDevice(std::shared_ptr<Instance> instance, const PhysicalDevice& physical, Device& owner);
  ~LogicalDevice();
  LogicalDevice(const LogicalDevice&) = delete;
  LogicalDevice& operator=(const LogicalDevice&) = delete;

  const DeviceFunctions& vk() const { return functions_; }
  VkDevice handle() const { return handle_; }
  const PhysicalDevice& physical() const { return physical_; }
  const VkPhysicalDeviceLimits& limits() const { return physical_.properties.limits; }

  void submit(VkCommandBuffer commands, VkFence fence);

  // Throws DeviceMemoryError, DeviceLostError or DeviceError unless the call succeeded.
  void check(VkResult result, const char* call) const {
    if (result != VK_SUCCESS) fail(result, call);
  }
  [[noreturn]] void fail(VkResult result, const char* call) const;
  // "vulkan:0 (llvmpipe)"
  std::string label() const { return physical_.details.device + " (" + physical_.details.name + ")"; }

 private:
  const std::shared_ptr<Instance> instance_;
  const PhysicalDevice& physical_;
  Device& owner_;
  DeviceFunctions functions_;
  VkDevice handle_ = nullptr;
  VkQueue queue_ = nullptr;
  std::mutex queue_mutex_;
};

}  // namespace diffrt::runtime::vulkan
