// The least that launching a kernel on Vulkan takes: a command buffer recorded by hand, vkQueueSubmit, and a
// fence.
#pragma once

#include <vector>

#include "runtime/vulkan/device.hpp"

namespace diffrt::benchmarks {

class BareVulkan {
 public:
  // Binds one buffer per binding, and dispatches one group.
  BareVulkan(runtime::vulkan::VulkanDevice& device, const runtime::KernelCode& code,
             const std::vector<std::pair<std::int32_t, runtime::DeviceArray<float>>>& buffers)
      : device_(device.logical()), vk_(device_.vk()) {
    using namespace runtime::vulkan;
    const Pipeline& pipeline = device.pipeline(code);
    vk_.vkGetDeviceQueue(device_.handle(), device_.physical().queue_family, 0, &queue_);
    VkDescriptorPoolSize sizes[] = {{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 64},
                                    {VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER, 4}};
    const VkDescriptorPoolCreateInfo pool{
        VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, nullptr, 0, 1, 2, sizes};
    device_.check(vk_.vkCreateDescriptorPool(device_.handle(), &pool, nullptr, &descriptors_), "pool");
    const VkDescriptorSetLayout layout = pipeline.set_layout();
    const VkDescriptorSetAllocateInfo sets{VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO, nullptr,
                                           descriptors_, 1, &layout};
    VkDescriptorSet set = nullptr;
    device_.check(vk_.vkAllocateDescriptorSets(device_.handle(), &sets, &set), "set");
    for (const auto& [binding, array] : buffers) {
      const auto allocation = device.find(array.address, array.size * 4);
      const auto& block = *static_cast<const Block*>(allocation->owner);
      const VkDescriptorBufferInfo info{block.buffer, array.address - block.base, array.size * 4};
      const bool uniform = binding == code.argument_binding && code.argument_is_uniform;
      const VkWriteDescriptorSet write{
          VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
          nullptr,
          set,
          static_cast<std::uint32_t>(binding),
          0,
          1,
          uniform ? VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
          nullptr,
          &info,
          nullptr};
      vk_.vkUpdateDescriptorSets(device_.handle(), 1, &write, 0, nullptr);
    }
    const VkCommandPoolCreateInfo commands{VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO, nullptr, 0,
                                           device_.physical().queue_family};
    device_.check(vk_.vkCreateCommandPool(device_.handle(), &commands, nullptr, &pool_), "command pool");
    const VkCommandBufferAllocateInfo buffer{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, nullptr, pool_,
                                             VK_COMMAND_BUFFER_LEVEL_PRIMARY, 1};
    device_.check(vk_.vkAllocateCommandBuffers(device_.handle(), &buffer, &commands_), "command buffer");
    const VkCommandBufferBeginInfo begin{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO, nullptr, 0, nullptr};
    device_.check(vk_.vkBeginCommandBuffer(commands_, &begin), "begin");
    vk_.vkCmdBindPipeline(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline.handle());
    vk_.vkCmdBindDescriptorSets(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline.layout(), 0, 1, &set, 0,
                                nullptr);
    vk_.vkCmdDispatch(commands_, 256 / code.block, 1, 1);
    device_.check(vk_.vkEndCommandBuffer(commands_), "end");
    const VkFenceCreateInfo fence{VK_STRUCTURE_TYPE_FENCE_CREATE_INFO, nullptr, 0};
    device_.check(vk_.vkCreateFence(device_.handle(), &fence, nullptr, &fence_), "fence");
  }
  ~BareVulkan() {
    vk_.vkDestroyFence(device_.handle(), fence_, nullptr);
    vk_.vkDestroyCommandPool(device_.handle(), pool_, nullptr);
    vk_.vkDestroyDescriptorPool(device_.handle(), descriptors_, nullptr);
  }

  void run() {
    using namespace runtime::vulkan;
    VkSubmitInfo info{};
    info.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    info.commandBufferCount = 1;
    info.pCommandBuffers = &commands_;
    vk_.vkQueueSubmit(queue_, 1, &info, fence_);
    vk_.vkWaitForFences(device_.handle(), 1, &fence_, 1, ~std::uint64_t{0});
    vk_.vkResetFences(device_.handle(), 1, &fence_);
  }

 private:
  runtime::vulkan::LogicalDevice& device_;
  const runtime::vulkan::DeviceFunctions& vk_;
  runtime::vulkan::VkQueue queue_ = nullptr;
  runtime::vulkan::VkDescriptorPool descriptors_ = nullptr;
  runtime::vulkan::VkCommandPool pool_ = nullptr;
  runtime::vulkan::VkCommandBuffer commands_ = nullptr;
  runtime::vulkan::VkFence fence_ = nullptr;
};

}  // namespace diffrt::benchmarks
