#include "module/loss_on_device.hpp"

namespace diffrt::module {

void LossOnDevice::record(runtime::Sequence& sequence, const kernels::DeviceTable& kernels,
                          kernels::Array<float> residual, kernels::Array<float> weight,
                          kernels::Array<float> costs) const {
  const PointwiseOnDevice& loss = *on_device_;
  const runtime::Bounds all = runtime::Bounds::range(0, loss.capacity());
  if (loss.input(0).size > 0) {
    kernels::loss_squares_arguments a;
    a.residual = residual, a.squares = runtime::array(loss.input(0));
    sequence.launch(kernels.loss_squares, a, all);
  }
  loss.record(sequence, all);
  kernels::loss_results_arguments a;
  a.stride = loss.capacity(), a.slope = loss.plane(0);
  a.results = array(loss.results()), a.weight = weight, a.costs = costs;
  sequence.launch(kernels.loss_results, a, all);
}

}  // namespace diffrt::module
