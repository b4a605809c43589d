#include "module/device_code.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "diffrt/errors.hpp"

namespace diffrt::module {
namespace {

using runtime::ArgumentType;
using runtime::DeviceKind;

// Of SPIR-V: the size of its groups, as spirv.py writes it. Of PTX: what suits.
constexpr std::uint32_t local_size = 64, cuda_block = 128;
constexpr std::string_view entry_mark = ".visible .entry ";
constexpr std::array<const char*, 3> function_names{"prepare", "value", "rows"};

constexpr std::uint32_t scalar_bytes = 16, address_bytes = 8;  // four numbers first, then addresses
constexpr std::int32_t first_array = 2;                        // binding

// In the order of their bindings, and of their addresses.
#define DIFFRT_SCALAR(name, place) \
  { #name, ArgumentType::int32, offsetof(DeviceArguments, name), 4 * (place), -1 }
#define DIFFRT_ARRAY(name, type, place)                                 \
  {                                                                     \
#name, ArgumentType::type##_array, offsetof(DeviceArguments, name), \
        scalar_bytes + address_bytes*(place), first_array + (place)     \
  }
constexpr runtime::Argument arguments[] = {
    DIFFRT_SCALAR(width, 0),
    DIFFRT_SCALAR(padded, 1),
    DIFFRT_SCALAR(stride, 2),
    DIFFRT_SCALAR(input_stride, 3),
    DIFFRT_ARRAY(parameters, float32, 0),
    DIFFRT_ARRAY(constants, float32, 1),
    DIFFRT_ARRAY(inputs, float32, 2),
    DIFFRT_ARRAY(indices, int32, 3),
    DIFFRT_ARRAY(tables, float32, 4),
    DIFFRT_ARRAY(sizes, int32, 5),
    DIFFRT_ARRAY(uniforms, float32, 6),
    DIFFRT_ARRAY(out, float32, 7),
    DIFFRT_ARRAY(ids, int32, 8),
};
#undef DIFFRT_SCALAR
#undef DIFFRT_ARRAY
constexpr std::uint32_t arrays = 9;

}  // namespace

void DeviceCode::refuse() const {
  throw ModuleError(path_ +
                    ": its code for GPUs is damaged; compile the models again with diffrt-aot compile");
}

DeviceCode::DeviceCode(DeviceKind kind, Span<const unsigned char> section,
                       const std::array<std::size_t, 3>& offsets, const std::string& model,
                       const std::string& path)
    : path_(path) {
  const bool cuda = kind == DeviceKind::cuda;
  for (std::size_t k = 0; k < kernels_.size(); ++k) {
    Kernel& kernel = kernels_[k];
    kernel.name = model + "." + function_names[k];
    if (cuda) {
      take_ptx(kernel, section, offsets[k]);
    } else {
      take_spirv(kernel, section, offsets[k]);
    }
    runtime::KernelCode& code = kernel.code;
    code.name = kernel.name.c_str(), code.entry = kernel.entry.c_str();
    code.code = kernel.bytes.data(), code.size = kernel.bytes.size();
    code.block = cuda ? cuda_block : local_size;
    code.argument_bytes = cuda ? scalar_bytes + address_bytes * arrays : scalar_bytes;
    code.argument_binding = cuda ? -1 : 0, code.argument_is_uniform = !cuda;
    code.bounds_binding = cuda ? -1 : 1;
    code.begin_offset = 0, code.end_offset = 4;
    code.arguments = arguments, code.argument_count = std::size(arguments);
  }
}

// One kernel of a text of many: what stands before all of them, and its own.
void DeviceCode::take_ptx(Kernel& kernel, Span<const unsigned char> section, std::size_t offset) {
  const std::string_view text(reinterpret_cast<const char*>(section.data()), section.size());
  const std::size_t first = text.find(entry_mark), begin = text.rfind(entry_mark, offset),
                    name_end = text.find('(', offset);
  if (first == text.npos || begin == text.npos || begin + entry_mark.size() != offset ||
      name_end == text.npos)
    refuse();
  const std::size_t end = text.find(entry_mark, offset);
  kernel.entry = text.substr(offset, name_end - offset);
  const std::string_view head = text.substr(0, first), body = text.substr(begin, end - begin);
  kernel.bytes.assign(head.begin(), head.end());
  kernel.bytes.insert(kernel.bytes.end(), body.begin(), body.end());
}

void DeviceCode::take_spirv(Kernel& kernel, Span<const unsigned char> section, std::size_t offset) {
  std::uint32_t size = 0;
  if (offset > section.size() || section.size() - offset < sizeof size) refuse();
  std::memcpy(&size, section.data() + offset, sizeof size);
  offset += sizeof size;
  constexpr std::uint32_t magic = 0x07230203;
  std::uint32_t word = 0;
  if (size % 4 != 0 || size < 20 || section.size() - offset < size) refuse();
  std::memcpy(&word, section.data() + offset, sizeof word);
  if (word != magic) refuse();
  kernel.entry = "main";
  kernel.bytes.assign(section.data() + offset, section.data() + offset + size);
}

void DeviceCode::used_by(const std::shared_ptr<runtime::Device>& device) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const std::weak_ptr<runtime::Device>& known : devices_)
    if (known.lock() == device) return;
  devices_.push_back(device);
}

DeviceCode::~DeviceCode() {
  for (const std::weak_ptr<runtime::Device>& known : devices_) {
    if (const std::shared_ptr<runtime::Device> device = known.lock()) {
      for (const Kernel& kernel : kernels_) device->forget(kernel.code);
    }
  }
}

void DeviceCodes::add(const std::string& name, Span<const unsigned char> section,
                      const std::array<std::size_t, 3>& offsets) {
  Part& part = this->part(name == "cuda" ? DeviceKind::cuda : DeviceKind::vulkan);
  part.section = section, part.offsets = offsets;
}

DeviceCode& DeviceCodes::of(const std::shared_ptr<runtime::Device>& device) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Part& part = this->part(device->kind());
  if (part.section.empty()) {
    const std::string kind = device->kind() == DeviceKind::cuda ? "cuda" : "vulkan";
    throw DeviceError(path_ + ": has code for " + targets_ + ", none for " + device->details().device +
                      "; compile the models with --targets x64," + kind + ", or use device=\"cpu\"");
  }
  if (part.code == nullptr)
    part.code = std::make_unique<DeviceCode>(device->kind(), part.section, part.offsets, model_, path_);
  part.code->used_by(device);
  return *part.code;
}

}  // namespace diffrt::module
