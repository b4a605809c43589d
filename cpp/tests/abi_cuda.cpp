// Our declarations of the CUDA driver against those of the toolkit's header, where there is one.
#if __has_include(<cuda.h>)
#include <cuda.h>

#include <cstddef>

// Macros there, names here.
constexpr unsigned header_portable = CU_MEMHOSTALLOC_PORTABLE, header_devicemap = CU_MEMHOSTALLOC_DEVICEMAP;
#undef CU_MEMHOSTALLOC_PORTABLE
#undef CU_MEMHOSTALLOC_DEVICEMAP

#include "runtime/cuda/api.hpp"

namespace ours = diffrt::runtime::cuda;

#define SAME_VALUE(name) static_assert(static_cast<long>(ours::name) == static_cast<long>(::name))

static_assert(sizeof(ours::CUDA_KERNEL_NODE_PARAMS) == sizeof(::CUDA_KERNEL_NODE_PARAMS_v1));
static_assert(offsetof(ours::CUDA_KERNEL_NODE_PARAMS, kernelParams) ==
              offsetof(::CUDA_KERNEL_NODE_PARAMS_v1, kernelParams));
static_assert(sizeof(ours::CUDA_MEMSET_NODE_PARAMS) == sizeof(::CUDA_MEMSET_NODE_PARAMS_v1));
static_assert(offsetof(ours::CUDA_MEMSET_NODE_PARAMS, width) ==
              offsetof(::CUDA_MEMSET_NODE_PARAMS_v1, width));
static_assert(sizeof(ours::CUDA_MEMCPY3D) == sizeof(::CUDA_MEMCPY3D_v2));
static_assert(offsetof(ours::CUDA_MEMCPY3D, dst) == offsetof(::CUDA_MEMCPY3D_v2, dstXInBytes));
static_assert(offsetof(ours::CUDA_MEMCPY3D, WidthInBytes) == offsetof(::CUDA_MEMCPY3D_v2, WidthInBytes));
static_assert(offsetof(ours::CUDA_MEMCPY3D_END, memoryType) == offsetof(::CUDA_MEMCPY3D_v2, srcMemoryType));
static_assert(offsetof(ours::CUDA_MEMCPY3D_END, host) == offsetof(::CUDA_MEMCPY3D_v2, srcHost));
static_assert(offsetof(ours::CUDA_MEMCPY3D_END, device) == offsetof(::CUDA_MEMCPY3D_v2, srcDevice));
static_assert(offsetof(ours::CUDA_MEMCPY3D_END, pitch) == offsetof(::CUDA_MEMCPY3D_v2, srcPitch));

SAME_VALUE(CUDA_ERROR_OUT_OF_MEMORY);
SAME_VALUE(CUDA_ERROR_STUB_LIBRARY);
SAME_VALUE(CUDA_ERROR_NO_DEVICE);
SAME_VALUE(CUDA_ERROR_NO_BINARY_FOR_GPU);
SAME_VALUE(CUDA_ERROR_ECC_UNCORRECTABLE);
SAME_VALUE(CUDA_ERROR_INVALID_PTX);
SAME_VALUE(CUDA_ERROR_JIT_COMPILER_NOT_FOUND);
SAME_VALUE(CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
SAME_VALUE(CUDA_ERROR_ILLEGAL_ADDRESS);
SAME_VALUE(CUDA_ERROR_LAUNCH_TIMEOUT);
SAME_VALUE(CUDA_ERROR_CONTEXT_IS_DESTROYED);
SAME_VALUE(CUDA_ERROR_HARDWARE_STACK_ERROR);
SAME_VALUE(CUDA_ERROR_ILLEGAL_INSTRUCTION);
SAME_VALUE(CUDA_ERROR_MISALIGNED_ADDRESS);
SAME_VALUE(CUDA_ERROR_INVALID_ADDRESS_SPACE);
SAME_VALUE(CUDA_ERROR_INVALID_PC);
SAME_VALUE(CUDA_ERROR_LAUNCH_FAILED);
SAME_VALUE(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
SAME_VALUE(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
SAME_VALUE(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
SAME_VALUE(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL);
SAME_VALUE(CU_JIT_ERROR_LOG_BUFFER);
SAME_VALUE(CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
SAME_VALUE(CU_STREAM_NON_BLOCKING);
SAME_VALUE(CU_EVENT_DISABLE_TIMING);
SAME_VALUE(CU_MEMORYTYPE_HOST);
SAME_VALUE(CU_MEMORYTYPE_DEVICE);
static_assert(ours::CU_MEMHOSTALLOC_PORTABLE == header_portable);
static_assert(ours::CU_MEMHOSTALLOC_DEVICEMAP == header_devicemap);

#endif
