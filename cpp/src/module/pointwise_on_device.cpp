#include "module/pointwise_on_device.hpp"

#include <algorithm>

#include "renderer/device/staging.hpp"

namespace diffrt::module {

PointwiseOnDevice::PointwiseOnDevice(const Pointwise& function,
                                     const std::shared_ptr<runtime::Device>& device, int capacity)
    : function_(function),
      code_(function.loaded().devices->of(device)[FunctionKind::rows]),
      capacity_(static_cast<std::size_t>(capacity)),
      inputs_(*device, capacity_ * static_cast<std::size_t>(std::max(function.taken(), 1))),
      results_(*device, capacity_ * static_cast<std::size_t>(1 + function.partials())) {
  renderer::gpu::Once once(*device);
  constants_ = once.send(function.constants()), uniforms_ = once.send(function.uniforms());
  once.finish();
}

runtime::DeviceArray<float> PointwiseOnDevice::input(int k) const {
  if (!function_.takes(k)) return {};
  return inputs_.array().part(static_cast<std::size_t>(function_.place(k)) * capacity_, capacity_);
}

void PointwiseOnDevice::record(runtime::Sequence& sequence, const runtime::Bounds& bounds) const {
  DeviceArguments a;
  a.width = a.padded = a.stride = a.input_stride = static_cast<std::int32_t>(capacity_);
  a.constants = array(constants_), a.inputs = array(inputs_), a.uniforms = array(uniforms_);
  a.out = array(results_);
  // What a pointwise model does not have: anything will do.
  a.parameters = a.tables = a.constants;
  const runtime::DeviceArray<std::int32_t> words{constants_.array().address, constants_.size()};
  a.indices = a.sizes = a.ids = runtime::array(words);
  sequence.launch(code_, a, bounds);
}

}  // namespace diffrt::module
