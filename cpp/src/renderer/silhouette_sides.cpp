// What is on either side of a silhouette: rays past it, and values there.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "renderer/launch_arguments.hpp"
#include "renderer/silhouettes.hpp"

namespace diffrt::renderer {

using runtime::array;
using runtime::launch;

namespace {

constexpr int lanes = kernels::lanes;
// What is nearer than an edge by more than this part hides it.
constexpr float tolerance = 1.001f;

// Samples and points beside are handed to a kernel together.
static_assert(kernels::crossing_outside == kernels::crossing_inside + 2);
static_assert(kernels::crossing_outer == kernels::crossing_inner + 2);

static_assert(static_cast<int>(BoundaryRule::blend) == kernels::rule_blend);
static_assert(static_cast<int>(BoundaryRule::foreground) == kernels::rule_foreground);

}  // namespace

// What is seen beside the silhouettes: sample_ids_ of the visible entries, -1 of others.
void SilhouetteWork::look(const TileContext& context, const TileRun& run) {
  first_mesh_ = entries_;
  for (const Segment& s : segments_) {
    if (s.kind < 0) first_mesh_ = std::min(first_mesh_, s.begin);
  }
  std::size_t only = context.groups.size();
  int groups = 0;
  for (const MeshBatch& batch : context.batches) groups += batch.tiles.empty(run.first) ? 0 : 1;
  for (std::size_t g = 0; g < context.smooth_groups(); ++g) {
    const Group& group = context.groups[g];
    bool there = group.kind == GroupKind::planes;
    for (int quad = 0; quad < quads_ && group.kind == GroupKind::spheres; ++quad)
      there = there || !regions_.candidates(quad, g).empty();
    if (there) ++groups, only = g;
  }
  if (groups == 1 && only < context.smooth_groups() && context.groups[only].kind == GroupKind::spheres &&
      first_mesh_ == entries_) {
    for (int quad = 0; quad < quads_; ++quad) look_spheres(context, only, quad);
    for (const Segment& s : segments_) {  // what fills up the last packet
      for (int e = s.end; e % lanes != 0; ++e)
        sample_ids_[static_cast<std::size_t>(e)] = sample_ids_[static_cast<std::size_t>(stride_ + e)] = -1;
    }
    return;
  }
  see_all(context, run);
  decide(context);
}

void SilhouetteWork::look_spheres(const TileContext& context, std::size_t g, int quad) {
  const Group& group = context.groups[g];
  const Span<const std::int32_t> candidates = regions_.candidates(quad, g);
  const auto q = static_cast<std::size_t>(quad);
  kernels::look_spheres_arguments a;
  set_rays(a, context.state);
  a.first = 0, a.last = static_cast<int>(candidates.size()), a.first_id = group.first_id;
  a.part = stride_ / lanes;
  a.spheres = array(group.table.data()), a.candidates = array(candidates.data());
  a.primitives = array(entry_primitives_.data());
  a.longest = array(&crossing(kernels::crossing_longest, 0));
  a.inner_x = array(&crossing(kernels::crossing_inner, 0)),
  a.inner_y = array(&crossing(kernels::crossing_inner + 1, 0));
  a.outer_x = array(&crossing(kernels::crossing_outer, 0)),
  a.outer_y = array(&crossing(kernels::crossing_outer + 1, 0));
  a.ids = array(sample_ids_.data());
  launch(context.kernels.look_spheres, a, quad_begins_[q] / lanes, quad_begins_[q + 1] / lanes);
}

// What is seen along rays through the entries' points.
void SilhouetteWork::see_all(const TileContext& context, const TileRun& run) {
  for (int part = 0; part < 3; ++part) {
    std::fill_n(seen_inverse_.data() + static_cast<std::ptrdiff_t>(part) * stride_, entries_, 0.0f);
    std::fill_n(seen_ids_.data() + static_cast<std::ptrdiff_t>(part) * stride_, entries_, -1);
  }
  for (std::size_t g = 0; g < context.smooth_groups(); ++g) {
    see(context, g, kernels::crossing_inner, 0, 0);
    see(context, g, kernels::crossing_outer, 1, 0);
    if (first_mesh_ < entries_) see(context, g, kernels::crossing_inside, 2, first_mesh_);
  }
  for (const MeshBatch& batch : context.batches) {
    if (batch.tiles.empty(run.first)) continue;
    find_near_triangles(batch, run.first);
    find_near_entries();
    kernels::see_triangles_arguments a;
    set_rays(a, context.state);
    a.first_id = batch.first_id, a.stride = batch.stride, a.part = stride_ / lanes;
    a.triangles = array(batch.table.data());
    a.offsets = array(near_offsets_.data()), a.candidates = array(near_entries_.data());
    a.inner_x = array(&crossing(kernels::crossing_inner, 0)),
    a.inner_y = array(&crossing(kernels::crossing_inner + 1, 0));
    a.outer_x = array(&crossing(kernels::crossing_outer, 0)),
    a.outer_y = array(&crossing(kernels::crossing_outer + 1, 0));
    a.inside_x = array(&crossing(kernels::crossing_inside, 0)),
    a.inside_y = array(&crossing(kernels::crossing_inside + 1, 0));
    a.inverse_depth = array(seen_inverse_.data()), a.ids = array(seen_ids_.data());
    launch(context.kernels.see_triangles, a, 0, entries_ / lanes);
  }
}

// Spheres or planes that rays through points of entries [first, entries_) see; into third `part` of the
// arrays.
void SilhouetteWork::see(const TileContext& context, std::size_t g, int component, int part, int first) {
  for (int quad = 0; quad < quads_; ++quad) {
    const auto q = static_cast<std::size_t>(quad);
    const int end = quad + 1 < quads_ ? quad_begins_[q + 1] : entries_;
    see(context, g, quad, component, part, std::max(quad_begins_[q], first), end);
  }
}

void SilhouetteWork::see(const TileContext& context, std::size_t g, int quad, int component, int part,
                         int first, int last) {
  const Group& group = context.groups[g];
  const auto run = [&](auto kernel, auto a, int begin, int end) {
    set_rays(a, context.state);
    a.first = begin, a.last = end, a.first_id = group.first_id;
    a.points_x = array(&crossing(component, 0)), a.points_y = array(&crossing(component + 1, 0));
    a.inverse_depth = array(seen_inverse_.data() + static_cast<std::ptrdiff_t>(part) * stride_);
    a.ids = array(seen_ids_.data() + static_cast<std::ptrdiff_t>(part) * stride_);
    launch(kernel, a, first / lanes, last / lanes);
  };
  if (group.kind == GroupKind::planes) {
    kernels::see_planes_arguments a;
    a.planes = array(group.table.data());
    run(context.kernels.see_planes, a, 0, group.count);
  } else if (const Span<const std::int32_t> candidates = regions_.candidates(quad, g); !candidates.empty()) {
    kernels::see_spheres_arguments a;
    a.spheres = array(group.table.data()), a.candidates = array(candidates.data());
    run(context.kernels.see_spheres, a, 0, static_cast<int>(candidates.size()));
  }
}

// Which entries are visible: the object itself is seen on its side of its silhouette; of a mesh, nothing that
// is nearer on either side of its edge. What is seen of a mesh at the centroid stands for what is inside.
void SilhouetteWork::decide(const TileContext& context) {
  const auto step = static_cast<std::size_t>(stride_);
  std::fill_n(sample_ids_.data(), entries_, -1), std::fill_n(sample_ids_.data() + step, entries_, -1);
  std::fill_n(reference_.data(), entries_, 0.0f);
  std::copy_n(seen_inverse_.data() + step, entries_, reference_.data() + step);
  for (const Segment& s : segments_) {
    const Group& group = context.groups[static_cast<std::size_t>(s.group)];
    for (int e = s.begin; e < s.end; ++e) {
      const auto i = static_cast<std::size_t>(e);
      const std::int32_t inner = seen_ids_[i];
      if (s.kind >= 0) {
        if (inner != group.first_id + entry_primitives_[i] || !(crossing(kernels::crossing_longest, e) > 0))
          continue;
        sample_ids_[i] = inner;
      } else {
        const float at_edge = mesh_entries_[i].inverse, nearest = tolerance * at_edge;
        // The mesh may be so narrow that beside its edge it is over; or something is before it.
        const bool narrow = !group.owns(inner);
        if (!(seen_inverse_[i + step] <= nearest)) continue;
        if (narrow && (!(seen_inverse_[i] <= nearest) || !mesh_entries_[i].face_seen)) continue;
        if (group.owns(seen_ids_[i + 2 * step])) {
          sample_ids_[i] = seen_ids_[i + 2 * step], reference_[i] = 0;
        } else {
          sample_ids_[i] = narrow ? group.first_id + entry_primitives_[i] : inner;
          reference_[i] = narrow ? at_edge : seen_inverse_[i];
        }
      }
      sample_ids_[i + step] = seen_ids_[i + step];
    }
  }
}

// The groups that are seen on either side: without rows the first of a batch stands for all of it, as pivots
// matter to rows alone.
void SilhouetteWork::find_seen_groups(const TileContext& context, bool with_rows) {
  seen_groups_.clear();
  if (context.groups.size() == 1) return seen_groups_.push_back(0);
  seen_groups_.reserve(context.groups.size());
  marks_.resize(context.groups.size(), 0);
  ++mark_;
  int last = -1;
  for (const int side : {0, stride_}) {
    for (int e = 0; e < entries_; ++e) {
      const std::int32_t id = sample_ids_[static_cast<std::size_t>(side + e)];
      if (id < 0) continue;
      int g = context.block_of(id).group;
      if (g == last) continue;
      last = g;
      const Group& group = context.groups[static_cast<std::size_t>(g)];
      if (!with_rows && group.mesh != nullptr) g = context.batch_of(group).first_group;
      if (std::exchange(marks_[static_cast<std::size_t>(g)], mark_) != mark_) seen_groups_.push_back(g);
    }
  }
}

void SilhouetteWork::sample(const TileContext& context, bool with_rows) {
  find_seen_groups(context, with_rows);
  sample(context, context.outputs, with_rows, sampled_.data(), sampled_partials_.data());
  if (!context.surfaces.empty()) sample_models(context, with_rows);
}

void SilhouetteWork::sample(const TileContext& context, const std::vector<OutputChannels>& outputs,
                            bool with_rows, float* values, float* partials) {
  const int S = context.planes + kernels::image_slots;
  for (const OutputChannels& output : outputs) {
    if (output.model != nullptr) {
      fill_samples(output, with_rows ? S : 0);
      continue;
    }
    const auto o = static_cast<std::size_t>(output.output);
    bool fresh = true;  // nothing is written yet
    for (const int g : seen_groups_) {
      const Group& group = context.groups[static_cast<std::size_t>(g)];
      const int mode = !with_rows ? 0 : context.camera_slots > 0 ? 2 : 1;
      if (o >= std::size(context.kernels.samples) ||
          context.kernels.samples[o][group.surface][mode].function == nullptr)
        continue;  // the mask: 1 wherever something is seen
      kernels::samples_arguments a;
      set_camera(a, context.state);
      set_pivot(a, group);
      if (group.mesh != nullptr && !with_rows) {
        const MeshBatch& batch = context.batch_of(group);
        set_tables(a, batch, 0, batch.count);
      } else {
        set_tables(a, context, group);
      }
      a.background = output.background, a.fresh = fresh ? 1 : 0;
      a.channel = output.first, a.planes = S, a.part = stride_ / lanes;
      a.points = array(&crossing(kernels::crossing_inside, 0));
      a.beside = array(&crossing(kernels::crossing_inner, 0));
      a.reference = array(reference_.data()), a.ids = array(sample_ids_.data());
      a.spread = array(&crossing(kernels::crossing_spread, 0));
      a.values = array(values), a.partials = array(partials);
      launch(context.kernels.samples[o][group.surface][mode], a, 0, entries_ / lanes);
      fresh = false;
    }
    if (fresh) fill_samples(output, with_rows ? S : 0);
  }
}

// Both sides together, so many at a time.
void SilhouetteWork::sample_models(const TileContext& context, bool with_rows) {
  sample(context, context.surfaces, with_rows, surfaces_.data(), surface_partials_.data());
  const auto channels = [&](runtime::Buffer<float>& values, runtime::Buffer<float>& partials, int first) {
    return Channels{values.data() + first, with_rows ? partials.data() + first : nullptr,
                    2 * stride_,           context.planes + kernels::image_slots,
                    context.camera_slots,  kernels::image_slots};
  };
  for (int side = 0; side < 2; ++side) {
    const int component = side == 0 ? kernels::crossing_inside : kernels::crossing_outside;
    for (int e = 0; e < entries_; e += module::Pointwise::block) {
      const SurfacePoints points{&crossing(component, e),
                                 &crossing(component + 1, e),
                                 sample_ids_.data() + side * stride_ + e,
                                 0,
                                 std::numeric_limits<int>::max(),
                                 std::min(entries_ - e, module::Pointwise::block)};
      const int first = side * stride_ + e;
      for (const OutputChannels& output : context.outputs) {
        if (output.model != nullptr)
          show_model(output, context.state, points, channels(surfaces_, surface_partials_, first),
                     channels(sampled_, sampled_partials_, first));
      }
    }
  }
}

// An output that no kernel samples.
void SilhouetteWork::fill_samples(const OutputChannels& output, int planes) {
  for (int c = output.first; c < output.first + output.count; ++c) {
    for (const int first : {0, stride_}) {
      float* values = sampled_.data() + static_cast<std::ptrdiff_t>(c) * 2 * stride_ + first;
      const std::int32_t* ids = sample_ids_.data() + first;
      for (int e = 0; e < entries_; ++e) values[e] = ids[e] < 0 ? output.background : 1.0f;
      for (int k = 0; k < planes; ++k)
        std::fill_n(
            sampled_partials_.data() + static_cast<std::ptrdiff_t>(c * planes + k) * 2 * stride_ + first,
            entries_, 0.0f);
    }
  }
}

void SilhouetteWork::apply_rules(const TileContext& context) {
  runtime::Buffer<float>*results[] = {&values_, &by_area_, &by_inside_, &by_outside_},
  *others[] = {&rule_values_, &rule_area_, &rule_inside_, &rule_outside_};
  const auto run = [&](int rule, runtime::Buffer<float>** buffers) {
    kernels::rules_arguments a;
    a.channels = context.channels, a.stride = 2 * stride_ / lanes;
    a.area = array(&crossing(kernels::crossing_area, 0));
    a.inside = array(sampled_.data()), a.outside = array(sampled_.data() + stride_);
    a.values = array(buffers[0]->data()), a.by_area = array(buffers[1]->data());
    a.by_inside = array(buffers[2]->data()), a.by_outside = array(buffers[3]->data());
    launch(context.kernels.rules[rule], a, 0, entries_ / lanes);
  };
  const auto rule_of = [&](int e) {
    const int g = entry_groups_[static_cast<std::size_t>(e)];
    if (g < 0) return kernels::rule_blend;
    const Group& group = context.groups[static_cast<std::size_t>(g)];
    return static_cast<int>(
        group.rules[group.mesh != nullptr
                        ? 0
                        : static_cast<std::size_t>(entry_primitives_[static_cast<std::size_t>(e)])]);
  };
  run(kernels::rule_blend, results);
  bool blends = true;
  for (const Segment& s : segments_)
    blends = blends && context.groups[static_cast<std::size_t>(s.group)].blends;
  if (blends) return;
  for (int rule = 0; rule < static_cast<int>(std::size(context.kernels.rules)); ++rule) {
    bool ran = rule == kernels::rule_blend;
    for (int e = 0; e < entries_; ++e) {
      if (rule == kernels::rule_blend || rule_of(e) != rule) continue;
      if (!ran) run(rule, others), ran = true;
      for (int k = 0; k < 4; ++k) {
        for (int c = 0; c < context.channels; ++c) {
          const auto j = static_cast<std::size_t>(c * 2 * stride_ + e);
          (*results[k])[j] = (*others[k])[j];
        }
      }
    }
  }
  for (const auto& model : context.rule_models.all()) apply_model(context, *model);
}

// Where an output of one's own has no value on a side that counts, nothing moves.
void SilhouetteWork::drop_missing(const TileContext& context) {
  for (int c = 0; c < context.channels; ++c) {
    for (int e = 0; e < entries_; ++e) {
      const auto place = static_cast<std::size_t>(c * 2 * stride_ + e);
      if (std::isnan(values_[place])) by_area_[place] = by_inside_[place] = by_outside_[place] = 0;
    }
  }
}

// A rule of one's own, for the visible entries that have it.
void SilhouetteWork::apply_model(const TileContext& context, const module::Pointwise& model) {
  module::Pointwise::Block block;
  std::array<int, module::Pointwise::block> entries;
  int count = 0;
  const auto evaluate = [&](int channel) {
    const auto place = [&](int k) {
      return static_cast<std::size_t>(channel * 2 * stride_ + entries[static_cast<std::size_t>(k)]);
    };
    for (int k = 0; k < count; ++k) {
      model.input(block, RuleModels::area)[k] =
          crossing(kernels::crossing_area, entries[static_cast<std::size_t>(k)]);
      model.input(block, RuleModels::inside)[k] = sampled_[place(k)];
      model.input(block, RuleModels::outside)[k] = sampled_[place(k) + static_cast<std::size_t>(stride_)];
    }
    model.evaluate(block, count);
    for (int k = 0; k < count; ++k) {
      // What is behind may be nothing, which does not move.
      const int e = entries[static_cast<std::size_t>(k)];
      const bool behind = sample_ids_[static_cast<std::size_t>(stride_ + e)] >= 0;
      const float numbers[] = {model.value(block)[k], model.partial(block, RuleModels::area)[k],
                               model.partial(block, RuleModels::inside)[k],
                               behind ? model.partial(block, RuleModels::outside)[k] : 0};
      const bool finite =
          std::all_of(std::begin(numbers), std::end(numbers), [](float x) { return std::isfinite(x); });
      values_[place(k)] = finite ? numbers[0] : std::numeric_limits<float>::quiet_NaN();
      by_area_[place(k)] = finite ? numbers[1] : 0;
      by_inside_[place(k)] = finite ? numbers[2] : 0, by_outside_[place(k)] = finite ? numbers[3] : 0;
    }
  };
  const auto flush = [&] {
    for (int c = 0; c < context.channels; ++c) evaluate(c);
    count = 0;
  };
  for (int e = 0; e < entries_; ++e) {
    const int g = entry_groups_[static_cast<std::size_t>(e)];
    if (g < 0 || !active(e)) continue;
    const Group& group = context.groups[static_cast<std::size_t>(g)];
    const int primitive = group.mesh != nullptr ? 0 : entry_primitives_[static_cast<std::size_t>(e)];
    if (group.rule_models[static_cast<std::size_t>(primitive)] != &model) continue;
    entries[static_cast<std::size_t>(count++)] = e;
    if (count == module::Pointwise::block) flush();
  }
  if (count > 0) flush();
}

}  // namespace diffrt::renderer
