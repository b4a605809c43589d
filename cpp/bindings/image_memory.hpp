// Memory of returned images.
#pragma once

#include <cstdlib>
#include <memory>
#include <new>

#include "memory_pool.hpp"

namespace diffrt::bindings {

struct FreeMemory {
  void operator()(float* memory) const { std::free(memory); }
};
using ImageMemory = std::unique_ptr<float[], FreeMemory>;

// Aligned to a cache line: what is stored of a tile's row is then one line, and not parts of two.
inline ImageMemory new_memory(std::size_t count) {
  constexpr std::size_t line = 64;
  void* memory = std::aligned_alloc(line, (count * sizeof(float) + line - 1) / line * line);
  if (memory == nullptr) throw std::bad_alloc();
  return ImageMemory(static_cast<float*>(memory));
}

}  // namespace diffrt::bindings
