// From what was uploaded to what each pixel shows.
#include <algorithm>

#include "renderer/device/device_evaluator.hpp"
#include "renderer/device/surface_arguments.hpp"
#include "renderer/launch_arguments.hpp"

namespace diffrt::renderer::gpu {
namespace {

using runtime::array;

template <class Arguments>
void set_tiles(Arguments& a, const TileGrid& grid) {
  a.first_tile = 0, a.tiles_x = grid.across;
}

}  // namespace

void DeviceEvaluator::record_scene(Recording& recording, bool observes) {
  upload_.bring(recording, kernels_, zeros_);
  if (device_groups_.empty()) {  // else the first of them sees to it
    const auto side_by_side = recording.sequence().parallel();
    recording.sequence().fill(inverse_depth_.array(), 0.0f);
    recording.sequence().fill(ids_.array(), -1);
  }
  for (int step = 0; step < DeviceGroup::steps; ++step) {
    const auto side_by_side = recording.sequence().parallel();
    for (const std::unique_ptr<DeviceGroup>& group : device_groups_)
      group->record(step, recording, kernels_, upload_, zeros_, results_, state_);
    if (observes && step == DeviceGroup::least_step) observation_.record(recording);
  }
  for (const std::unique_ptr<DeviceGroup>& group : device_groups_) record_visible(recording, *group);
}

void DeviceEvaluator::record_visible(Recording& recording, const DeviceGroup& device_group) {
  const Group& group = device_group.group();
  const auto set = [this, &group](auto& a) {
    set_tiles(a, grid_);
    set_rays(a, state_);
    a.first_id = group.first_id;
    a.inverse_depth = array(inverse_depth_), a.ids = array(ids_);
  };
  const auto table = device_group.table(upload_);
  if (group.kind == GroupKind::planes) {
    return recording.launch(kernels_.visible_planes, numbers(1), [set, table, &group](auto& a) {
      set(a);
      a.planes = array(table), a.count = group.count;
    });
  }
  const auto offsets = device_group.lists()->offsets().array(),
             candidates = device_group.lists()->candidates().array();
  if (group.kind == GroupKind::spheres) {
    return recording.launch(kernels_.visible_spheres, numbers(1), [set, table, offsets, candidates](auto& a) {
      set(a);
      a.spheres = array(table), a.offsets = array(offsets), a.candidates = array(candidates);
    });
  }
  const auto bounds = device_group.bounds(upload_);
  const auto depths = device_group.depths(zeros_);
  const auto winners = device_group.winners(zeros_);
  recording.launch(kernels_.large_triangles, numbers(1),
                   [set, table, bounds, offsets, candidates, depths, winners, &group](auto& a) {
                     set(a);
                     a.depths = array(depths), a.winners = array(winners);
                     a.stride = group.stride, a.triangles = array(table), a.bounds = array(bounds);
                     a.offsets = array(offsets), a.candidates = array(candidates);
                   });
}

void DeviceEvaluator::record_values(Recording& recording, bool rows, const std::function<void()>& beside) {
  const auto has_depth_kernel = [this](const OutputChannels& output) {
    const auto o = static_cast<std::size_t>(output.output);
    return o < std::size(kernels_.value_of_depth) && kernels_.value_of_depth[o].code != nullptr;
  };
  {
    const auto side_by_side = recording.sequence().parallel();
    if (beside) beside();
    for (const OutputChannels& output : outputs_) {
      if (has_depth_kernel(output)) {
        const auto o = static_cast<std::size_t>(output.output);
        recording.launch(kernels_.value_of_depth[o], numbers(1), [this, &output](auto& a) {
          set_tiles(a, grid_);
          set_camera(a, state_);
          a.channels = channels_, a.channel = output.first, a.background = output.background;
          a.inverse_depth = array(inverse_depth_), a.ids = array(ids_), a.image = array(rendered_);
        });
      } else {
        recording.launch(kernels_.show_background, numbers(output.count), [this, &output](auto& a) {
          a.channels = channels_, a.channel = output.first, a.count = output.count;
          a.background = output.background, a.image = array(rendered_);
        });
      }
    }
  }
  for (const std::unique_ptr<DeviceGroup>& group : device_groups_) {
    const auto side_by_side = recording.sequence().parallel();
    for (const OutputChannels& output : outputs_) {
      if (has_depth_kernel(output)) continue;
      const auto o = static_cast<std::size_t>(output.output);
      recording.launch(kernels_.value_of_surface[o][group->group().surface], numbers(1),
                       [this, &output, &group = *group](auto& a) {
                         set_tiles(a, grid_);
                         set_camera(a, state_);
                         set_surface(a, group, upload_);
                         a.channels = channels_, a.channel = output.first;
                         a.inverse_depth = array(inverse_depth_), a.ids = array(ids_),
                         a.image = array(rendered_);
                       });
    }
  }
  if (crossed_ != nullptr) crossed_->record_values(recording, rendered_, ids_, rows);
}

bool DeviceEvaluator::all_have_rows(const DeviceGroup& group) const {
  return std::all_of(outputs_.begin(), outputs_.end(),
                     [&](const OutputChannels& output) { return has_rows(output, group.group().surface); });
}

bool DeviceEvaluator::has_rows(const OutputChannels& output, int surface) const {
  const auto o = static_cast<std::size_t>(output.output);
  return o < std::size(kernels_.rows) && kernels_.rows[o][surface][0].code != nullptr;
}

void DeviceEvaluator::record_rows(Recording& recording, const DeviceGroup& group, int planes) {
  for (const OutputChannels& output : outputs_) {
    if (!has_rows(output, group.group().surface)) continue;
    const auto o = static_cast<std::size_t>(output.output);
    recording.launch(kernels_.rows[o][group.group().surface][camera_slots_ > 0 ? 1 : 0], numbers(1),
                     [this, &output, &group, planes](auto& a) {
                       set_tiles(a, grid_);
                       set_camera(a, state_);
                       set_surface(a, group, upload_);
                       set_pivot(a, group.group());
                       a.channels = channels_, a.channel = output.first, a.planes = planes;
                       a.inverse_depth = array(inverse_depth_), a.ids = array(ids_);
                       a.row_planes = array(rows_);
                     });
  }
}

}  // namespace diffrt::renderer::gpu
