// A rule or a loss of one's own on a GPU: what goes into a sequence between kernels.
#pragma once

#include <memory>

#include "module/device_code.hpp"
#include "module/pointwise.hpp"
#include "runtime/device_memory.hpp"
#include "runtime/sequence.hpp"

namespace diffrt::module {

class PointwiseOnDevice {
 public:
  // For `capacity` items. Throws DeviceError if the model's file has no code for the device. `function`
  // outlives this, and what is recorded.
  PointwiseOnDevice(const Pointwise& function, const std::shared_ptr<runtime::Device>& device, int capacity);

  int capacity() const { return static_cast<int>(capacity_); }
  // Where one of the form's numbers is to be written; size 0: it is not taken.
  runtime::DeviceArray<float> input(int k) const;
  // Values of items, and behind them planes of partials, `capacity` apart.
  const runtime::DeviceBuffer<float>& results() const { return results_; }
  // The plane of the partial by one of the form's numbers; -1: there is none.
  int plane(int k) const { return function_.plane(k); }
  void record(runtime::Sequence& sequence, const runtime::Bounds& bounds) const;

 private:
  const Pointwise& function_;
  const runtime::KernelCode& code_;
  const std::size_t capacity_;
  runtime::DeviceBuffer<float> constants_, uniforms_, inputs_, results_;
};

}  // namespace diffrt::module
