// Images and rows: from tile blocks to the order of images, and down.
#include <algorithm>
#include <cstring>
#include <utility>

#include "renderer/device/device_evaluator.hpp"
#include "renderer/device/surface_arguments.hpp"
#include "renderer/launch_arguments.hpp"

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
  run({Kind::image, 0, false, false});
  fetch_image(image);
}

void DeviceEvaluator::set_mixing() {
  if (!dense_rows_) return;
  const Block& block = linearization_.groups()[0].blocks[0];
  std::fill(mixing_.begin(), mixing_.end(), 0.0f);
  for (int slot = 0; slot < widest_; ++slot) {
    for (int k = 0; k < block.width(); ++k)
      mixing_[static_cast<std::size_t>(slot) * parameters_.size() +
              static_cast<std::size_t>(block.columns[static_cast<std::size_t>(k)])] =
          static_cast<float>(block.at(slot, k));
  }
}

void DeviceEvaluator::draw_rows(Span<float> image, RowStorage& rows) {
  set_mixing();
  run({image.empty() ? Kind::rows : Kind::image_and_rows, 0, false, false});
  if (!image.empty()) fetch_image(image);
  fetch_rows(rows);
}

std::vector<std::int64_t> DeviceEvaluator::image_strides() const {
  const std::int64_t W = grid_.width, C = channels_;
  return C == 1 ? std::vector<std::int64_t>{W, 1} : std::vector<std::int64_t>{W * C, C, 1};
}

DeviceArray DeviceEvaluator::draw_on_device() {
  run({Kind::kept_image, 0, false, false});
  return {std::exchange(kept_image_, nullptr), image_shape(), image_strides()};
}

std::shared_ptr<const RowsElsewhere> DeviceEvaluator::draw_rows_on_device(DeviceArray* image) {
  set_mixing();
  run({image == nullptr ? Kind::kept_rows : Kind::kept_image_and_rows, 0, false, false});
  if (image != nullptr) *image = {std::exchange(kept_image_, nullptr), image_shape(), image_strides()};
  if (keeps_extras()) kept_rows_->set_counts(crossed_->crossed_count(), crossed_->row_count());
  return std::exchange(kept_rows_, nullptr);
}

// Once more where lists grow: there are longer ones to keep then.
void DeviceEvaluator::make_targets(Kind kind) {
  if (!is_kept(kind)) return;
  if (shows_image(kind) && kept_image_ == nullptr)
    kept_image_ = kept_->take(pixels() * static_cast<std::size_t>(channels_) * sizeof(float), stream_);
  if (!shows_rows(kind)) return;
  const bool extras = keeps_extras();
  kept_rows_ = nullptr;
  kept_rows_ = std::make_shared<DeviceRows>(*kept_, stream_, kernels_, grid_, channels_ * row_planes_,
                                            extras ? crossed_->crossed_capacity() : 0,
                                            extras ? crossed_->row_capacity() : 0, channels_ * widest_);
}

void DeviceEvaluator::record_images(Recording& recording, Kind kind) {
  const bool image = shows_image(kind), rows = shows_rows(kind), kept = is_kept(kind);
  if (image) make_image_results(kept);
  if (rows) make_row_results(kept);
  if (draws_at_once()) return record_drawing(recording, kind);
  record_scene(recording);
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
  if (image) record_image(recording, kept);
  if (rows) record_planes(recording, kept), record_ids(recording, kept);
  if (!rows || !keeps_extras()) return;
  if (kept) {
    crossed_->record_kept_extras(recording, [this]() -> const DeviceRows& { return *kept_rows_; });
  } else {
    crossed_->record_extras(recording);
  }
}

void DeviceEvaluator::make_image_results(bool kept) {
  if (kept || image_results_.allocated()) return;
  image_results_ = Download();  // an earlier try may have found no memory
  image_piece_ = image_results_.add<float>(pixels() * static_cast<std::size_t>(channels_));
  image_results_.allocate(*device_);
}

void DeviceEvaluator::make_row_results(bool kept) {
  if (kept || row_results_.allocated()) return;
  row_results_ = Download();
  planes_piece_ = row_results_.add<float>(pixels() * static_cast<std::size_t>(channels_ * row_planes_));
  ids_piece_ = row_results_.add<std::int32_t>(pixels());
  row_results_.allocate(*device_);
}

