// A robust loss as the residual kernels take it.
#pragma once

#include "diffrt/loss.hpp"

namespace diffrt::renderer {

struct KernelLoss {
  int index = 0;
  float scale = 1, alpha = 1;
  // A loss of a model: what a kernel has made of least squares, `index`, becomes that of the loss.
  std::shared_ptr<const module::Pointwise> function = nullptr;
};
KernelLoss kernel_loss(const Loss& loss);  // throws ArgumentError

}  // namespace diffrt::renderer
