// A robust loss that is a model, on a GPU: in a sequence behind the residuals of least squares.
#pragma once

#include <iterator>
#include <memory>

#include "module/pointwise_on_device.hpp"
#include "renderer/kernel_loss.hpp"

namespace diffrt::module {

class LossOnDevice {
 public:
  // Among recordings by losses, that of a model: behind those that kernels know.
  static constexpr int index = std::size(kernels::DeviceTable{}.residuals);

  // Before what is recorded with that loss runs, for `count` residuals. Calls forget(), where it is another
  // loss than before: recordings with it are to be made anew. Returns which loss that is among recordings.
  template <class F>
  int take(const renderer::KernelLoss& loss, const std::shared_ptr<runtime::Device>& device, int count,
           F&& forget) {
    if (loss.function == nullptr) return loss.index;
    if (function_ == nullptr || !(*function_ == *loss.function)) {
      auto made = std::make_unique<PointwiseOnDevice>(*loss.function, device, count);
      forget();
      on_device_ = std::move(made), function_ = loss.function;
    }
    return index;
  }
  // Which kernel makes residuals for it.
  static int kernel_of(int loss) { return loss == index ? kernels::loss_least_squares : loss; }

  // What least squares have left, w r^2 and w, becomes w rho and w rho'.
  void record(runtime::Sequence& sequence, const kernels::DeviceTable& kernels,
              kernels::Array<float> residual, kernels::Array<float> weight,
              kernels::Array<float> costs) const;

 private:
  std::shared_ptr<const Pointwise> function_;  // of the last that had one
  std::unique_ptr<PointwiseOnDevice> on_device_;
};

}  // namespace diffrt::module
