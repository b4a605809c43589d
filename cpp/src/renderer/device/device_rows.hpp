// The rows of a Jacobian that stay on the device that computed them.
#pragma once

#include "renderer/device/results.hpp"
#include "renderer/rendered_jacobian.hpp"

namespace diffrt::renderer::gpu {

class DeviceRows : public RowsElsewhere {
 public:
  // planes: [planes_in_all, H, W]. With `crossed_capacity` there are rows of crossed pixels besides
  // (kernels/pipeline/crossed/layout.py), in lists of this capacity, `size` numbers each. For sequences whose
  // work on `stream` writes them.
  DeviceRows(Results& results, runtime::Stream stream, const kernels::DeviceTable& kernels,
             const TileGrid& grid, int planes_in_all, int crossed_capacity, int row_capacity, int size);

  // Where they are to be put.
  runtime::DeviceArray<float> planes() const { return numbers<float>(planes_); }
  runtime::DeviceArray<std::int32_t> ids() const { return numbers<std::int32_t>(ids_); }  // [H, W]
  runtime::DeviceArray<std::int32_t> crossed() const { return numbers<std::int32_t>(crossed_); }
  runtime::DeviceArray<std::int32_t> row_numbers() const { return numbers<std::int32_t>(row_numbers_); }
  // The bits of floats.
  runtime::DeviceArray<std::int32_t> row_values() const { return numbers<std::int32_t>(row_values_); }
  // How many there were: of the lists, not more than their capacity.
  void set_counts(int crossed, int rows) { crossed_count_ = crossed, row_count_ = rows; }

  void fetch(RowStorage& storage) const override;
  void check_usable() const override { memory_->device().check_usable(); }
  DeviceArray dense(const RenderedJacobian& data) const override;

 private:
  struct Part {
    std::size_t offset = 0, size = 0;  // [bytes], numbers of 4 bytes
  };
  Part add(std::size_t size);
  template <class T>
  runtime::DeviceArray<T> numbers(const Part& part) const {
    return memory_->array<T>(part.offset, part.size);
  }

  const kernels::DeviceTable& kernels_;
  const TileGrid grid_;
  const int crossed_capacity_, row_capacity_, size_;
  std::size_t bytes_ = 0;
  Part planes_, ids_, crossed_, row_numbers_, row_values_;
  std::shared_ptr<const Result> memory_;
  int crossed_count_ = 0, row_count_ = 0;
};

}  // namespace diffrt::renderer::gpu
