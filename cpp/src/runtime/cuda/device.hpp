// Device on CUDA: the primary context, so that pointers of other libraries are valid.
#pragma once

#include <map>
#include <mutex>

#include "runtime/cuda/driver.hpp"
#include "runtime/device.hpp"

namespace diffrt::runtime::cuda {

class CudaDevice : public Device {
 public:
  // Throws DeviceError.
  CudaDevice(std::shared_ptr<const Driver> driver, int index);
  ~CudaDevice() override;

  std::unique_ptr<Sequence> make_sequence() override;
  void load(const KernelCode& kernel) override { function(kernel); }
  void forget(const KernelCode& kernel) noexcept override;

  Stream handle(Stream stream) const override {
    return stream == 0 ? reinterpret_cast<Stream>(stream_) : stream;
  }
  void order(Stream later, Stream earlier) override;
  void synchronize() override;

  const Functions& cu() const { return driver_->cu(); }
  void check(CUresult result, const char* call) { driver_->check(result, call, this); }
  CUcontext context() const { return context_; }
  CUstream stream() const { return stream_; }
  CUfunction function(const KernelCode& kernel);

 protected:
  void allocate_memory(Allocation& allocation) override;
  void free_memory(Allocation& allocation) noexcept override;
  void check_external(Address address, std::size_t bytes) override;

 private:
  struct Kernel {
    CUmodule module = nullptr;
    CUfunction function = nullptr;
  };
  Kernel compile(const KernelCode& kernel);

  const std::shared_ptr<const Driver> driver_;
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
  CUstream stream_ = nullptr;
  std::mutex mutex_;
  std::map<const KernelCode*, Kernel> kernels_;
};

// The device's context is the thread's current one while this lives; the caller's is as it was afterwards.
class CurrentContext {
 public:
  explicit CurrentContext(CudaDevice& device);
  ~CurrentContext();
  CurrentContext(const CurrentContext&) = delete;
  CurrentContext& operator=(const CurrentContext&) = delete;

 private:
  const Functions& cu_;
  bool pushed_ = false;
};

}  // namespace diffrt::runtime::cuda
