// Device on Vulkan.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "runtime/device.hpp"
#include "runtime/vulkan/logical_device.hpp"
#include "runtime/vulkan/memory.hpp"
#include "runtime/vulkan/pipeline.hpp"

namespace diffrt::runtime::vulkan {

class VulkanDevice : public Device {
 public:
  // `index` is valid in instance->devices(). Throws DeviceError.
  VulkanDevice(const std::shared_ptr<Instance>& instance, std::size_t index);
  ~VulkanDevice() override;

  std::unique_ptr<Sequence> make_sequence() override;
  void load(const KernelCode& kernel) override { pipeline(kernel); }
  void forget(const KernelCode& kernel) noexcept override;

  LogicalDevice& logical() { return logical_; }
  const Pipeline& pipeline(const KernelCode& kernel);
  // What a kernel's binding is given where it has no array: a few bytes that nobody reads.
  const Allocation& nothing();

 protected:
  void allocate_memory(Allocation& allocation) override;
  void free_memory(Allocation& allocation) noexcept override;
  void check_external(Address address, std::size_t bytes) override;

 private:
  MemoryPool& pool(Memory use) { return *pools_[static_cast<std::size_t>(use)]; }

  LogicalDevice logical_;
  std::unique_ptr<MemoryPool> pools_[4];  // by Memory
  VkPipelineCache cache_ = nullptr;
  std::mutex mutex_;
  std::map<const KernelCode*, std::unique_ptr<Pipeline>> pipelines_;
  Allocation nothing_;
};

}  // namespace diffrt::runtime::vulkan
