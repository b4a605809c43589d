#include "runtime/vulkan/memory.hpp"

#include <algorithm>
#include <atomic>

#include "runtime/vulkan/errors.hpp"

namespace diffrt::runtime::vulkan {
namespace {

constexpr VkFlags device_local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
                  host_coherent = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
                  host_cached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;

// Properties that a use wants, best first. The specification promises a type with the last of each.
std::vector<VkFlags> wishes(Memory use) {
  switch (use) {
    case Memory::upload:
      return {host_coherent};
    case Memory::download:
      return {host_coherent | host_cached, host_coherent};
    case Memory::arguments:
      return {host_coherent | device_local, host_coherent};
    default:
      return {device_local, 0};
  }
}

// Addresses that nobody can follow: on the host they fault, whatever is mapped there.
Address reserve(std::size_t bytes) {
  static std::atomic<Address> next{Address{1} << 60};
  constexpr Address gap = Address{1} << 20;
  return next.fetch_add((bytes + 2 * gap - 1) / gap * gap);
}

}  // namespace

MemoryPool::MemoryPool(LogicalDevice& device, Memory use, std::size_t block_size)
    : device_(device), use_(use), block_size_(block_size) {}

MemoryPool::~MemoryPool() {
  for (const std::unique_ptr<Block>& block : blocks_) destroy(*block);
}

bool MemoryPool::place(Block& block, Allocation& allocation) const {
  for (auto i = block.free.begin(); i != block.free.end(); ++i) {
    const auto [offset, size] = *i;
    if (size < allocation.bytes) continue;
    block.free.erase(i);
    if (size > allocation.bytes) block.free.emplace(offset + allocation.bytes, size - allocation.bytes);
    allocation.address = block.base + offset;
    allocation.host = block.host == nullptr ? nullptr : block.host + offset;
    allocation.owner = &block;
    return true;
  }
  return false;
}

void MemoryPool::allocate(Allocation& allocation) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const std::unique_ptr<Block>& block : blocks_) {
    if (place(*block, allocation)) return;
  }
  place(add_block(allocation.bytes), allocation);
}

Block& MemoryPool::add_block(std::size_t bytes) {
  auto block = std::make_unique<Block>();
  VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
  // A device that has no room for a whole block may have some for this array.
  for (const std::size_t size : {std::max(bytes, block_size_), bytes}) {
    block->size = size;
    result = create(*block);
    if (result == VK_SUCCESS) break;
    destroy(*block);
    *block = {};
  }
  if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY) {
    throw DeviceMemoryError(device_.label() + ": out of memory. Asked for " + bytes_text(bytes) +
                            "; it has " + bytes_text(device_.physical().details.memory) +
                            " in all. Free some, use a smaller image or fewer outputs, or device=\"cpu\".");
  }
  device_.check(result, "vkAllocateMemory");
  block->base = reserve(block->size);
  block->free.emplace(0, block->size);
  blocks_.push_back(std::move(block));
  return *blocks_.back();
}

VkResult MemoryPool::create(Block& block) const {
  const DeviceFunctions& vk = device_.vk();
  VkBufferCreateInfo buffer{};
  buffer.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  buffer.size = block.size;
  buffer.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT |
                 VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
  buffer.sharingMode = VK_SHARING_MODE_EXCLUSIVE;
  VkResult result = vk.vkCreateBuffer(device_.handle(), &buffer, nullptr, &block.buffer);
  if (result != VK_SUCCESS) return result;
  VkMemoryRequirements needed{};
  vk.vkGetBufferMemoryRequirements(device_.handle(), block.buffer, &needed);

  const VkPhysicalDeviceMemoryProperties& memory = device_.physical().memory;
  result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
  for (const VkFlags wish : wishes(use_)) {
    for (std::uint32_t type = 0; type < memory.memoryTypeCount; ++type) {
      const VkMemoryType& kind = memory.memoryTypes[type];
      if ((needed.memoryTypeBits >> type & 1) == 0 || (kind.propertyFlags & wish) != wish) continue;
      if (needed.size > memory.memoryHeaps[kind.heapIndex].size) continue;
      const VkMemoryAllocateInfo info{VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, nullptr, needed.size, type};
      result = vk.vkAllocateMemory(device_.handle(), &info, nullptr, &block.memory);
      if (result != VK_SUCCESS) continue;  // another heap may have room
      result = vk.vkBindBufferMemory(device_.handle(), block.buffer, block.memory, 0);
      void* host = nullptr;
      if (result == VK_SUCCESS && use_ != Memory::device)
        result = vk.vkMapMemory(device_.handle(), block.memory, 0, block.size, 0, &host);
      block.host = static_cast<unsigned char*>(host);
      return result;
    }
  }
  return result;
}

void MemoryPool::destroy(Block& block) noexcept {
  if (block.buffer != nullptr) device_.vk().vkDestroyBuffer(device_.handle(), block.buffer, nullptr);
  if (block.memory != nullptr) device_.vk().vkFreeMemory(device_.handle(), block.memory, nullptr);
}

void MemoryPool::free(Allocation& allocation) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  Block& block = *static_cast<Block*>(allocation.owner);
  auto here = block.free.emplace(allocation.address - block.base, allocation.bytes).first;
  if (const auto next = std::next(here);
      next != block.free.end() && here->first + here->second == next->first) {
    here->second += next->second;
    block.free.erase(next);
  }
  if (here != block.free.begin()) {
    if (const auto before = std::prev(here); before->first + before->second == here->first) {
      before->second += here->second;
      block.free.erase(here);
    }
  }
  // One empty block of the usual size stays, for what comes next.
  const auto idle = [&](const std::unique_ptr<Block>& other) {
    return other.get() != &block && other->empty() && other->size == block_size_;
  };
  if (block.empty() && (block.size != block_size_ || std::any_of(blocks_.begin(), blocks_.end(), idle))) {
    destroy(block);
    blocks_.erase(std::find_if(blocks_.begin(), blocks_.end(),
                               [&](const std::unique_ptr<Block>& other) { return other.get() == &block; }));
  }
}

}  // namespace diffrt::runtime::vulkan
