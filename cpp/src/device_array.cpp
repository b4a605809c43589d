#include "diffrt/device_array.hpp"

#include <string>

#include "check_span.hpp"
#include "diffrt/errors.hpp"
#include "renderer/device/results.hpp"
#include "runtime/devices.hpp"
#include "runtime/sequence.hpp"

namespace diffrt {

namespace {

const renderer::gpu::Result& held(const std::shared_ptr<const renderer::gpu::Result>& memory) {
  if (memory == nullptr) throw ArgumentError("DeviceArray: is empty; Renderer::render_on_device makes one");
  return *memory;
}

}  // namespace

std::size_t DeviceArray::size() const {
  std::size_t size = memory_ == nullptr ? 0 : 1;
  for (const std::int64_t length : shape_) size *= static_cast<std::size_t>(length);
  return size;
}

std::string DeviceArray::device() const { return held(memory_).device().details().device; }

bool DeviceArray::is_cuda() const { return held(memory_).device().kind() == runtime::DeviceKind::cuda; }

int DeviceArray::device_index() const { return runtime::parse_device(device()).index; }

std::uint64_t DeviceArray::address() const { return held(memory_).address(); }

void DeviceArray::fetch(Span<float> out) const {
  check_span("out", out, size(), "the array's");
  held(memory_).fetch(0, out.size() * sizeof(float), out.data());
}

DeviceArray DeviceArray::copy() const {
  const std::size_t bytes = size() * sizeof(float);
  const auto made = held(memory_).home().take(bytes, 0);
  const auto sequence = held(memory_).device().make_sequence();
  sequence->copy(made->array<unsigned char>(0, bytes), held(memory_).array<unsigned char>(0, bytes));
  sequence->finish();
  sequence->run();
  sequence->wait();
  return {made, shape_, strides_};
}

void DeviceArray::used_on(std::uintptr_t stream) const { held(memory_).used_on(stream); }

}  // namespace diffrt
