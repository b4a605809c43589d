#include "runtime/vulkan/device.hpp"

#include <stdexcept>

#include "runtime/vulkan/sequence.hpp"

namespace diffrt::runtime::vulkan {
namespace {

constexpr std::size_t megabyte = std::size_t{1} << 20;

}  // namespace

VulkanDevice::VulkanDevice(const std::shared_ptr<Instance>& instance, std::size_t index)
    : Device(DeviceKind::vulkan, instance->devices()[index].details),
      logical_(instance, instance->devices()[index], *this) {
  pools_[static_cast<std::size_t>(Memory::device)] =
      std::make_unique<MemoryPool>(logical_, Memory::device, 32 * megabyte);
  for (const Memory use : {Memory::upload, Memory::download, Memory::arguments})
    pools_[static_cast<std::size_t>(use)] = std::make_unique<MemoryPool>(logical_, use, megabyte);
  VkPipelineCacheCreateInfo cache{};
  cache.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO;
  logical_.check(logical_.vk().vkCreatePipelineCache(logical_.handle(), &cache, nullptr, &cache_),
                 "vkCreatePipelineCache");
}

VulkanDevice::~VulkanDevice() {
  pipelines_.clear();
  if (cache_ != nullptr) logical_.vk().vkDestroyPipelineCache(logical_.handle(), cache_, nullptr);
}

std::unique_ptr<Sequence> VulkanDevice::make_sequence() {
  return std::make_unique<VulkanSequence>(std::static_pointer_cast<VulkanDevice>(shared_from_this()));
}

const Pipeline& VulkanDevice::pipeline(const KernelCode& kernel) {
  check_usable();
  const std::lock_guard<std::mutex> lock(mutex_);
  std::unique_ptr<Pipeline>& pipeline = pipelines_[&kernel];
  if (pipeline == nullptr) pipeline = std::make_unique<Pipeline>(logical_, cache_, kernel);
  return *pipeline;
}

void VulkanDevice::forget(const KernelCode& kernel) noexcept {
  if (forked()) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  pipelines_.erase(&kernel);
}

const Allocation& VulkanDevice::nothing() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (nothing_.owner == nullptr) {
    nothing_.bytes = array_alignment;  // without a device: it goes with its block
    pool(Memory::device).allocate(nothing_);
  }
  return nothing_;
}

void VulkanDevice::allocate_memory(Allocation& allocation) { pool(allocation.memory).allocate(allocation); }
void VulkanDevice::free_memory(Allocation& allocation) noexcept { pool(allocation.memory).free(allocation); }

void VulkanDevice::check_external(Address, std::size_t) {
  throw DeviceError(logical_.label() +
                    ": Vulkan takes no memory of other libraries. Pass a NumPy array, or use a " +
                    "CUDA device.");
}

}  // namespace diffrt::runtime::vulkan
