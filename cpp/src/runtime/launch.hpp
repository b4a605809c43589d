// Launching a compiled kernel: one struct, one call.
#pragma once

#include "diffrt_kernels.hpp"

namespace diffrt::runtime {

// Runs a kernel over [begin, end). `arguments` is a private copy of the calling thread's.
template <class Arguments>
inline void launch(kernels::Kernel<Arguments> kernel, Arguments& arguments, int begin, int end) {
  arguments.begin = begin;
  arguments.end = end;
  kernels::RuntimeContext context{&arguments, nullptr, 0, nullptr};
  kernel.function(&context);
}

template <class T>
inline kernels::Array<T> array(T* data) {
  return {0, data};
}
// Kernels declare no constant arrays; what they only read may still be const here.
template <class T>
inline kernels::Array<T> array(const T* data) {
  return {0, const_cast<T*>(data)};
}

}  // namespace diffrt::runtime
