// Memory for returned arrays, recycled when the arrays that held it are gone: fresh pages cost more than a
// render.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "bindings.hpp"

namespace diffrt::bindings {

// `Memory` owns the numbers of one array; those of a pool are of one size. Used with the interpreter's lock.
template <class Memory>
class MemoryPool : public std::enable_shared_from_this<MemoryPool<Memory>> {
 public:
  // What an array held before, or nothing. Its contents are whatever was there.
  Memory take() {
    if (idle_.empty()) return Memory();
    Memory memory = std::move(idle_.back());
    idle_.pop_back();
    return memory;
  }

  void put(Memory memory) {
    if (idle_.size() < 2) idle_.push_back(std::move(memory));
  }

  // An array of the numbers at `data`, which `memory` owns. It may outlive the pool.
  template <class T>
  py::array_t<T> array(Memory memory, T* data, std::vector<py::ssize_t> shape) {
    const py::capsule keep(new Held{this->weak_from_this(), std::move(memory)}, [](void* p) {
      const std::unique_ptr<Held> gone(static_cast<Held*>(p));
      if (const std::shared_ptr<MemoryPool> pool = gone->pool.lock()) pool->put(std::move(gone->memory));
    });
    return py::array_t<T>(std::move(shape), data, keep);
  }

 private:
  struct Held {
    std::weak_ptr<MemoryPool> pool;
    Memory memory;
  };

  std::vector<Memory> idle_;
};

}  // namespace diffrt::bindings
