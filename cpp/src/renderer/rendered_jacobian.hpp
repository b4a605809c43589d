// The Jacobian of a rendered image: its rows, and the linearization that takes their slots to theta.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "jacobian_data.hpp"
#include "renderer/linearization.hpp"
#include "renderer/row_storage.hpp"

namespace diffrt {

class RenderedJacobian;

namespace renderer {

// Rows that lie where the renderer works. Used by several threads at a time.
class RowsElsewhere {
 public:
  virtual ~RowsElsewhere() = default;
  virtual void fetch(RowStorage& storage) const = 0;
  // Throws DeviceError if they cannot be reached any more.
  virtual void check_usable() const = 0;
  // The columns of J, [H, W, P] or [H, W, C, P], there.
  virtual DeviceArray dense(const RenderedJacobian& data) const = 0;
};

}  // namespace renderer

class RenderedJacobian : public JacobianData {
 public:
  renderer::TileGrid grid{0, 0};
  int planes = 0;      // per channel
  bool dense = false;  // whether the planes are the columns of J already: then planes = P
  int camera_slots = 0;
  mutable std::shared_ptr<renderer::RowStorage> rows;
  std::shared_ptr<const renderer::RowsElsewhere> elsewhere;  // then `rows` are there after with_rows()
  renderer::Linearization linearization;
  std::shared_ptr<const void> keep_alive;  // the faces that the linearization refers to

  void set_grid(const renderer::TileGrid& size) { grid = size, height = size.height, width = size.width; }

  void multiply(Span<const double> v, Span<double> out) const override;
  void multiply_transposed(Span<const double> w, Span<double> out) const override;
  DensePlanes dense_planes() const override;
  void to_dense(Span<float> out) const override;
  Jacobian::Sparse to_sparse() const override;
  bool on_device() const override { return elsewhere != nullptr; }
  DeviceArray dense_on_device() const override { return elsewhere->dense(*this); }
  Span<const std::int32_t> primitive_ids() const override;

  // Brings the rows to the host, once.
  const RenderedJacobian& with_rows() const {
    if (elsewhere == nullptr || fetched_.load(std::memory_order_acquire)) return *this;
    elsewhere->check_usable();  // in a child that fork() made another thread may have left the lock locked
    const std::lock_guard<std::mutex> lock(mutex_);
    if (rows != nullptr) return *this;
    auto fetched = std::make_shared<renderer::RowStorage>(grid, planes * channels);
    elsewhere->fetch(*fetched);
    rows = std::move(fetched);
    fetched_.store(true, std::memory_order_release);
    return *this;
  }

  const float* plane(int channel, int k) const {
    return rows->planes.get() + (static_cast<std::size_t>(channel * planes + k)) * pixels();
  }
  // The plane of a group's slot: its own come first, the camera's last.
  int plane_of(const renderer::GroupLinearization& group, int slot) const {
    const int own = renderer::slots_of(group.kind);
    return slot < own ? slot : planes - camera_slots + (slot - own);
  }

 private:
  mutable std::atomic<bool> fetched_{false};
  mutable std::mutex mutex_;  // of `rows`, if they are elsewhere
};

}  // namespace diffrt
