// The binary interface of DLPack (https://dmlc.github.io/dlpack/latest/c_api.html), as far as it is used
// here.
#pragma once

#include <cstdint>

namespace diffrt::bindings::dlpack {

enum DeviceType : std::int32_t { kDLCPU = 1, kDLCUDA = 2, kDLVulkan = 7 };
enum TypeCode : std::uint8_t {
  kDLInt = 0,
  kDLUInt = 1,
  kDLFloat = 2,
  kDLBfloat = 4,
  kDLComplex = 5,
  kDLBool = 6
};
inline constexpr std::uint64_t flag_copied = 2;  // DLPACK_FLAG_BITMASK_IS_COPIED

struct Device {
  std::int32_t type, id;
};
struct DataType {
  std::uint8_t code, bits;
  std::uint16_t lanes;
};
struct Tensor {
  void* data;
  Device device;
  std::int32_t ndim;
  DataType dtype;
  std::int64_t *shape, *strides;  // [numbers]; no strides: contiguous
  std::uint64_t byte_offset;
};

// Before DLPack 1.0.
struct ManagedTensor {
  static constexpr const char *name = "dltensor", *used_name = "used_dltensor";
  Tensor tensor;
  void* context;
  void (*deleter)(ManagedTensor*);
};

struct ManagedTensorVersioned {
  static constexpr const char *name = "dltensor_versioned", *used_name = "used_dltensor_versioned";
  std::uint32_t major, minor;
  void* context;
  void (*deleter)(ManagedTensorVersioned*);
  std::uint64_t flags;
  Tensor tensor;
};

}  // namespace diffrt::bindings::dlpack
