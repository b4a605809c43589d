#include "renderer/tiles.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "diffrt/errors.hpp"
#include "module/loss_model.hpp"
#include "renderer/launch_arguments.hpp"

namespace diffrt::renderer {

using runtime::array;
using runtime::launch;

void Workspace::resize(int channels, int planes, int tiles, bool with_surfaces) {
  all_inverse_depth.resize(most_in_run * tile_pixels);
  all_ids.resize(most_in_run * tile_pixels);
  const auto pixels = static_cast<std::size_t>(channels * tile_pixels);
  all_rendered.resize(most_in_run * pixels);
  for (runtime::Buffer<float>* block : {&observed, &weights, &residual, &robust, &costs})
    block->resize(static_cast<std::size_t>(tiles) * pixels);
  rows.resize(pixels * static_cast<std::size_t>(planes));
  if (with_surfaces) {
    constexpr std::size_t each = surface_channels * tile_pixels;
    all_surfaces.resize(most_in_run * each), surface_rows.resize(each * static_cast<std::size_t>(planes));
  }
  twos.resize(pixels + 1);  // one is written before it is known whether it is needed
  select(0);
}

void Workspace::select(int j) {
  const auto first = static_cast<std::size_t>(j) * tile_pixels, pixels = all_rendered.size() / most_in_run;
  inverse_depth = {all_inverse_depth.data() + first, tile_pixels};
  ids = {all_ids.data() + first, tile_pixels};
  rendered = {all_rendered.data() + static_cast<std::size_t>(j) * pixels, pixels};
  const std::size_t numbers = all_surfaces.size() / most_in_run;
  if (numbers > 0) surfaces = {all_surfaces.data() + static_cast<std::size_t>(j) * numbers, numbers};
}

bool touched(const TileContext& context, int tile_index) {
  for (std::size_t g = 0; g < context.smooth_groups(); ++g) {
    if (context.groups[g].touches(tile_index)) return true;
  }
  return touched_by_mesh(context, tile_index);
}

bool touched_by_mesh(const TileContext& context, int tile_index) {
  for (const MeshBatch& batch : context.batches) {
    if (!batch.tiles.empty(tile_index)) return true;
  }
  return false;
}

namespace {

bool touches(const Group& group, const TileRun& run) {
  for (int t = run.first; t < run.first + run.count; ++t) {
    if (group.touches(t)) return true;
  }
  return false;
}

bool touches(const MeshBatch& batch, const TileRun& run) {
  return batch.tiles.begin(run.first) < batch.tiles.end(run.first + run.count - 1);
}

void launch_discs(const TileContext& context, const Group& group, const TileRun& run, float* inverse_depth,
                  std::int32_t* ids, const std::int32_t* candidates, int begin, int end) {
  const Part part = part_in_image(context.grid, run);
  kernels::visible_discs_arguments a;
  set_rays(a, context.state);
  a.left = part.left, a.top = part.top, a.across = part.columns, a.lines = part.rows;
  a.first_id = group.first_id, a.spheres = array(group.table.data());
  a.stride = group.stride, a.bounds = array(group.bounds.data());
  a.inverse_depth = array(inverse_depth), a.ids = array(ids), a.candidates = array(candidates);
  launch(context.kernels.visible_discs, a, begin, end);
}

void clear_visibility(const TileContext& context, const TileRun& run, int begin, int end, Workspace& work) {
  kernels::clear_visibility_arguments clear;
  clear.first_tile = run.first;
  clear.inverse_depth = array(work.all_inverse_depth.data()), clear.ids = array(work.all_ids.data());
  launch(context.kernels.clear_visibility, clear, begin, end);
}

// Spheres. Without silhouettes the lists of tiles are bounds enough.
void find_visible_discs(const TileContext& context, std::size_t g, const TileRun& run, int quad,
                        Workspace& work) {
  const Group& group = context.groups[g];
  const std::ptrdiff_t before = static_cast<std::ptrdiff_t>(quad) * most_in_quad * tile_pixels;
  const auto look = [&](const std::int32_t* candidates, int begin, int end) {
    launch_discs(context, group, quad_of(run, quad), work.all_inverse_depth.data() + before,
                 work.all_ids.data() + before, candidates, begin, end);
  };
  if (!group.exact) {
    return look(group.tiles.candidates(), group.tiles.begin(run.first), group.tiles.end(run.first));
  }
  const Span<const std::int32_t> candidates = work.silhouettes.regions().candidates(quad, g);
  look(candidates.data(), 0, static_cast<int>(candidates.size()));
}

}  // namespace

void find_visible(const TileContext& context, const TileRun& run_of_tiles, int quad, Workspace& work) {
  const TileRun part = quad_of(run_of_tiles, quad);
  const int begin = part.first, end = begin + part.count;
  clear_visibility(context, run_of_tiles, begin, end, work);

  const auto run = [&](auto kernel, auto a) {
    set_pixels(a, context, run_of_tiles.first);
    set_rays(a, context.state);
    a.inverse_depth = array(work.all_inverse_depth.data()), a.ids = array(work.all_ids.data());
    launch(kernel, a, begin, end);
  };
  for (std::size_t g = 0; g < context.smooth_groups(); ++g) {
    const Group& group = context.groups[g];
    if (!touches(group, part)) continue;
    if (group.kind == GroupKind::spheres) {
      find_visible_discs(context, g, run_of_tiles, quad, work);
    } else {
      kernels::visible_planes_arguments a;
      a.first_id = group.first_id, a.count = group.count, a.planes = array(group.table.data());
      run(context.kernels.visible_planes, a);
    }
  }
  for (const MeshBatch& batch : context.batches) {
    if (!touches(batch, part)) continue;
    kernels::visible_triangles_arguments a;
    a.first_id = batch.first_id, a.stride = batch.stride;
    a.triangles = array(batch.table.data()), a.bounds = array(batch.bounds.data());
    a.offsets = array(batch.tiles.offsets()), a.ends = array(batch.tiles.centre_ends());
    a.candidates = array(batch.tiles.candidates());
    run(context.kernels.visible_triangles, a);
  }
}

void find_visible_in_strip(const TileContext& context, int strip, Workspace& work) {
  const TileRun run = strip_of(context.grid, strip);
  clear_visibility(context, run, run.first, run.first + run.count, work);
  const Group& group = context.groups[0];
  launch_discs(context, group, run, work.all_inverse_depth.data(), work.all_ids.data(),
               group.strips.candidates(), group.strips.begin(strip), group.strips.end(strip));
}

namespace {

// Outputs of the kernels, into `image`, which has so many channels.
void show_outputs(const TileContext& context, const std::vector<OutputChannels>& outputs, int channels,
                  const TileRun& run, int quad, float* image, Workspace& work) {
  const TileRun part = quad_of(run, quad);
  const int begin = part.first, end = begin + part.count;
  const auto set_all = [&](auto& a, const OutputChannels& output) {
    set_pixels(a, context, run.first);
    set_camera(a, context.state);
    a.channels = channels, a.channel = output.first;
    a.inverse_depth = array(work.all_inverse_depth.data()), a.ids = array(work.all_ids.data());
    a.image = array(image);
  };
  for (const OutputChannels& output : outputs) {
    const auto o = static_cast<std::size_t>(output.output);
    if (output.model == nullptr && o < std::size(context.kernels.value_of_depth) &&
        context.kernels.value_of_depth[o].function != nullptr) {
      kernels::value_of_depth_arguments a;
      set_all(a, output);
      a.background = output.background;
      launch(context.kernels.value_of_depth[o], a, begin, end);
      continue;
    }
    for (int j = begin - run.first; j < end - run.first; ++j)
      std::fill_n(image + (j * channels + output.first) * tile_pixels, output.count * tile_pixels,
                  output.background);
    if (output.model != nullptr) continue;
    kernels::value_of_surface_arguments a;
    set_all(a, output);
    for (std::size_t g = 0; g < context.smooth_groups(); ++g) {
      if (!context.by_strips && !touches(context.groups[g], part)) continue;
      set_tables(a, context, context.groups[g]);
      launch(context.kernels.value_of_surface[o][context.groups[g].surface], a, begin, end);
    }
    for (const MeshBatch& batch : context.batches) {
      if (!touches(batch, part)) continue;
      set_tables(a, batch, 0, batch.count);
      launch(context.kernels.value_of_surface[o][batch.surface], a, begin, end);
    }
  }
}

// Outputs that are models, of the pixels of a tile that see surfaces [first_id, last_id).
void show_models(const TileContext& context, int tile_index, const std::int32_t* ids, int first_id,
                 int last_id, const Channels& from, const Channels& to) {
  const Part part = part_in_image(context.grid, tile_index);
  float x[tile_pixels], y[tile_pixels];
  for (int p = 0; p < tile_pixels; ++p)
    x[p] = static_cast<float>(part.left + p % tile), y[p] = static_cast<float>(part.top + p / tile);
  for (const OutputChannels& output : context.outputs) {
    if (output.model != nullptr)
      show_model(output, context.state, {x, y, ids, first_id, last_id, tile_pixels}, from, to);
  }
}

}  // namespace

void show(const TileContext& context, const TileRun& run, int quad, Workspace& work) {
  show_outputs(context, context.outputs, context.channels, run, quad, work.all_rendered.data(), work);
  if (context.surfaces.empty()) return;
  show_outputs(context, context.surfaces, surface_channels, run, quad, work.all_surfaces.data(), work);
  const TileRun part = quad_of(run, quad);
  for (int t = part.first; t < part.first + part.count; ++t) {
    const int j = t - run.first;
    show_models(
        context, t, work.all_ids.data() + j * tile_pixels, 0, std::numeric_limits<int>::max(),
        {work.all_surfaces.data() + j * surface_channels * tile_pixels, nullptr, tile_pixels, 0, 0, 0},
        {work.all_rendered.data() + j * context.channels * tile_pixels, nullptr, tile_pixels, 0, 0, 0});
  }
}

namespace {

void differentiate_outputs(const TileContext& context, const std::vector<OutputChannels>& outputs,
                           int channels, const Group& group, int planes, int tile_index, float* rows,
                           const Workspace& work) {
  for (const OutputChannels& output : outputs) {
    if (output.model != nullptr) continue;
    const auto o = static_cast<std::size_t>(output.output);
    const bool has_kernel =
        o < std::size(context.kernels.rows) && context.kernels.rows[o][group.surface][0].function != nullptr;
    if (!has_kernel) {  // an output without partials: the mask
      std::fill_n(rows + output.first * planes * tile_pixels, output.count * planes * tile_pixels, 0.0f);
      continue;
    }
    kernels::rows_arguments a;
    set_pixels(a, context, tile_index);
    set_camera(a, context.state);
    set_group(a, context, group, work);
    set_pivot(a, group);
    a.channels = channels, a.channel = output.first, a.planes = planes;
    a.row_planes = array(rows);
    launch(context.kernels.rows[o][group.surface][context.camera_slots > 0 ? 1 : 0], a, tile_index,
           tile_index + 1);
  }
}

}  // namespace

void differentiate(const TileContext& context, const Group& group, int planes, int tile_index,
                   Workspace& work) {
  differentiate_outputs(context, context.outputs, context.channels, group, planes, tile_index,
                        work.rows.data(), work);
  if (context.surfaces.empty()) return;
  differentiate_outputs(context, context.surfaces, surface_channels, group, planes, tile_index,
                        work.surface_rows.data(), work);
  const auto channels = [&](float* values, runtime::Buffer<float>& rows) {
    return Channels{values, rows.data(), tile_pixels, planes, context.camera_slots, 0};
  };
  show_models(context, tile_index, work.ids.data(), group.first_id, group.first_id + group.count,
              channels(work.surfaces.data(), work.surface_rows), channels(nullptr, work.rows));
}

void accumulate(const TileContext& context, const Group& group, int pair, int tile_index, Workspace& work,
                float* records) {
  const int slots = group.slots + context.camera_slots;
  kernels::normal_equations_arguments a;
  set_pixels(a, context, tile_index);
  a.channels = context.channels, a.planes = slots;
  a.first_id = group.first_id, a.span = group.sum_span;
  a.ids = array(work.ids.data()), a.row_planes = array(work.rows.data());
  a.residual = array(work.residual.data()), a.weight = array(work.robust.data()), a.records = array(records);
  const auto run = [&](const TileLists& entries, const float* bounds, int stride) {
    a.stride = stride, a.bounds = array(bounds);
    a.offsets = array(entries.offsets()), a.candidates = array(entries.candidates());
    launch(context.kernels.normal_equations[slots], a, tile_index, tile_index + 1);
  };
  switch (group.kind) {
    case GroupKind::spheres:
      return run(group.tiles, group.bounds.data(), group.stride);
    case GroupKind::planes:
      return run(group.sums, group.sum_bounds.data(), group.count);
    case GroupKind::free_mesh: {
      const MeshBatch& batch = context.batch_of(group);
      return run(batch.tiles, batch.reach(), batch.stride);
    }
    case GroupKind::rigid_mesh:
      break;
  }
  // One entry of the only tile of an image.
  const Part part = part_in_image(context.grid, tile_index);
  const float bounds[] = {0, 0, static_cast<float>(part.columns - 1), static_cast<float>(part.rows - 1)};
  const std::int32_t offsets[] = {0, 1}, candidates[] = {0};
  a.first_tile = 0, a.stride = 1, a.bounds = array(bounds);
  a.offsets = array(offsets), a.candidates = array(candidates);
  a.records = array(records + static_cast<std::ptrdiff_t>(pair) * record_size(slots));
  launch(context.kernels.normal_equations[slots], a, 0, 1);
}

bool accumulates_primitives(const TileContext& context, const Group& group) {
  const auto o = static_cast<std::size_t>(context.outputs[0].output);
  return context.outputs.size() == 1 && context.outputs[0].model == nullptr && context.camera_slots == 0 &&
         !group.own_sums && o < std::size(context.kernels.primitive_equations) &&
         static_cast<std::size_t>(group.surface) < std::size(context.kernels.primitive_equations[0]) &&
         context.kernels.primitive_equations[o][group.surface].function != nullptr;
}

namespace {

void accumulate_strips(const TileContext& context, const Group& group, const TileLists& lists, int strip,
                       int strips_x, int span, Workspace& work, float* records) {
  kernels::primitive_equations_arguments a;
  set_camera(a, context.state);
  a.strips_x = strips_x, a.span = span;
  a.first_id = group.first_id, a.stride = group.stride;
  a.bounds = array(group.bounds.data());
  a.offsets = array(lists.offsets()), a.candidates = array(lists.candidates());
  a.table = array(group.table.data());
  a.inverse_depth = array(work.inverse_depth.data()), a.ids = array(work.ids.data());
  a.residual = array(work.residual.data()), a.weight = array(work.robust.data()), a.records = array(records);
  const auto o = static_cast<std::size_t>(context.outputs[0].output);
  launch(context.kernels.primitive_equations[o][group.surface], a, strip, strip + 1);
}

}  // namespace

void accumulate_primitives(const TileContext& context, const Group& group, int tile_index, Workspace& work,
                           float* records) {
  accumulate_strips(context, group, group.tiles, tile_index, context.grid.across, 1, work, records);
}

void accumulate_strip(const TileContext& context, const Group& group, int strip, Workspace& work,
                      float* records) {
  accumulate_strips(context, group, group.strips, strip, strips_across(context.grid), tiles_in_strip, work,
                    records);
}

void store_plane(const TileGrid& grid, int tile_index, const float* block, float* image,
                 std::ptrdiff_t row_stride, std::ptrdiff_t column_stride) {
  const Part part = part_in_image(grid, tile_index);
  float* out = image + part.top * row_stride + part.left * column_stride;
  for (int row = 0; row < part.rows; ++row, out += row_stride, block += tile) {
    if (column_stride == 1 && part.columns == tile) {
      std::memcpy(out, block, tile * sizeof(float));
    } else {
      for (int k = 0; k < part.columns; ++k) out[k * column_stride] = block[k];
    }
  }
}

void store_ids(const TileGrid& grid, int tile_index, const std::int32_t* block, std::int32_t* image) {
  const Part part = part_in_image(grid, tile_index);
  std::int32_t* out = image + static_cast<std::ptrdiff_t>(part.top) * grid.width + part.left;
  for (int row = 0; row < part.rows; ++row, out += grid.width, block += tile) {
    std::memcpy(out, block, static_cast<std::size_t>(part.columns) * sizeof(std::int32_t));
  }
}

void fill_plane(const TileGrid& grid, int tile_index, float value, float* image, std::ptrdiff_t row_stride,
                std::ptrdiff_t column_stride) {
  const Part part = part_in_image(grid, tile_index);
  float values[tile];
  std::fill_n(values, tile, value);
  float* out = image + part.top * row_stride + part.left * column_stride;
  for (int row = 0; row < part.rows; ++row, out += row_stride) {
    if (column_stride == 1 && part.columns == tile) {
      std::memcpy(out, values, sizeof values);  // of constant size: a few stores
    } else {
      for (int k = 0; k < part.columns; ++k) out[k * column_stride] = value;
    }
  }
}

namespace {

// Loads one channel. Pixels beyond the image get `outside`.
template <class T>
void load_channel(const ImageView& view, int channel, const Part& part, float outside, float* block) {
  const char* first = static_cast<const char*>(view.data) + part.top * view.row_stride +
                      part.left * view.column_stride + channel * view.channel_stride;
  const bool dense = sizeof(T) == sizeof(float) &&
                     view.column_stride == static_cast<std::ptrdiff_t>(sizeof(float)) && part.columns == tile;
  if (part.columns < tile || part.rows < tile) std::fill_n(block, tile_pixels, outside);
  for (int row = 0; row < part.rows; ++row, first += view.row_stride, block += tile) {
    if (dense) {
      std::memcpy(block, first, tile * sizeof(float));
      continue;
    }
    for (int k = 0; k < part.columns; ++k) {
      T value;
      std::memcpy(&value, first + k * view.column_stride, sizeof value);
      block[k] = static_cast<float>(value);
    }
  }
}

void load(const ImageView& view, int channel, const Part& part, float outside, float* block) {
  if (view.is_double) {
    load_channel<double>(view, channel, part, outside, block);
  } else {
    load_channel<float>(view, channel, part, outside, block);
  }
}

// Loads the observed image and its weights into the blocks observed and weights; pixels beyond the image get
// weight 0. Returns false if a weight is negative or infinite. Tile `j` of those that are compared at a time.
bool load_observation(const TileContext& context, const Observation& observation, int tile_index, int j,
                      Workspace& work) {
  const Part part = part_in_image(context.grid, tile_index);
  // Where all are 1 they stay so. Beyond the image `observed` is NaN, which suffices.
  if (observation.weights.empty() && work.weighted)
    std::fill_n(work.weights.data(), work.weights.size(), 1.0f);
  work.weighted = !observation.weights.empty();
  int wrong = 0;
  for (int c = 0; c < context.channels; ++c) {
    const int first = (j * context.channels + c) * tile_pixels;
    load(observation.image, c, part, std::numeric_limits<float>::quiet_NaN(), work.observed.data() + first);
    if (!work.weighted) continue;
    float* weights = work.weights.data() + first;
    load(observation.weights, c, part, 0.0f, weights);
    for (int p = 0; p < tile_pixels; ++p)
      wrong |= (weights[p] < 0) | (weights[p] > std::numeric_limits<float>::max());
  }
  return wrong == 0;
}

// Whether pixels can be read where they are: one channel of floats, rows side by side, no weights.
bool is_dense(const TileContext& context, const Observation& observation, const TileRun& run) {
  constexpr std::ptrdiff_t size = sizeof(float), longest = std::ptrdiff_t{1} << 24;
  const ImageView& view = observation.image;
  const Part part = part_in_image(context.grid, run);
  return context.channels == 1 && observation.weights.empty() && !view.is_double &&
         part.columns == run.count * tile && part.rows == tile && view.column_stride == size &&
         view.row_stride % size == 0 && std::abs(view.row_stride / size) < longest &&
         reinterpret_cast<std::uintptr_t>(view.data) % alignof(float) == 0;
}

// The first pixel of the run where it was observed.
template <class Arguments>
void set_observed(Arguments& a, const TileContext& context, const ImageView& image, const TileRun& run) {
  const Part part = part_in_image(context.grid, run);
  const std::ptrdiff_t stride = image.row_stride / static_cast<std::ptrdiff_t>(sizeof(float));
  a.stride = static_cast<int>(stride);
  a.observed = array(static_cast<const float*>(image.data) + part.top * stride + part.left);
}

bool load_run(const TileContext& context, const Observation& observation, const TileRun& run,
              Workspace& work) {
  bool valid = true;
  for (int j = 0; j < run.count; ++j)
    valid = load_observation(context, observation, run.first + j, j, work) && valid;
  return valid;
}

}  // namespace

namespace {

// What the kernels made of least squares, if a loss is to take its place. Of tiles that nothing touches there
// are costs alone.
void apply_loss(const TileContext& context, const KernelLoss& loss, const TileRun& run, const float* given,
                const float* residuals, float* robust, float* costs, float* sums) {
  if (loss.function == nullptr) return;
  const int size = context.channels * tile_pixels;
  for (int j = 0; j < run.count; ++j) {
    const auto at = [&](auto* block) { return block == nullptr ? nullptr : block + j * size; };
    module::apply_loss(*loss.function, size, at(given), at(residuals), at(robust), at(costs),
                       sums + (run.first + j) * kernels::residual_sums);
  }
}

}  // namespace

bool compare(const TileContext& context, const Observation& observation, const KernelLoss& loss,
             const TileRun& run, Workspace& work, float* costs, float* sums) {
  const auto compare = [&](const auto& kernel, auto a) {
    a.first_tile = run.first, a.scale = loss.scale, a.alpha = loss.alpha;
    a.rendered = array(work.rendered.data());
    a.residual = array(work.residual.data()), a.weight = array(work.robust.data());
    a.costs = array(costs), a.sums = array(sums);
    launch(kernel, a, run.first, run.first + run.count);
    apply_loss(context, loss, run, work.robust.data(), work.residual.data(), work.robust.data(), costs, sums);
  };
  if (is_dense(context, observation, run)) {
    kernels::residuals_dense_arguments a;
    set_observed(a, context, observation.image, run);
    compare(context.kernels.residuals_dense[loss.index], a);
    return true;
  }
  const bool valid = load_run(context, observation, run, work);
  kernels::residuals_arguments a;
  a.channels = context.channels;
  a.observed = array(work.observed.data()), a.weights = array(work.weights.data());
  compare(context.kernels.residuals[loss.index], a);
  return valid;
}

bool compare_background(const TileContext& context, const Observation& observation, const KernelLoss& loss,
                        const TileRun& run, const float* background, Workspace& work, float* costs,
                        float* sums) {
  const auto compare = [&](const auto& kernel, auto a, const float* given) {
    a.first_tile = run.first, a.scale = loss.scale, a.alpha = loss.alpha;
    a.costs = array(costs), a.sums = array(sums);
    launch(kernel, a, run.first, run.first + run.count);
    apply_loss(context, loss, run, given, nullptr, nullptr, costs, sums);
  };
  if (is_dense(context, observation, run)) {
    kernels::background_residuals_dense_arguments a;
    set_observed(a, context, observation.image, run);
    a.background = background[0];
    compare(context.kernels.background_residuals_dense[loss.index], a, nullptr);
    return true;
  }
  const bool valid = load_run(context, observation, run, work);
  kernels::background_residuals_arguments a;
  a.channels = context.channels, a.background = array(background);
  a.observed = array(work.observed.data()), a.weights = array(work.weights.data());
  compare(context.kernels.background_residuals[loss.index], a, work.weights.data());
  return valid;
}

}  // namespace diffrt::renderer
