#include "runtime/vulkan/logical_device.hpp"

#include "runtime/vulkan/errors.hpp"

namespace diffrt::runtime::vulkan {

LogicalDevice::LogicalDevice(std::shared_ptr<Instance> instance, const PhysicalDevice& physical,
                             Device& owner)
    : instance_(std::move(instance)), physical_(physical), owner_(owner) {
  const float priority = 1;
  VkDeviceQueueCreateInfo queue{};
  queue.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
  queue.queueFamilyIndex = physical.queue_family;
  queue.queueCount = 1;
  queue.pQueuePriorities = &priority;
  VkDeviceCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
  info.queueCreateInfoCount = 1;
  info.pQueueCreateInfos = &queue;
  info.enabledExtensionCount = 1;
  info.ppEnabledExtensionNames = &float_controls;
  check(instance_->vk().vkCreateDevice(physical.handle, &info, nullptr, &handle_), "vkCreateDevice");
  // Straight from the device: without the loader's extra jump.
#define DIFFRT_LOAD(name, result, arguments) \
  functions_.name =                          \
      reinterpret_cast<result(*) arguments>(instance_->vk().vkGetDeviceProcAddr(handle_, #name));
  DIFFRT_VULKAN_DEVICE_FUNCTIONS(DIFFRT_LOAD)
#undef DIFFRT_LOAD
  functions_.vkGetDeviceQueue(handle_, physical.queue_family, 0, &queue_);
}

LogicalDevice::~LogicalDevice() {
  functions_.vkDeviceWaitIdle(handle_);
  functions_.vkDestroyDevice(handle_, nullptr);
}

void LogicalDevice::submit(VkCommandBuffer commands, VkFence fence) {
  VkSubmitInfo info{};
  info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
  info.commandBufferCount = 1;
  info.pCommandBuffers = &commands;
  const std::lock_guard<std::mutex> lock(queue_mutex_);
  check(functions_.vkQueueSubmit(queue_, 1, &info, fence), "vkQueueSubmit");
}

void LogicalDevice::fail(VkResult result, const char* call) const {
  const std::string what = label() + ": " + call + " failed with " + result_text(result) + ". ";
  if (result == VK_ERROR_DEVICE_LOST) {
    owner_.mark_lost();
    throw DeviceLostError(
        what +
        "The driver stopped it: a run that took too long, a reset, or a bug. Make a new renderer, "
        "or bind the model again, or use device=\"cpu\".");
  }
  if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY) {
    throw DeviceMemoryError(what + "It has " + bytes_text(physical_.details.memory) +
                            " in all. Free some, use a smaller image or fewer outputs, or device=\"cpu\".");
  }
  throw DeviceError(what + "Update the driver, or use device=\"cpu\".");
}

}  // namespace diffrt::runtime::vulkan
