// Memory of a GPU: who owns it, and views of it that kernels and copies are given.
//
// Addresses are numbers: CUDA's own, or names that the Vulkan device gives out. They add up like pointers, so
// a kernel's arguments are filled in by the same code as for the CPU, but only the device can follow them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <type_traits>

#include "diffrt_kernels.hpp"

namespace diffrt::runtime {

class Device;

using Address = std::uint64_t;

// Where an array that a kernel takes may begin [bytes]: what any device's limits allow. Allocations do; parts
// of them must.
inline constexpr std::size_t array_alignment = 256;

enum class Memory {
  device,     // the device's own; the host cannot reach it
  upload,     // pinned: the host writes, copies and kernels read
  download,   // pinned: copies and kernels write, the host reads
  arguments,  // argument blocks: on Vulkan the host writes it and kernels read it fast
  external    // another library's, on the device
};

// Freed with its last owner. Sequences that name it are owners too.
struct Allocation {
  std::shared_ptr<Device> device;
  Address address = 0;
  std::size_t bytes = 0;
  Memory memory = Memory::device;
  void* host = nullptr;   // where the host sees it, if it does
  void* owner = nullptr;  // the device's own note

  Allocation() = default;
  Allocation(const Allocation&) = delete;
  Allocation& operator=(const Allocation&) = delete;
  ~Allocation();
};

// Numbers on a device: where, and how many.
template <class T>
struct DeviceArray {
  Address address = 0;
  std::size_t size = 0;

  DeviceArray part(std::size_t first, std::size_t count) const {
    return {address + first * sizeof(T), count};
  }
  DeviceArray from(std::size_t first) const { return part(first, size - first); }
};

// As a kernel's argument.
template <class T>
kernels::Array<T> array(const DeviceArray<T>& view) {
  constexpr std::size_t most = std::numeric_limits<std::int32_t>::max();
  return {view.size > most ? 0 : static_cast<std::int32_t>(view.size), reinterpret_cast<T*>(view.address)};
}

std::shared_ptr<Allocation> allocate(Device& device, std::size_t bytes, Memory memory);

// An array and its memory.
template <class T>
class DeviceBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  DeviceBuffer() = default;
  DeviceBuffer(Device& device, std::size_t size, Memory memory = Memory::device)
      : allocation_(allocate(device, size * sizeof(T), memory)), size_(size) {}
  // The library's own share in memory that it did not allocate: Device::adopt.
  DeviceBuffer(std::shared_ptr<Allocation> allocation, std::size_t size)
      : allocation_(std::move(allocation)), size_(size) {}

  DeviceArray<T> array() const { return {allocation_ == nullptr ? 0 : allocation_->address, size_}; }
  std::size_t size() const { return size_; }
  // Of upload and download memory, else nullptr. What the host reads and writes here while a sequence runs is
  // undefined.
  T* host() const { return allocation_ == nullptr ? nullptr : static_cast<T*>(allocation_->host); }

 private:
  std::shared_ptr<Allocation> allocation_;
  std::size_t size_ = 0;
};

template <class T>
kernels::Array<T> array(const DeviceBuffer<T>& buffer) {
  return array(buffer.array());
}

}  // namespace diffrt::runtime
