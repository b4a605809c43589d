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

}  // namespace diffrt::renderer
