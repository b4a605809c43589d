// A Sequence as one Vulkan command buffer, recorded once and submitted with a fence.
#pragma once

#include <memory>
#include <vector>

#include "runtime/sequence.hpp"
#include "runtime/vulkan/device.hpp"

namespace diffrt::runtime::vulkan {

class VulkanSequence : public Sequence {
 public:
  explicit VulkanSequence(const std::shared_ptr<VulkanDevice>& device);
  ~VulkanSequence() override;

 protected:
  void build() override;
  void rebind(std::size_t launch) override;
  void submit(Stream stream) override;
  void wait_for_run() override;
  double measured_seconds() override;

 private:
  void create_objects();
  void create_sets();
  void write_set(std::size_t launch);
  void record();
  void record_launch(std::size_t launch);
  void record_copy(const CopyEntry& copy);
  void record_fill(const FillEntry& fill);

  VulkanDevice& device_;
  LogicalDevice& logical_;
  VkDescriptorPool descriptors_ = nullptr;
  std::vector<VkDescriptorSet> sets_;  // per launch
  std::vector<const Pipeline*> pipelines_;
  VkCommandPool pool_ = nullptr;  // of its own: recording needs no lock
  VkCommandBuffer commands_ = nullptr;
  VkFence fence_ = nullptr;
  VkQueryPool queries_ = nullptr;
  bool stale_ = false;  // the command buffer names sets that have changed
};

}  // namespace diffrt::runtime::vulkan
