// Images and rows: from tile blocks to the order of images, and down.
#include <algorithm>
#include <cstring>

#include "renderer/device/device_evaluator.hpp"

namespace diffrt::renderer::gpu {
namespace {

using runtime::array;

void copy(runtime::ThreadPool& pool, const void* from, void* to, std::size_t bytes) {
  constexpr std::size_t part = std::size_t{1} << 18;
  pool.parallel_for(static_cast<int>((bytes + part - 1) / part), 1, [&](int begin, int end, int) {
    const std::size_t first = static_cast<std::size_t>(begin) * part,
                      last = std::min(static_cast<std::size_t>(end) * part, bytes);
    std::memcpy(static_cast<char*>(to) + first, static_cast<const char*>(from) + first, last - first);
  });
}

}  // namespace

void DeviceEvaluator::draw(Span<float> image) {
  run({Kind::image, 0, false});
  fetch_image(image);
}

void DeviceEvaluator::draw_rows(Span<float> image, RowStorage& rows) {
  if (dense_rows_) {
    const Block& block = linearization_.groups()[0].blocks[0];
    std::fill(mixing_.begin(), mixing_.end(), 0.0f);
    for (int slot = 0; slot < widest_; ++slot) {
      for (int k = 0; k < block.width(); ++k)
        mixing_[static_cast<std::size_t>(slot) * parameters_.size() +
                static_cast<std::size_t>(block.columns[static_cast<std::size_t>(k)])] =
            static_cast<float>(block.at(slot, k));
    }
  }
  run({image.empty() ? Kind::rows : Kind::image_and_rows, 0, false});
  if (!image.empty()) fetch_image(image);
  fetch_rows(rows);
}

void DeviceEvaluator::record_images(Recording& recording, bool image, bool rows) {
  const bool all = std::all_of(device_groups_.begin(), device_groups_.end(),
                               [&](const auto& group) { return all_have_rows(*group); });
  if (rows) {
    make_room(*device_, rows_, static_cast<std::size_t>(numbers(channels_ * widest_)));
    // Pixels that see nothing, outputs without partials, slots that only other groups have. Where there is
    // one primitive, nobody looks at those of pixels that see nothing.
    if (!dense_rows_ || !all || exact()) recording.sequence().fill(rows_.array(), 0.0f);
  }
  const std::size_t beside = rows && !exact() && !device_groups_.empty() ? 1 : 0;  // groups
  record_values(recording, rows, [&] {
    if (beside > 0) record_rows(recording, *device_groups_[0], widest_);
  });
  for (std::size_t g = beside; rows && g < device_groups_.size(); ++g) {
    const auto side_by_side = recording.sequence().parallel();
    record_rows(recording, *device_groups_[g], widest_);
  }
  if (rows && crossed_ != nullptr) {
    const auto side_by_side = recording.sequence().parallel();
    for (const Group& group : groups_) crossed_->record_patch(recording, group, widest_, ids_, rows_);
  }
  const auto side_by_side = recording.sequence().parallel();
  if (image) record_image(recording);
  if (rows) record_planes(recording);
  if (rows && crossed_ != nullptr && !dense_rows_) crossed_->record_extras(recording);
}

void DeviceEvaluator::record_image(Recording& recording) {
  const std::size_t size = pixels() * static_cast<std::size_t>(channels_);
  if (!image_results_.allocated()) {
    image_results_ = Download();  // an earlier try may have found no memory
    image_piece_ = image_results_.add<float>(size);
    image_results_.allocate(*device_);
  }
  recording.launch(kernels_.store_image, static_cast<int>(size), [this](auto& a) {
    a.tiles_x = grid_.across, a.channels = channels_, a.width = grid_.width;
    a.rendered = array(rendered_), a.image = array(image_results_.array(image_piece_));
  });
}

void DeviceEvaluator::record_planes(Recording& recording) {
  const int planes = channels_ * row_planes_, image_size = static_cast<int>(pixels());
  if (!row_results_.allocated()) {
    row_results_ = Download();
    planes_piece_ = row_results_.add<float>(pixels() * static_cast<std::size_t>(planes));
    ids_piece_ = row_results_.add<std::int32_t>(pixels());
    row_results_.allocate(*device_);
  }
  const auto to = row_results_.array(planes_piece_);
  if (dense_rows_) {
    recording.launch(kernels_.mix_planes, image_size, [this, to](auto& a) {
      a.tiles_x = grid_.across, a.width = grid_.width, a.pixels = static_cast<std::int32_t>(pixels());
      a.channels = channels_, a.planes = widest_, a.columns = static_cast<std::int32_t>(parameters_.size());
      a.matrix = array(upload_.array(uploaded_mixing_)), a.ids = array(ids_);
      a.row_planes = array(rows_), a.out = array(to);
    });
  } else {
    recording.launch(kernels_.store_planes, image_size, [this, planes, to](auto& a) {
      a.tiles_x = grid_.across, a.width = grid_.width, a.pixels = static_cast<std::int32_t>(pixels());
      a.planes = planes;
      a.row_planes = array(rows_), a.out = array(to);
    });
  }
  recording.launch(kernels_.store_ids, image_size, [this](auto& a) {
    a.tiles_x = grid_.across, a.width = grid_.width;
    a.ids = array(ids_), a.image = array(row_results_.array(ids_piece_));
  });
}

void DeviceEvaluator::fetch_image(Span<float> image) {
  copy(*pool_, image_results_.host(image_piece_), image.data(), image.size() * sizeof(float));
}

void DeviceEvaluator::fetch_rows(RowStorage& rows) {
  copy(*pool_, row_results_.host(planes_piece_), rows.planes.get(), planes_piece_.size * sizeof(float));
  copy(*pool_, row_results_.host(ids_piece_), rows.ids.data(), ids_piece_.size * sizeof(std::int32_t));
  std::fill(rows.dirty.begin(), rows.dirty.end(), std::uint8_t{1});
  for (RowExtras& extras : rows.extras) extras.clear();
  if (crossed_ != nullptr && !dense_rows_) crossed_->fetch_extras(rows);
}

}  // namespace diffrt::renderer::gpu
