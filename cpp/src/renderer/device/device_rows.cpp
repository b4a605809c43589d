#include "renderer/device/device_rows.hpp"

#include <algorithm>
#include <limits>

#include "diffrt/errors.hpp"
#include "renderer/device/crossed.hpp"
#include "renderer/device/staging.hpp"

namespace diffrt::renderer::gpu {
namespace {

using runtime::array;

// S in the form that the kernels take (kernels/pipeline/dense.py).
struct Blocks {
  std::vector<std::int32_t> starts, blocks;
  std::vector<float> coefficients;

  explicit Blocks(const Linearization& linearization) {
    Block scratch;
    for (const GroupLinearization& group : linearization.groups()) {
      for (int i = 0; i < group.count; ++i) {
        if (group.kind == GroupKind::rigid_mesh && i > 0) {
          starts.push_back(starts.back());
        } else {
          add(linearization.block(group, i, scratch), slots_of(group.kind));
        }
      }
    }
  }

  void add(const Block& block, int slots) {
    starts.push_back(static_cast<std::int32_t>(blocks.size()));
    blocks.insert(blocks.end(), {block.width(), slots, static_cast<std::int32_t>(coefficients.size())});
    blocks.insert(blocks.end(), block.columns.begin(), block.columns.end());
    for (const double coefficient : block.coefficients)
      coefficients.push_back(static_cast<float>(coefficient));
  }
};

DeviceArray as_columns(std::shared_ptr<const Result> memory, const RenderedJacobian& data) {
  const std::int64_t H = data.grid.height, W = data.grid.width, C = data.channels,
                     P = static_cast<std::int64_t>(data.parameters);
  if (C == 1) return {std::move(memory), {H, W, P}, {W, 1, H * W}};
  return {std::move(memory), {H, W, C, P}, {W, 1, P * H * W, H * W}};
}

}  // namespace

DeviceRows::DeviceRows(Results& results, runtime::Stream stream, const kernels::DeviceTable& kernels,
                       const TileGrid& grid, int planes_in_all, int crossed_capacity, int row_capacity,
                       int size)
    : kernels_(kernels),
      grid_(grid),
      crossed_capacity_(crossed_capacity),
      row_capacity_(row_capacity),
      size_(size) {
  const auto pixels = static_cast<std::size_t>(grid.width) * static_cast<std::size_t>(grid.height),
             rows = static_cast<std::size_t>(row_capacity);
  planes_ = add(pixels * static_cast<std::size_t>(planes_in_all));
  ids_ = add(pixels);
  crossed_ = add(kernels::crossed_components * static_cast<std::size_t>(crossed_capacity));
  row_numbers_ = add(kernels::row_numbers * rows);
  row_values_ = add(static_cast<std::size_t>(size) * rows);
  memory_ = results.take(bytes_, stream);
}

DeviceRows::Part DeviceRows::add(std::size_t size) {
  const Part part{bytes_, size};
  const std::size_t bytes = std::max(size, std::size_t{1}) * sizeof(float);
  bytes_ += (bytes + runtime::array_alignment - 1) / runtime::array_alignment * runtime::array_alignment;
  return part;
}

void DeviceRows::fetch(RowStorage& storage) const {
  memory_->fetch(planes_.offset, planes_.size * sizeof(float), storage.planes.get());
  memory_->fetch(ids_.offset, ids_.size * sizeof(std::int32_t), storage.ids.data());
  std::fill(storage.dirty.begin(), storage.dirty.end(), std::uint8_t{1});
  for (RowExtras& extras : storage.extras) extras.clear();
  if (row_count_ == 0) return;
  std::vector<std::int32_t> numbers(row_numbers_.size);
  std::vector<float> values(row_values_.size);
  memory_->fetch(row_numbers_.offset, numbers.size() * sizeof(std::int32_t), numbers.data());
  memory_->fetch(row_values_.offset, values.size() * sizeof(float), values.data());
  unpack_extras(grid_, numbers.data(), values.data(), row_count_, row_capacity_, size_, storage);
}

DeviceArray DeviceRows::dense(const RenderedJacobian& data) const {
  if (data.dense) return as_columns(memory_, data);
  const std::size_t pixels = data.pixels(),
                    count = pixels * static_cast<std::size_t>(data.channels) * data.parameters;
  if (count > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    throw DeviceMemoryError("J: " + std::to_string(count) +
                            " dense numbers are too many for a GPU here; use J " +
                            "@ v, J.T @ w or J.to_scipy(), which need no dense columns");
  }
  auto memory = memory_->home().take(std::max(count, std::size_t{1}) * sizeof(float), 0);
  runtime::Device& device = memory->device();
  Once once(device);
  const Blocks blocks(data.linearization);
  const auto starts = once.send(blocks.starts), numbers = once.send(blocks.blocks);
  const auto coefficients = once.send(blocks.coefficients);
  once.finish();
  const auto out = memory->array<float>(0, count);
  const auto set = [&](auto& a) {
    a.channels = data.channels, a.planes = data.planes, a.camera_slots = data.camera_slots;
    a.columns = static_cast<std::int32_t>(data.parameters), a.pixels = static_cast<std::int32_t>(pixels);
    a.starts = array(starts), a.blocks = array(numbers), a.coefficients = array(coefficients);
    a.out = array(out);
  };
  Recording recording(device);
  recording.sequence().fill(out, 0.0f);
  recording.launch(kernels_.dense_rows, static_cast<int>(pixels), [&](auto& a) {
    set(a);
    a.ids = array(ids()), a.row_planes = array(planes());
  });
  if (crossed_count_ > 0) {
    recording.launch(kernels_.dense_extras, crossed_count_, [&](auto& a) {
      set(a);
      a.tiles_x = grid_.across, a.width = grid_.width;
      a.crossed_capacity = crossed_capacity_, a.row_capacity = row_capacity_;
      a.crossed = array(crossed()), a.row_numbers = array(row_numbers());
      a.row_values = array(this->numbers<float>(row_values_));
    });
  }
  recording.finish();
  recording.start(0);
  recording.wait();
  return as_columns(std::move(memory), data);
}

}  // namespace diffrt::renderer::gpu
