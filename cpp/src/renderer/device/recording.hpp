// One kind of evaluation on a GPU: a Sequence that is recorded once and replayed with the arguments of the
// moment.
#pragma once

#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "runtime/sequence.hpp"

namespace diffrt::renderer::gpu {

// Whether two structs of arguments mean the same to a kernel.
inline bool same_arguments(const runtime::KernelCode& code, const void* a, const void* b) {
  for (std::size_t i = 0; i < code.argument_count; ++i) {
    const runtime::Argument& argument = code.arguments[i];
    const bool is_array = argument.type == runtime::ArgumentType::int32_array ||
                          argument.type == runtime::ArgumentType::float32_array;
    // Of an array the address, which lies behind its size.
    const std::size_t offset = argument.offset + (is_array ? offsetof(kernels::Array<float>, data) : 0);
    if (std::memcmp(static_cast<const char*>(a) + offset, static_cast<const char*>(b) + offset,
                    is_array ? sizeof(void*) : 4) != 0)
      return false;
  }
  return true;
}

class Recording {
 public:
  explicit Recording(runtime::Device& device) : sequence_(device.make_sequence()) {}

  // For copies, fills, and groups of launches that run side by side.
  runtime::Sequence& sequence() { return *sequence_; }

  // fill(arguments) sets all but begin and end, at once and again before each run: what has changed by then
  // is sent along. It refers to things that outlive the recording.
  template <class Arguments, class Fill>
  void launch(kernels::DeviceKernel<Arguments> kernel, const runtime::Bounds& bounds, Fill fill) {
    if (kernel.code == nullptr) throw std::logic_error("there is no such kernel for this device");
    Arguments arguments;
    fill(arguments);
    const runtime::Sequence::Launch launch = sequence_->launch(*kernel.code, arguments, bounds);
    launches_.push_back(
        std::make_unique<Filled<Arguments, Fill>>(*kernel.code, launch, arguments, std::move(fill)));
  }
  // Over [0, count).
  template <class Arguments, class Fill>
  void launch(kernels::DeviceKernel<Arguments> kernel, int count, Fill fill) {
    launch(kernel, runtime::Bounds::range(0, count), std::move(fill));
  }
  void finish() { sequence_->finish(); }

  // Sends along what has changed.
  void refresh() {
    for (const std::unique_ptr<Launch>& launch : launches_) launch->refresh(*sequence_);
  }
  void start(runtime::Stream stream) {
    refresh();
    sequence_->run(stream);
  }
  void wait() { sequence_->wait(); }

 private:
  struct Launch {
    virtual ~Launch() = default;
    virtual void refresh(runtime::Sequence& sequence) = 0;
  };
  template <class Arguments, class Fill>
  struct Filled : Launch {
    Filled(const runtime::KernelCode& kernel, runtime::Sequence::Launch number, const Arguments& arguments,
           Fill filler)
        : code(kernel), launch(number), sent(arguments), fill(std::move(filler)) {}
    void refresh(runtime::Sequence& sequence) override {
      Arguments arguments;
      fill(arguments);
      if (same_arguments(code, &arguments, &sent)) return;
      sequence.update(launch, arguments);
      sent = arguments;
    }
    const runtime::KernelCode& code;
    const runtime::Sequence::Launch launch;
    Arguments sent;
    Fill fill;
  };

  std::unique_ptr<runtime::Sequence> sequence_;
  std::vector<std::unique_ptr<Launch>> launches_;
};

}  // namespace diffrt::renderer::gpu
