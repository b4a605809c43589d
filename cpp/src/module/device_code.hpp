// A model's functions as GPUs are given them: kernels of a file's sections "cuda" and "vulkan".
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "diffrt/span.hpp"
#include "module/manifest.hpp"
#include "runtime/device.hpp"

namespace diffrt::module {

enum class FunctionKind { prepare, value, rows };

// What a kernel is launched with; on the device, the same as in python/diffrt_aot/model/spirv.py and
// llvm_text.py, BLOCK.
struct DeviceArguments {
  std::int32_t begin = 0, end = 0;
  std::int32_t width = 0, padded = 0, stride = 0, input_stride = 0;
  kernels::Array<float> parameters{}, constants{}, inputs{};
  kernels::Array<std::int32_t> indices{};
  kernels::Array<float> tables{};
  kernels::Array<std::int32_t> sizes{};
  kernels::Array<float> uniforms{}, out{};
  kernels::Array<std::int32_t> ids{};
};

// The kernels of one model, for one kind of GPU. Devices forget them when they go.
class DeviceCode {
 public:
  // `section`: of the file; `offsets`: of prepare, value and rows. Throws ModuleError if they are none.
  DeviceCode(runtime::DeviceKind kind, Span<const unsigned char> section,
             const std::array<std::size_t, 3>& offsets, const std::string& model, const std::string& path);
  ~DeviceCode();
  DeviceCode(const DeviceCode&) = delete;
  DeviceCode& operator=(const DeviceCode&) = delete;

  const runtime::KernelCode& operator[](FunctionKind function) const {
    return kernels_[static_cast<std::size_t>(function)].code;
  }
  // Before a device is given it.
  void used_by(const std::shared_ptr<runtime::Device>& device);

 private:
  struct Kernel {
    std::string name, entry;
    std::vector<unsigned char> bytes;
    runtime::KernelCode code{};
  };
  void take_ptx(Kernel& kernel, Span<const unsigned char> section, std::size_t offset);
  void take_spirv(Kernel& kernel, Span<const unsigned char> section, std::size_t offset);
  [[noreturn]] void refuse() const;

  const std::string path_;
  std::array<Kernel, 3> kernels_;
  std::mutex mutex_;
  std::vector<std::weak_ptr<runtime::Device>> devices_;
};

// Those of a model, made when they are asked for first.
class DeviceCodes {
 public:
  DeviceCodes(std::string model, std::string path, std::string targets)
      : model_(std::move(model)), path_(std::move(path)), targets_(std::move(targets)) {}
  // `section` stays where it is.
  void add(const std::string& name, Span<const unsigned char> section,
           const std::array<std::size_t, 3>& offsets);
  bool has(runtime::DeviceKind kind) { return !part(kind).section.empty(); }
  // Throws DeviceError if the file has none for the device.
  DeviceCode& of(const std::shared_ptr<runtime::Device>& device);

 private:
  struct Part {
    Span<const unsigned char> section;
    std::array<std::size_t, 3> offsets{};
    std::unique_ptr<DeviceCode> code;
  };
  Part& part(runtime::DeviceKind kind) { return kind == runtime::DeviceKind::cuda ? cuda_ : vulkan_; }

  const std::string model_, path_, targets_;
  std::mutex mutex_;
  Part cuda_, vulkan_;
};

}  // namespace diffrt::module
