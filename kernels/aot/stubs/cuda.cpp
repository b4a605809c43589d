// A CUDA driver that accepts everything and runs nothing, so that Taichi compiles for CUDA on a machine with
// no GPU and no driver. Built as libcuda.so by kernels/aot/stubs.py; needs no headers but the language's own.
//
// It never touches a device address: Taichi hands it some that no kernel ever computed.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int success = 0;

// The device that Taichi compiles for: 8.6 is the newest that it knows.
int attribute(std::uint32_t which) {
  switch (which) {
    case 1:  // threads per block, in all and along x
    case 2:
      return 1024;
    case 16:  // multiprocessors
      return 132;
    case 75:  // compute capability: major, minor
      return 8;
    case 76:
      return 6;
    case 97:  // shared memory per block, opt-in [bytes]
      return 101376;
    case 106:  // blocks per multiprocessor
      return 16;
    case 115:  // memory pools
      return 0;
    default:
      return 1;
  }
}

template <class T>
int give(T** out) {
  *out = reinterpret_cast<T*>(1);
  return success;
}

int allocate(void** out, std::size_t size) {
  *out = std::calloc(1, size);
  return success;
}

int clear(void* host, std::size_t size) {
  std::memset(host, 0, size);
  return success;
}

}  // namespace

extern "C" {

int cuInit(unsigned) { return success; }
int cuDriverGetVersion(int* version) { return *version = 12000, success; }
int cuGetErrorName(int, const char** text) { return *text = "stub", success; }
int cuGetErrorString(int, const char** text) { return *text = "stub", success; }

int cuDeviceGetCount(int* count) { return *count = 1, success; }
int cuDeviceGet(int* device, int) { return *device = 0, success; }
int cuDeviceGetName(char* name, int size, int) {
  std::strncpy(name, "cross-compile", static_cast<std::size_t>(size));
  return success;
}
int cuDeviceGetAttribute(int* value, std::uint32_t which, int) { return *value = attribute(which), success; }
int cuDeviceGetDefaultMemPool(void** pool, int) { return give(pool); }
int cuCtxCreate_v2(void** context, unsigned, int) { return give(context); }
int cuCtxGetCurrent(void** context) { return give(context); }
int cuCtxSetCurrent(void*) { return success; }
int cuCtxSetLimit(int, std::size_t) { return success; }
int cuDevicePrimaryCtxRetain(void** context, int) { return give(context); }

int cuMemAlloc_v2(void** out, std::size_t size) { return allocate(out, size); }
int cuMemAllocAsync(void** out, std::size_t size, void*) { return allocate(out, size); }
int cuMemAllocManaged(void** out, std::size_t size, unsigned) { return allocate(out, size); }
int cuMemFree_v2(void* memory) { return std::free(memory), success; }
int cuMemFreeAsync(void* memory, void*) { return std::free(memory), success; }
int cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
  return *free = *total = std::size_t{8} << 30, success;
}
int cuMemAdvise(void*, std::size_t, int, int) { return success; }
int cuMemPoolSetAttribute(void*, int, void*) { return success; }
int cuMemsetD8_v2(void*, unsigned char, std::size_t) { return success; }
int cuMemsetD32_v2(void*, unsigned, std::size_t) { return success; }
int cuMemcpyHtoD_v2(void*, const void*, std::size_t) { return success; }
int cuMemcpyDtoH_v2(void* host, const void*, std::size_t size) { return clear(host, size); }
int cuMemcpyDtoD_v2(void*, const void*, std::size_t) { return success; }
int cuMemcpyHtoDAsync_v2(void*, const void*, std::size_t, void*) { return success; }
int cuMemcpyDtoHAsync_v2(void* host, const void*, std::size_t size, void*) { return clear(host, size); }
int cuPointerGetAttribute(void* out, int, void*) {
  const std::uint32_t device_memory = 2;
  std::memcpy(out, &device_memory, sizeof device_memory);
  return success;
}

int cuModuleLoadDataEx(void** module, const char*, unsigned, int*, void**) { return give(module); }
int cuModuleGetFunction(void** function, void*, const char*) { return give(function); }
int cuFuncGetAttribute(int* value, int, void*) { return *value = 1024, success; }
int cuFuncSetAttribute(void*, int, int) { return success; }
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void*, int, std::size_t) {
  return *blocks = 2, success;
}
int cuLaunchKernel(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*, void**,
                   void**) {
  return success;
}

int cuStreamCreate(void** stream, unsigned) { return give(stream); }
int cuStreamSynchronize(void*) { return success; }
int cuEventCreate(void** event, unsigned) { return give(event); }
int cuEventDestroy(void*) { return success; }
int cuEventDestroy_v2(void*) { return success; }
int cuEventRecord(void*, void*) { return success; }
int cuEventSynchronize(void*) { return success; }
int cuEventElapsedTime(float* milliseconds, void*, void*) { return *milliseconds = 0, success; }

// Taichi looks these up and never calls them here.
int cuImportExternalMemory() { return success; }
int cuExternalMemoryGetMappedBuffer() { return success; }
int cuExternalMemoryGetMappedMipmappedArray() { return success; }
int cuMipmappedArrayGetLevel() { return success; }
int cuSurfObjectCreate() { return success; }
int cuSignalExternalSemaphoresAsync() { return success; }
int cuWaitExternalSemaphoresAsync() { return success; }
int cuImportExternalSemaphore() { return success; }

}  // extern "C"
