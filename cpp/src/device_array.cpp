#include "diffrt/device_array.hpp"

#include <string>

#include "diffrt/errors.hpp"
#include "renderer/device/results.hpp"
#include "runtime/devices.hpp"
#include "runtime/sequence.hpp"

namespace diffrt {

std::size_t DeviceArray::size() const {
  std::size_t size = memory_ == nullptr ? 0 : 1;
  for (const std::int64_t length : shape_) size *= static_cast<std::size_t>(length);
  return size;
}

std::string DeviceArray::device() const { return memory_->device().details().device; }

bool DeviceArray::is_cuda() const { return memory_->device().kind() == runtime::DeviceKind::cuda; }

int DeviceArray::device_index() const { return runtime::parse_device(device()).index; }

std::uint64_t DeviceArray::address() const { return memory_->address(); }

void DeviceArray::fetch(Span<float> out) const {
  if (out.size() != size()) {
    throw ArgumentError("out: has " + std::to_string(out.size()) + " numbers, expected " +
                        std::to_string(size()));
  }
  memory_->fetch(0, out.size() * sizeof(float), out.data());
}

DeviceArray DeviceArray::copy() const {
  const std::size_t bytes = size() * sizeof(float);
  const auto made = memory_->home().take(bytes, 0);
  const auto sequence = memory_->device().make_sequence();
  sequence->copy(made->array<unsigned char>(0, bytes), memory_->array<unsigned char>(0, bytes));
  sequence->finish();
  sequence->run();
  sequence->wait();
  return {made, shape_, strides_};
}

void DeviceArray::used_on(std::uintptr_t stream) const { memory_->used_on(stream); }

}  // namespace diffrt
