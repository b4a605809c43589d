// Memory for returned images, recycled when the arrays that held it are gone: fresh pages cost more than a
// render.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "bindings.hpp"

namespace diffrt::bindings {

class ImagePool : public std::enable_shared_from_this<ImagePool> {
 public:
  explicit ImagePool(std::size_t size) : size_(size) {}

  // An array that owns memory of this pool. Its contents are whatever was there.
  py::array_t<float> take(std::vector<py::ssize_t> shape) {
    auto* image = new Image{weak_from_this(), pop()};
    const py::capsule keep(image, [](void* p) {
      const std::unique_ptr<Image> gone(static_cast<Image*>(p));
      if (const std::shared_ptr<ImagePool> pool = gone->pool.lock()) pool->push(std::move(gone->memory));
    });
    return py::array_t<float>(std::move(shape), image->memory.get(), keep);
  }

 private:
  using Memory = std::unique_ptr<float[]>;
  struct Image {
    std::weak_ptr<ImagePool> pool;
    Memory memory;
  };

  Memory pop() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (idle_.empty()) return Memory(new float[size_]);
    Memory memory = std::move(idle_.back());
    idle_.pop_back();
    return memory;
  }

  void push(Memory memory) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (idle_.size() < 2) idle_.push_back(std::move(memory));
  }

  std::size_t size_;
  std::mutex mutex_;
  std::vector<Memory> idle_;
};

}  // namespace diffrt::bindings
