// A kernel for tests of the runtime, small enough to be written by hand for each kind of GPU:
// y[i] = a x[i] + b for i in [begin, end).
#pragma once

#include <cstdint>

#include "diffrt_kernels.hpp"
#include "runtime/device.hpp"

namespace diffrt::tests {

// As the compiler would have generated it.
struct scale_arguments {
  std::int32_t begin{};
  std::int32_t end{};
  float a{};
  float b{};
  kernels::Array<float> x{};
  kernels::Array<float> y{};
};

// Bounds with begin in the second word and end in the fourth, so that nothing takes them for the first two.
inline constexpr std::uint32_t scale_block = 64, scale_begin_offset = 4, scale_end_offset = 12;

const runtime::KernelCode& scale_code(runtime::DeviceKind kind);

}  // namespace diffrt::tests
