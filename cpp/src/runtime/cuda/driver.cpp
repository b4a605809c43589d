#include "runtime/cuda/driver.hpp"

#include <mutex>

#include "runtime/device.hpp"
#include "runtime/fork.hpp"

namespace diffrt::runtime::cuda {
namespace {

// The first with cuGraphInstantiateWithFlags.
constexpr int oldest_version = 11040;

std::string version_of(int version) {
  return "CUDA " + std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// After these the context, which the whole process shares, answers every call with the same error.
bool ends_context(CUresult result) {
  switch (result) {
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_CONTEXT_IS_DESTROYED:
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_INVALID_PC:
    case CUDA_ERROR_LAUNCH_FAILED:
      return true;
    default:
      return false;
  }
}

struct Shared {
  std::mutex mutex;
  std::weak_ptr<const Driver> driver;
};
PerProcess<Shared> shared_driver;
UsedBy opened_by;

}  // namespace

std::shared_ptr<const Driver> Driver::open() {
  Shared& shared = shared_driver.get();
  const std::lock_guard<std::mutex> lock(shared.mutex);
  std::shared_ptr<const Driver> driver = shared.driver.lock();
  if (driver == nullptr) shared.driver = driver = std::shared_ptr<const Driver>(new Driver);
  return driver;
}

Driver::Driver() : library_("libcuda.so.1", "DIFFRT_CUDA_LIBRARY") {
  load_functions();
  if (!opened_by.this_process()) throw opened_before_fork("the NVIDIA driver");
  const CUresult result = functions_.cuInit(0);
  if (result == CUDA_ERROR_NO_DEVICE)
    throw DeviceError("the NVIDIA driver finds no GPU (CUDA_VISIBLE_DEVICES?)");
  if (result == CUDA_ERROR_STUB_LIBRARY)
    throw DeviceError(library_.name() + " is a stub; the driver's own is not found");
  if (result == CUDA_ERROR_SYSTEM_DRIVER_MISMATCH)
    throw DeviceError(library_.name() +
                      " and the kernel's NVIDIA driver are of different versions; reboot, or reinstall it");
  if (result == CUDA_ERROR_NOT_INITIALIZED) throw opened_before_fork("the NVIDIA driver");  // by others
  if (result != CUDA_SUCCESS) throw DeviceError("the NVIDIA driver does not start: " + text(result));
  functions_.cuDriverGetVersion(&version_);
  if (version_ < oldest_version) {
    throw DeviceError("the NVIDIA driver is too old: it is of " + version_text() + ", " +
                      version_of(oldest_version) + " is needed (driver 470 or later). Update it.");
  }
  functions_.cuDeviceGetCount(&device_count_);
  if (device_count_ == 0) throw DeviceError("the NVIDIA driver finds no GPU (CUDA_VISIBLE_DEVICES?)");
}

void Driver::load_functions() {
  const auto find = [&](const char* symbol) {
    void* const function = library_.symbol(symbol);
    if (function != nullptr) return function;
    throw DeviceError("the NVIDIA driver is too old: " + library_.name() + " has no " + symbol + ". " +
                      version_of(oldest_version) + " is needed (driver 470 or later). Update it.");
  };
#define DIFFRT_LOAD(function, arguments) \
  functions_.function = reinterpret_cast<CUresult(*) arguments>(find(#function));
  DIFFRT_CUDA_FUNCTIONS(DIFFRT_LOAD)
#undef DIFFRT_LOAD
}

std::string Driver::version_text() const { return version_of(version_); }

DeviceDetails Driver::details(int index) const {
  CUdevice device = 0;
  check(functions_.cuDeviceGet(&device, index), "cuDeviceGet");
  char name[256] = {};
  std::size_t memory = 0;
  int major = 0, minor = 0;
  check(functions_.cuDeviceGetName(name, sizeof name, device), "cuDeviceGetName");
  check(functions_.cuDeviceTotalMem_v2(&memory, device), "cuDeviceTotalMem");
  check(functions_.cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device),
        "cuDeviceGetAttribute");
  check(functions_.cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device),
        "cuDeviceGetAttribute");
  DeviceDetails details;
  details.device = "cuda:" + std::to_string(index);
  details.name = name;
  details.driver =
      version_text() + ", compute capability " + std::to_string(major) + "." + std::to_string(minor);
  details.memory = memory;
  return details;
}

std::string Driver::text(CUresult result) const {
  const char *name = nullptr, *description = nullptr;
  functions_.cuGetErrorName(result, &name);
  functions_.cuGetErrorString(result, &description);
  std::string text = name == nullptr ? "CUresult " + std::to_string(static_cast<int>(result)) : name;
  if (description != nullptr) text += std::string(" (") + description + ")";
  return text;
}

void Driver::fail(CUresult result, const char* call, Device* device) const {
  const std::string label =
      device == nullptr ? "" : device->details().device + " (" + device->details().name + "): ";
  const std::string what = label + call + " failed with " + text(result) + ". ";
  if (ends_context(result)) {
    if (device != nullptr) device->mark_lost();
    throw DeviceLostError(
        what +
        "The GPU's context is lost, for all that this process has there: start the process again to "
        "use the GPU, or go on with device=\"cpu\".");
  }
  if (result == CUDA_ERROR_OUT_OF_MEMORY)
    throw DeviceMemoryError(what + "Free some, use a smaller image or fewer outputs, or device=\"cpu\".");
  if (result == CUDA_ERROR_DEINITIALIZED) throw DeviceError(what + "The process is ending.");
  throw DeviceError(what + "Use device=\"cpu\"; if it comes again, please report it.");
}

}  // namespace diffrt::runtime::cuda
