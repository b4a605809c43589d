// A simple allocator: Vulkan limits the number of its allocations (4096), so arrays are parts of large
// blocks, one VkBuffer each.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime/vulkan/logical_device.hpp"

namespace diffrt::runtime::vulkan {

// One allocation of the driver's, bound to one buffer.
struct Block {
  VkBuffer buffer = nullptr;
  VkDeviceMemory memory = nullptr;
  std::size_t size = 0;
  unsigned char* host = nullptr;
  Address base = 0;                         // of its first byte
  std::map<std::size_t, std::size_t> free;  // offset -> size, none beside another

  bool empty() const { return free.size() == 1 && free.begin()->second == size; }
};

// Memory of one use. Its own lock: allocations come and go on any thread.
class MemoryPool {
 public:
  MemoryPool(LogicalDevice& device, Memory use, std::size_t block_size);
  ~MemoryPool();
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;

  // Sets address, host and owner (the Block). Throws DeviceMemoryError.
  void allocate(Allocation& allocation);
  void free(Allocation& allocation) noexcept;

 private:
  bool place(Block& block, Allocation& allocation) const;
  Block& add_block(std::size_t bytes);
  void destroy(Block& block) noexcept;
  VkResult create(Block& block) const;

  LogicalDevice& device_;
  const Memory use_;
  const std::size_t block_size_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Block>> blocks_;
};

}  // namespace diffrt::runtime::vulkan
