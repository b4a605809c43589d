// What the compiler says of a kernel, and the runtime needs in order to launch it on a GPU.
//
// cuda: the entry is (const void* argument_block, const std::int32_t* bounds), both addresses in the device's
// memory. vulkan: descriptor set 0. Threads stride by the size of the grid over [begin, end), which they read
// from the bounds; any grid computes everything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace diffrt::runtime {

enum class ArgumentType : std::uint8_t { int32, float32, int32_array, float32_array };

struct Argument {
  const char* name;
  ArgumentType type;
  std::uint32_t offset;  // in the argument struct of the CPU (kernels::X_arguments): what the renderer fills
                         // in. An array there is {int32 size; T* data}, aligned to 8
  std::uint32_t device_offset;  // in the argument block that the device reads. cuda: an array is its 64-bit
                                // device address there. vulkan: of scalars; arrays are bindings
  std::int32_t binding;         // vulkan: storage buffer binding of an array, else -1
};

// One kernel, compiled for one kind of GPU.
struct KernelCode {
  const char* name;               // as in the manifest
  const char* entry;              // entry point in the code
  const unsigned char* code;      // PTX text, or SPIR-V words; compressed, see below
  std::size_t size;               // bytes, when it is expanded
  std::uint32_t block;            // threads per block / local size x
  std::uint32_t argument_bytes;   // of the device's argument block
  std::int32_t argument_binding;  // vulkan: uniform/storage binding of the argument block, -1: none is read
  bool argument_is_uniform;       // vulkan: uniform buffer (else storage buffer)
  std::int32_t bounds_binding;    // vulkan: storage buffer that holds the bounds
  std::uint32_t begin_offset, end_offset;  // bytes, of begin and end in the bounds (same meaning on cuda)
  const Argument* arguments;
  std::size_t argument_count;
  std::size_t compressed_size = 0;  // bytes at `code`, a stream of zlib's; 0 if they are the code itself
};

// The code as a driver takes it: size bytes and a final 0, aligned for words. Throws DeviceError where zlib,
// which is looked for at run time, is missing.
std::vector<unsigned char> expand(const KernelCode& kernel);

}  // namespace diffrt::runtime
