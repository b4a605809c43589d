// What this build of the library is, and what it found on this machine.
#pragma once

#include <string>
#include <vector>

namespace diffrt {

std::string version();
// The x86-64 level of the kernels in use: "x86-64-v3". The environment variable DIFFRT_ISA (v2, v3, v4)
// forces one; a level that the machine lacks is a DeviceError.
std::string isa_level();
// The levels that this machine can run.
std::vector<std::string> available_isa_levels();
std::vector<std::string> devices();
int default_threads();
int kernel_count();

}  // namespace diffrt