runtime::DeviceArray<float> DeviceEvaluator::image_target(bool kept) const {
  const std::size_t size = pixels() * static_cast<std::size_t>(channels_);
  return kept ? kept_image_->array<float>(0, size) : image_results_.array(image_piece_);
}

runtime::DeviceArray<float> DeviceEvaluator::planes_target(bool kept) const {
  return kept ? kept_rows_->planes() : row_results_.array(planes_piece_);
}

runtime::DeviceArray<std::int32_t> DeviceEvaluator::ids_target(bool kept) const {
  return kept ? kept_rows_->ids() : row_results_.array(ids_piece_);
}

bool DeviceEvaluator::draws_at_once() const {
  return dense_rows_ && !exact() && all_have_rows(*device_groups_[0]);
}

void DeviceEvaluator::record_drawing(Recording& recording, Kind kind) {
  const bool image = shows_image(kind), rows = shows_rows(kind), kept = is_kept(kind);
  const DeviceGroup& device_group = *device_groups_[0];
  const Group& group = device_group.group();
  if (group.mesh == nullptr) {
    upload_.send(recording.sequence());
  } else {
    record_scene(recording);
  }
  const auto side_by_side = recording.sequence().parallel();
  for (const OutputChannels& output : outputs_) {
    const auto o = static_cast<std::size_t>(output.output);
    recording.launch(kernels_.draw[o][group.surface][camera_slots_ > 0 ? 1 : 0], static_cast<int>(pixels()),
                     [this, &output, &group, &device_group, image, rows, kept](auto& a) {
                       a.tiles_x = grid_.across, a.width = grid_.width;
                       a.pixels = static_cast<std::int32_t>(pixels());
                       set_camera(a, state_);
                       set_rays(a, state_);
                       set_surface(a, device_group, upload_);
                       set_pivot(a, group);
                       a.background = output.background, a.channels = channels_, a.channel = output.first;
                       a.columns = rows ? static_cast<std::int32_t>(parameters_.size()) : 0;
                       a.matrix = array(upload_.array(uploaded_mixing_));
                       a.inverse_depth = array(inverse_depth_), a.ids = array(ids_);
                       a.keeps_ids = rows && &output == &outputs_.front() ? 1 : 0;
                       // What is not asked for: an image goes where nobody looks, columns and ids are none.
                       a.image = image ? array(image_target(kept)) : array(rendered_);
                       a.out = rows ? array(planes_target(kept)) : array(rendered_);
                       a.seen = rows ? array(ids_target(kept)) : array(ids_);
                     });
  }
}

void DeviceEvaluator::record_image(Recording& recording, bool kept) {
  recording.launch(kernels_.store_image, static_cast<int>(pixels()) * channels_, [this, kept](auto& a) {
    a.tiles_x = grid_.across, a.channels = channels_, a.width = grid_.width;
    a.rendered = array(rendered_), a.image = array(image_target(kept));
  });
}

void DeviceEvaluator::record_planes(Recording& recording, bool kept) {
  const int planes = channels_ * row_planes_, image_size = static_cast<int>(pixels());
  if (dense_rows_) {
    recording.launch(kernels_.mix_planes, image_size, [this, kept](auto& a) {
      a.tiles_x = grid_.across, a.width = grid_.width, a.pixels = static_cast<std::int32_t>(pixels());
      a.channels = channels_, a.planes = widest_, a.columns = static_cast<std::int32_t>(parameters_.size());
      a.matrix = array(upload_.array(uploaded_mixing_)), a.ids = array(ids_);
      a.row_planes = array(rows_), a.out = array(planes_target(kept));
    });
  } else {
    recording.launch(kernels_.store_planes, image_size, [this, planes, kept](auto& a) {
      a.tiles_x = grid_.across, a.width = grid_.width, a.pixels = static_cast<std::int32_t>(pixels());
      a.planes = planes;
      a.row_planes = array(rows_), a.out = array(planes_target(kept));
    });
  }
}

void DeviceEvaluator::record_ids(Recording& recording, bool kept) {
  recording.launch(kernels_.store_ids, static_cast<int>(pixels()), [this, kept](auto& a) {
    a.tiles_x = grid_.across, a.width = grid_.width;
    a.ids = array(ids_), a.image = array(ids_target(kept));
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
  if (keeps_extras()) crossed_->fetch_extras(rows);
}

}  // namespace diffrt::renderer::gpu
