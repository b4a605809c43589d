// Which devices there are, and how one is chosen.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/device.hpp"

namespace diffrt::runtime {

struct DeviceChoice {
  bool automatic = false;
  DeviceKind kind = DeviceKind::cpu;
  int index = 0;
};

// All that can be used, the CPU first; and what cannot, with the reason. Both ask the drivers.
std::vector<DeviceDetails> usable_devices();
std::vector<MissingDevice> missing_devices();

// "cpu", "cuda", "cuda:1", "vulkan", "vulkan:0", "auto". Throws DeviceError that lists these.
DeviceChoice parse_device(const std::string& name);

// The device of that name, or nullptr for the CPU. Throws DeviceError that says what was looked for. "auto"
// takes CUDA, then a Vulkan device that is not a driver on the processor, then the CPU: the first that opens.
// A device stays open, with its compiled kernels, until close_unused_devices(); all that ask for it share it.
std::shared_ptr<Device> open_device(const std::string& name);
// Closes those that nobody else holds.
void close_unused_devices();

}  // namespace diffrt::runtime
