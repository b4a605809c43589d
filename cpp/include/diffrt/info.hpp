// What this build of the library is, and what it found on this machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "diffrt/export.hpp"

namespace diffrt {

DIFFRT_API std::string version();
// The x86-64 level of the kernels in use: "x86-64-v3". The environment variable DIFFRT_ISA (v2, v3, v4)
// forces one; a level that the machine lacks is a DeviceError.
DIFFRT_API std::string isa_level();
// The levels that this machine can run.
DIFFRT_API std::vector<std::string> available_isa_levels();
// What `device` may be: "cpu", then "cuda:0", "vulkan:0"... Asks the drivers, which may take a moment.
DIFFRT_API std::vector<std::string> devices();
DIFFRT_API int default_threads();
DIFFRT_API int kernel_count();

struct DeviceDetails {
  std::string device;        // "cuda:0"
  std::string name;          // as its driver says
  std::string driver;        // and its version
  std::uint64_t memory = 0;  // [bytes]
  bool software = false;     // a Vulkan driver that computes on the processor
};
// Of devices(), in that order.
DIFFRT_API std::vector<DeviceDetails> device_details();

// What cannot be used, and why: {"cuda", "libcuda.so.1 not found"}, {"vulkan:1", "its driver is..."}.
struct MissingDevice {
  std::string device;
  std::string reason;
};
DIFFRT_API std::vector<MissingDevice> missing_devices();

}  // namespace diffrt
