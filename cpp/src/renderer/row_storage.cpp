#include "renderer/row_storage.hpp"

#include <algorithm>
#include <new>

namespace diffrt::renderer {

namespace {

std::size_t pixels_of(const TileGrid& grid) {
  return static_cast<std::size_t>(grid.width) * static_cast<std::size_t>(grid.height);
}

}  // namespace

LazyZeros::LazyZeros(std::size_t count)
    : memory_(std::calloc(count * sizeof(float) + runtime::alignment, 1)), first_(nullptr) {
  if (memory_ == nullptr) throw std::bad_alloc();
  void* first = memory_.get();
  std::size_t room = count * sizeof(float) + runtime::alignment;
  first_ = static_cast<float*>(std::align(runtime::alignment, count * sizeof(float), first, room));
}

RowStorage::RowStorage(const TileGrid& grid, int planes_in_all)
    : planes(pixels_of(grid) * static_cast<std::size_t>(std::max(planes_in_all, 1))),
      ids(pixels_of(grid)),
      dirty(static_cast<std::size_t>(grid.tiles()), 0),
      extras(static_cast<std::size_t>(grid.tiles())) {
  std::fill_n(ids.data(), ids.size(), -1);
}

std::shared_ptr<RowStorage> RowStoragePool::take() {
  std::unique_ptr<RowStorage> storage;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!idle_.empty()) {
      storage = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (storage == nullptr) storage = std::make_unique<RowStorage>(grid_, planes_);
  const std::weak_ptr<RowStoragePool> pool = weak_from_this();
  return std::shared_ptr<RowStorage>(storage.release(), [pool](RowStorage* used) {
    std::unique_ptr<RowStorage> owned(used);
    if (const std::shared_ptr<RowStoragePool> home = pool.lock()) home->give_back(std::move(owned));
  });
}

void RowStoragePool::give_back(std::unique_ptr<RowStorage> storage) {
  if (!is_here()) return;
  // Two suffice: a loop that binds the next result to the same names holds the last one while it computes the
  // next.
  const std::lock_guard<std::mutex> lock(mutex_);
  if (idle_.size() < 2) idle_.push_back(std::move(storage));
}

}  // namespace diffrt::renderer
