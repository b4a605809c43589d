#include "runtime/device.hpp"

#include <cstdio>
#include <stdexcept>
#include <vector>

#include "runtime/fork.hpp"

namespace diffrt::runtime {

DeviceError opened_before_fork(const std::string& what) {
  return DeviceError(
      what +
      " was opened before fork(), and its driver does not work in the child. Open it in the "
      "child alone (Python: multiprocessing's start method \"spawn\"), or use device=\"cpu\".");
}

Allocation::~Allocation() {
  if (device != nullptr) device->release(*this);
}

std::shared_ptr<Allocation> allocate(Device& device, std::size_t bytes, Memory memory) {
  return device.allocate(bytes, memory);
}

Device::Device(DeviceKind kind, DeviceDetails details)
    : kind_(kind), details_(std::move(details)), generation_(process_generation()) {}

const kernels::DeviceTable& Device::kernels() const {
  return kind_ == DeviceKind::cuda ? kernels::table_cuda : kernels::table_vulkan;
}

bool Device::forked() const { return process_generation() != generation_; }

void Device::check_usable() const {
  if (lost_) {
    throw DeviceLostError(
        details_.device + " (" + details_.name +
        ") was lost: its driver reported an error that it does not recover from. Make a new "
        "renderer, or bind the model again, or use device=\"cpu\".");
  }
  if (forked()) {
    throw opened_before_fork(details_.device);
  }
}

std::shared_ptr<Allocation> Device::allocate(std::size_t bytes, Memory memory) {
  check_usable();
  auto allocation = std::make_shared<Allocation>();
  allocation->bytes = (bytes + array_alignment - 1) / array_alignment * array_alignment;
  if (bytes == 0) allocation->bytes = array_alignment;
  allocation->memory = memory;
  allocate_memory(*allocation);
  add(allocation);
  return allocation;
}

std::shared_ptr<Allocation> Device::adopt(Address address, std::size_t bytes) {
  check_usable();
  check_external(address, bytes);
  auto allocation = std::make_shared<Allocation>();
  allocation->address = address, allocation->bytes = bytes;
  allocation->memory = Memory::external;
  add(allocation);
  return allocation;
}

void Device::order(Stream, Stream) { throw std::logic_error(details_.device + " has no streams"); }

void Device::add(const std::shared_ptr<Allocation>& allocation) {
  allocation->device = shared_from_this();  // from here on its destructor frees
  const std::lock_guard<std::mutex> lock(mutex_);
  allocations_.emplace(allocation->address, allocation);
}

void Device::release(Allocation& allocation) noexcept {
  if (forked()) return;
  {
    // Erased before it is freed: the driver may give the address to someone else at once.
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto range = allocations_.equal_range(allocation.address);
    for (auto i = range.first; i != range.second; ++i) {
      if (!i->second.expired()) continue;  // external memory may be adopted twice
      allocations_.erase(i);
      break;
    }
  }
  if (allocation.memory != Memory::external) free_memory(allocation);
}

std::shared_ptr<Allocation> Device::find(Address address, std::size_t bytes) {
  check_usable();
  std::vector<std::shared_ptr<Allocation>> passed;  // let go after the lock: the last owner's comes back here
  const std::lock_guard<std::mutex> lock(mutex_);
  // From the last that begins at or before the address. Adopted ones may overlap, so the nearest may be too
  // short.
  for (auto i = allocations_.upper_bound(address); i != allocations_.begin();) {
    --i;
    std::shared_ptr<Allocation> allocation = i->second.lock();
    passed.push_back(allocation);
    if (allocation != nullptr && address - allocation->address <= allocation->bytes &&
        bytes <= allocation->bytes - (address - allocation->address)) {
      return allocation;
    }
    if (allocation != nullptr && allocation->memory != Memory::external) break;
  }
  throw std::logic_error("an array of " + std::to_string(bytes) + " bytes is not in the memory of " +
                         details_.device + ": freed, too long, or another device's");
}

std::string bytes_text(std::uint64_t bytes) {
  char text[32];
  if (bytes < 1000000) {
    std::snprintf(text, sizeof text, "%llu bytes", static_cast<unsigned long long>(bytes));
  } else if (bytes < 1000000000) {
    std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(bytes) * 1e-6);
  } else {
    std::snprintf(text, sizeof text, "%.1f GB", static_cast<double>(bytes) * 1e-9);
  }
  return text;
}

}  // namespace diffrt::runtime
