// A kernel ready to be launched: its pipeline, and the layout of what it is given.
#pragma once

#include <vector>

#include "runtime/kernel_code.hpp"
#include "runtime/vulkan/logical_device.hpp"

namespace diffrt::runtime::vulkan {

class Pipeline {
 public:
  // Throws DeviceError where the device's limits are below what the kernel needs.
  Pipeline(LogicalDevice& device, VkPipelineCache cache, const KernelCode& code);
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  VkPipeline handle() const { return handle_; }
  VkPipelineLayout layout() const { return layout_; }
  VkDescriptorSetLayout set_layout() const { return set_layout_; }
  // Of all that descriptor sets hold: arrays, bounds, argument block.
  std::uint32_t storage_buffers() const { return storage_buffers_; }
  std::uint32_t uniform_buffers() const { return uniform_buffers_; }

 private:
  void check_limits(const KernelCode& code) const;
  void create_layouts(const KernelCode& code);
  void create(VkPipelineCache cache, const KernelCode& code);
  void destroy() noexcept;

  LogicalDevice& device_;
  std::uint32_t storage_buffers_ = 0, uniform_buffers_ = 0;
  VkDescriptorSetLayout set_layout_ = nullptr;
  VkPipelineLayout layout_ = nullptr;
  VkPipeline handle_ = nullptr;
};

}  // namespace diffrt::runtime::vulkan
