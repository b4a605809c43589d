// The CUDA driver: its functions, the devices it finds, and what its errors mean.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "diffrt/info.hpp"
#include "runtime/cuda/api.hpp"
#include "runtime/shared_library.hpp"

namespace diffrt::runtime {
class Device;
}

namespace diffrt::runtime::cuda {

class Driver {
 public:
  // Started, and shared by all who hold it. Throws DeviceError: no driver, too old, no device.
  static std::shared_ptr<const Driver> open();

  const Functions& cu() const { return functions_; }
  int device_count() const { return device_count_; }
  DeviceDetails details(int index) const;

  // "CUDA_ERROR_ILLEGAL_ADDRESS (an illegal memory access was encountered)"
  std::string text(CUresult result) const;
  // "CUDA 12.4": the newest version that the driver knows.
  std::string version_text() const;

  // Throws unless the call succeeded; `device`, if any, is marked as lost where there is no going on.
  void check(CUresult result, const char* call, Device* device = nullptr) const {
    if (result != CUDA_SUCCESS) fail(result, call, device);
  }
  [[noreturn]] void fail(CUresult result, const char* call, Device* device) const;

 private:
  Driver();
  void load_functions();

  SharedLibrary library_;
  Functions functions_;
  int version_ = 0, device_count_ = 0;
};

}  // namespace diffrt::runtime::cuda
