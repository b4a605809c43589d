// A result that stays on the GPU that computed it: an image, or the columns of J.
//
//   diffrt::DeviceArray image = renderer.render_on_device(theta);
//   my_kernel<<<...>>>(reinterpret_cast<const float*>(image.address()), ...);
//
// It is complete when the call that returned it has returned, so that any stream may read it. Copies share
// the memory, which outlives the renderer. Whoever holds a copy keeps it: the renderer takes the memory for
// another result only when there is none left. A kernel that still reads it then must be on the renderer's
// stream, or told of by used_on(). All of it may be called, and the last copy may go, on any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "diffrt/export.hpp"
#include "diffrt/span.hpp"

namespace diffrt {

namespace renderer::gpu {
class Result;  // internal
}

class DIFFRT_API DeviceArray {
 public:
  DeviceArray() = default;
  DeviceArray(std::shared_ptr<const renderer::gpu::Result> memory, std::vector<std::int64_t> shape,
              std::vector<std::int64_t> strides)
      : memory_(std::move(memory)), shape_(std::move(shape)), strides_(std::move(strides)) {}

  const std::vector<std::int64_t>& shape() const { return shape_; }
  const std::vector<std::int64_t>& strides() const { return strides_; }  // [numbers]
  std::size_t size() const;                                              // numbers, float32
  bool empty() const { return memory_ == nullptr; }

  std::string device() const;  // "cuda:0"
  bool is_cuda() const;
  int device_index() const;
  // Of the first number: a CUdeviceptr, or on Vulkan, whose memory nobody else can reach, a mere name.
  std::uint64_t address() const;

  // Copies to the host, in the order of memory: as many numbers as size(), to be seen with strides().
  void fetch(Span<float> out) const;
  // The same in memory of its own.
  DeviceArray copy() const;
  // A kernel on this CUDA stream reads it and may not be done when the last copy goes; 0: on streams unknown.
  void used_on(std::uintptr_t stream) const;

 private:
  std::shared_ptr<const renderer::gpu::Result> memory_;
  std::vector<std::int64_t> shape_, strides_;
};

}  // namespace diffrt
