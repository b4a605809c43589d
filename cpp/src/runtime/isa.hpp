// Which of the compiled x86-64 levels runs here.
#pragma once

#include <string>
#include <vector>

#include "diffrt_kernels.hpp"

namespace diffrt::runtime {

struct IsaLevel {
  std::string name;  // "x86-64-v3"
  const kernels::Table* kernels;
};

// Levels that this processor and operating system support, lowest first. Never empty on x86-64.
std::vector<IsaLevel> supported_levels();

// The highest supported level, or the one that DIFFRT_ISA names. Decided once. Throws DeviceError.
const IsaLevel& active_level();

// As it calls itself: "AMD EPYC 9B14".
std::string processor_name();

}  // namespace diffrt::runtime
