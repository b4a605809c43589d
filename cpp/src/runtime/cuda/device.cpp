#include "runtime/cuda/device.hpp"

#include <cstring>

#include "runtime/cuda/sequence.hpp"

namespace diffrt::runtime::cuda {

CurrentContext::CurrentContext(CudaDevice& device) : cu_(device.cu()) {
  CUcontext current = nullptr;
  if (cu_.cuCtxGetCurrent(&current) == CUDA_SUCCESS && current == device.context()) return;
  device.check(cu_.cuCtxPushCurrent_v2(device.context()), "cuCtxPushCurrent");
  pushed_ = true;
}

CurrentContext::~CurrentContext() {
  CUcontext ours = nullptr;
  if (pushed_) cu_.cuCtxPopCurrent_v2(&ours);
}

CudaDevice::CudaDevice(std::shared_ptr<const Driver> driver, int index)
    : Device(DeviceKind::cuda, driver->details(index)), driver_(std::move(driver)) {
  check(cu().cuDeviceGet(&device_, index), "cuDeviceGet");
  check(cu().cuDevicePrimaryCtxRetain(&context_, device_), "cuDevicePrimaryCtxRetain");
  try {
    const CurrentContext current(*this);
    check(cu().cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
  } catch (...) {
    cu().cuDevicePrimaryCtxRelease_v2(device_);
    throw;
  }
}

CudaDevice::~CudaDevice() {
  try {
    const CurrentContext current(*this);
    for (const auto& [code, kernel] : kernels_) cu().cuModuleUnload(kernel.module);
    cu().cuStreamDestroy_v2(stream_);
  } catch (const DeviceError&) {  // a lost context has nothing left to free
  }
  cu().cuDevicePrimaryCtxRelease_v2(device_);
}

std::unique_ptr<Sequence> CudaDevice::make_sequence() {
  return std::make_unique<CudaSequence>(std::static_pointer_cast<CudaDevice>(shared_from_this()));
}

void CudaDevice::order(Stream later, Stream earlier) {
  check_usable();
  const CurrentContext current(*this);
  const auto stream = [this](Stream of) { return reinterpret_cast<CUstream>(handle(of)); };
  CUevent event = nullptr;
  check(cu().cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "cuEventCreate");
  CUresult result = cu().cuEventRecord(event, stream(earlier));
  const bool recorded = result == CUDA_SUCCESS;
  if (recorded) result = cu().cuStreamWaitEvent(stream(later), event, 0);
  cu().cuEventDestroy_v2(event);  // the driver keeps it until it has come
  check(result, recorded ? "cuStreamWaitEvent" : "cuEventRecord");
}

void CudaDevice::synchronize() {
  check_usable();
  const CurrentContext current(*this);
  check(cu().cuCtxSynchronize(), "cuCtxSynchronize");
}

CUfunction CudaDevice::function(const KernelCode& code) {
  check_usable();
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto known = kernels_.find(&code);
  if (known != kernels_.end()) return known->second.function;
  const Kernel kernel = compile(code);
  kernels_.emplace(&code, kernel);
  return kernel.function;
}

void CudaDevice::forget(const KernelCode& code) noexcept {
  if (forked()) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto known = kernels_.find(&code);
  if (known == kernels_.end()) return;
  try {
    const CurrentContext current(*this);
    cu().cuModuleUnload(known->second.module);
  } catch (...) {  // a lost context: its modules are gone
  }
  kernels_.erase(known);
}

CudaDevice::Kernel CudaDevice::compile(const KernelCode& code) {
  const std::vector<unsigned char> text = expand(code);
  const CurrentContext current(*this);
  char log[4096] = {};
  int options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void* values[] = {log, reinterpret_cast<void*>(sizeof log)};
  Kernel kernel;
  const CUresult result = cu().cuModuleLoadDataEx(&kernel.module, text.data(), 2, options, values);
  const std::string what = details().device + " (" + details().name + "): the kernel '" + code.name + "' ";
  switch (result) {
    case CUDA_SUCCESS:
      break;
    case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
      throw DeviceError(what + "is of a newer PTX version than the driver knows, which is of " +
                        driver_->version_text() + ". Update the NVIDIA driver, or use device=\"cpu\".");
    case CUDA_ERROR_NO_BINARY_FOR_GPU:
      throw DeviceError(what + "is for newer GPUs than this one (" + details().driver +
                        "). Use device=\"cpu\".");
    case CUDA_ERROR_JIT_COMPILER_NOT_FOUND:
      throw DeviceError(
          what + "is not compiled: libnvidia-ptxjitcompiler.so is missing, which comes with the NVIDIA " +
          "driver (in containers: NVIDIA_DRIVER_CAPABILITIES=compute). Or use device=\"cpu\".");
    case CUDA_ERROR_INVALID_PTX:
      throw DeviceError(what + "is refused by the driver, which is of " + driver_->version_text() + ": " +
                        log + ". Update the NVIDIA driver, or use device=\"cpu\".");
    default:
      check(result, (std::string("cuModuleLoadDataEx of '") + code.name + "'").c_str());
  }
  const CUresult found = cu().cuModuleGetFunction(&kernel.function, kernel.module, code.entry);
  if (found != CUDA_SUCCESS) {
    cu().cuModuleUnload(kernel.module);
    check(found, (std::string("cuModuleGetFunction of '") + code.entry + "'").c_str());
  }
  return kernel;
}

void CudaDevice::allocate_memory(Allocation& allocation) {
  const CurrentContext current(*this);
  const bool pinned = allocation.memory == Memory::upload || allocation.memory == Memory::download;
  CUresult result;
  if (pinned) {
    result = cu().cuMemHostAlloc(&allocation.host, allocation.bytes,
                                 CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP);
    allocation.address = reinterpret_cast<Address>(allocation.host);  // host and device address it alike
  } else {
    result = cu().cuMemAlloc_v2(&allocation.address, allocation.bytes);
  }
  if (result != CUDA_ERROR_OUT_OF_MEMORY) {
    check(result, pinned ? "cuMemHostAlloc" : "cuMemAlloc");
    return;
  }
  std::size_t free = 0, total = details().memory;
  cu().cuMemGetInfo_v2(&free, &total);
  throw DeviceMemoryError(details().device + " (" + details().name + "): out of memory. Asked for " +
                          bytes_text(allocation.bytes) + (pinned ? " of the host's pinned memory; " : "; ") +
                          bytes_text(free) + " of the device's " + bytes_text(total) +
                          " are free. Free some, use a smaller image or fewer outputs, or device=\"cpu\".");
}

void CudaDevice::free_memory(Allocation& allocation) noexcept {
  try {
    const CurrentContext current(*this);
    if (allocation.host != nullptr) {
      cu().cuMemFreeHost(allocation.host);
    } else {
      cu().cuMemFree_v2(allocation.address);
    }
  } catch (...) {  // a lost context: its memory is gone
  }
}

void CudaDevice::check_external(Address address, std::size_t) {
  const CurrentContext current(*this);
  int ordinal = -1;
  if (cu().cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address) != CUDA_SUCCESS)
    throw DeviceError(details().device +
                      ": the array is not in CUDA's memory. Pass a CUDA array, or a NumPy array.");
  if (ordinal >= 0 && ordinal != device_) {
    throw DeviceError(details().device + ": the array is on cuda:" + std::to_string(ordinal) +
                      ". Move it to " + details().device +
                      ", or use device=\"cuda:" + std::to_string(ordinal) + "\".");
  }
}

}  // namespace diffrt::runtime::cuda
