// The part of the CUDA driver interface that the runtime uses, as its binary interface is: names, layouts and
// numbers are those of NVIDIA's reference, so that no header has to be installed. Functions are named as
// libcuda.so.1 exports them: _v2 where that is what cuda.h means by the plain name.
#pragma once

#include <cstddef>
#include <cstdint>

namespace diffrt::runtime::cuda {

using CUdevice = int;
using CUdeviceptr = std::uint64_t;
using CUcontext = struct CUctx_st*;
using CUstream = struct CUstream_st*;
using CUevent = struct CUevent_st*;
using CUmodule = struct CUmod_st*;
using CUfunction = struct CUfunc_st*;
using CUgraph = struct CUgraph_st*;
using CUgraphNode = struct CUgraphNode_st*;
using CUgraphExec = struct CUgraphExec_st*;

enum CUresult : std::int32_t {
  CUDA_SUCCESS = 0,
  CUDA_ERROR_INVALID_VALUE = 1,
  CUDA_ERROR_OUT_OF_MEMORY = 2,
  CUDA_ERROR_NOT_INITIALIZED = 3,
  CUDA_ERROR_DEINITIALIZED = 4,
  CUDA_ERROR_STUB_LIBRARY = 34,
  CUDA_ERROR_NO_DEVICE = 100,
  CUDA_ERROR_INVALID_CONTEXT = 201,
  CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
  CUDA_ERROR_ECC_UNCORRECTABLE = 214,
  CUDA_ERROR_INVALID_PTX = 218,
  CUDA_ERROR_JIT_COMPILER_NOT_FOUND = 221,
  CUDA_ERROR_UNSUPPORTED_PTX_VERSION = 222,
  CUDA_ERROR_INVALID_HANDLE = 400,
  CUDA_ERROR_NOT_FOUND = 500,
  CUDA_ERROR_ILLEGAL_ADDRESS = 700,
  CUDA_ERROR_LAUNCH_TIMEOUT = 702,
  CUDA_ERROR_CONTEXT_IS_DESTROYED = 709,
  CUDA_ERROR_HARDWARE_STACK_ERROR = 714,
  CUDA_ERROR_ILLEGAL_INSTRUCTION = 715,
  CUDA_ERROR_MISALIGNED_ADDRESS = 716,
  CUDA_ERROR_INVALID_ADDRESS_SPACE = 717,
  CUDA_ERROR_INVALID_PC = 718,
  CUDA_ERROR_LAUNCH_FAILED = 719,
  CUDA_ERROR_SYSTEM_DRIVER_MISMATCH = 803,
};

inline constexpr int CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
                     CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76;
inline constexpr int CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL = 9;
inline constexpr int CU_JIT_ERROR_LOG_BUFFER = 5, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6;
inline constexpr unsigned CU_STREAM_NON_BLOCKING = 1;
inline constexpr unsigned CU_EVENT_DEFAULT = 0, CU_EVENT_DISABLE_TIMING = 2;
inline constexpr unsigned CU_MEMHOSTALLOC_PORTABLE = 1, CU_MEMHOSTALLOC_DEVICEMAP = 2;
inline constexpr int CU_MEMORYTYPE_HOST = 1, CU_MEMORYTYPE_DEVICE = 2;

struct CUDA_KERNEL_NODE_PARAMS {  // _v1
  CUfunction func;
  unsigned gridDimX, gridDimY, gridDimZ;
  unsigned blockDimX, blockDimY, blockDimZ;
  unsigned sharedMemBytes;
  void** kernelParams;
  void** extra;
};
struct CUDA_MEMCPY3D_END {  // one side of a copy
  std::size_t xInBytes, y, z, lod;
  int memoryType;
  void* host;
  CUdeviceptr device;
  void* array;
  void* reserved;
  std::size_t pitch, height;
};
struct CUDA_MEMCPY3D {  // _v2
  CUDA_MEMCPY3D_END src, dst;
  std::size_t WidthInBytes, Height, Depth;
};
struct CUDA_MEMSET_NODE_PARAMS {  // _v1
  CUdeviceptr dst;
  std::size_t pitch;
  unsigned value, elementSize;
  std::size_t width, height;
};

// --- Functions: X(name, arguments). All return CUresult.

#define DIFFRT_CUDA_FUNCTIONS(X)                                                                         \
  X(cuInit, (unsigned))                                                                                  \
  X(cuDriverGetVersion, (int*))                                                                          \
  X(cuGetErrorName, (CUresult, const char**))                                                            \
  X(cuGetErrorString, (CUresult, const char**))                                                          \
  X(cuDeviceGetCount, (int*))                                                                            \
  X(cuDeviceGet, (CUdevice*, int))                                                                       \
  X(cuDeviceGetName, (char*, int, CUdevice))                                                             \
  X(cuDeviceTotalMem_v2, (std::size_t*, CUdevice))                                                       \
  X(cuDeviceGetAttribute, (int*, int, CUdevice))                                                         \
  X(cuDevicePrimaryCtxRetain, (CUcontext*, CUdevice))                                                    \
  X(cuDevicePrimaryCtxRelease_v2, (CUdevice))                                                            \
  X(cuCtxGetCurrent, (CUcontext*))                                                                       \
  X(cuCtxPushCurrent_v2, (CUcontext))                                                                    \
  X(cuCtxPopCurrent_v2, (CUcontext*))                                                                    \
  X(cuCtxSynchronize, ())                                                                                \
  X(cuStreamCreate, (CUstream*, unsigned))                                                               \
  X(cuStreamDestroy_v2, (CUstream))                                                                      \
  X(cuStreamSynchronize, (CUstream))                                                                     \
  X(cuEventCreate, (CUevent*, unsigned))                                                                 \
  X(cuEventDestroy_v2, (CUevent))                                                                        \
  X(cuStreamWaitEvent, (CUstream, CUevent, unsigned))                                                    \
  X(cuEventRecord, (CUevent, CUstream))                                                                  \
  X(cuEventSynchronize, (CUevent))                                                                       \
  X(cuEventElapsedTime, (float*, CUevent, CUevent))                                                      \
  X(cuMemAlloc_v2, (CUdeviceptr*, std::size_t))                                                          \
  X(cuMemFree_v2, (CUdeviceptr))                                                                         \
  X(cuMemHostAlloc, (void**, std::size_t, unsigned))                                                     \
  X(cuMemFreeHost, (void*))                                                                              \
  X(cuMemGetInfo_v2, (std::size_t*, std::size_t*))                                                       \
  X(cuPointerGetAttribute, (void*, int, CUdeviceptr))                                                    \
  X(cuMemcpyHtoDAsync_v2, (CUdeviceptr, const void*, std::size_t, CUstream))                             \
  X(cuMemcpyDtoHAsync_v2, (void*, CUdeviceptr, std::size_t, CUstream))                                   \
  X(cuMemcpyDtoDAsync_v2, (CUdeviceptr, CUdeviceptr, std::size_t, CUstream))                             \
  X(cuMemsetD32Async, (CUdeviceptr, unsigned, std::size_t, CUstream))                                    \
  X(cuModuleLoadDataEx, (CUmodule*, const void*, unsigned, int*, void**))                                \
  X(cuModuleUnload, (CUmodule))                                                                          \
  X(cuModuleGetFunction, (CUfunction*, CUmodule, const char*))                                           \
  X(cuLaunchKernel, (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,   \
                     CUstream, void**, void**))                                                          \
  X(cuGraphCreate, (CUgraph*, unsigned))                                                                 \
  X(cuGraphDestroy, (CUgraph))                                                                           \
  X(cuGraphAddKernelNode,                                                                                \
    (CUgraphNode*, CUgraph, const CUgraphNode*, std::size_t, const CUDA_KERNEL_NODE_PARAMS*))            \
  X(cuGraphAddMemcpyNode,                                                                                \
    (CUgraphNode*, CUgraph, const CUgraphNode*, std::size_t, const CUDA_MEMCPY3D*, CUcontext))           \
  X(cuGraphAddMemsetNode,                                                                                \
    (CUgraphNode*, CUgraph, const CUgraphNode*, std::size_t, const CUDA_MEMSET_NODE_PARAMS*, CUcontext)) \
  X(cuGraphAddEmptyNode, (CUgraphNode*, CUgraph, const CUgraphNode*, std::size_t))                       \
  X(cuGraphInstantiateWithFlags, (CUgraphExec*, CUgraph, unsigned long long))                            \
  X(cuGraphLaunch, (CUgraphExec, CUstream))                                                              \
  X(cuGraphExecDestroy, (CUgraphExec))

#define DIFFRT_DECLARE(name, arguments) CUresult(*name) arguments = nullptr;
struct Functions {
  DIFFRT_CUDA_FUNCTIONS(DIFFRT_DECLARE)
};
#undef DIFFRT_DECLARE

}  // namespace diffrt::runtime::cuda
