#include "module/evaluator.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "check_span.hpp"
#include "diffrt/errors.hpp"
#include "memory.hpp"
#include "renderer/shared_costs.hpp"
#include "runtime/devices.hpp"
#include "runtime/isa.hpp"

namespace diffrt::module {
namespace {

// Bytes of a tile's rows, which are to stay in a cache near by; and its most items.
constexpr Index tile_bytes = 64 << 10, most_tile_items = 4 * block_items;
// Parts of the domain that are summed by themselves, and at a time.
constexpr Index most_parts = 32, fewest_parts = 4;
// Bytes of records of all parts at a time, and of those of one where each item may have one of its own.
constexpr Index records_bytes = 64 << 20, part_bytes = 8 << 20;
// Bytes of the planes that a GPU computes at a time: some of all, while the host works with others.
constexpr Index least_device_bytes = 2 << 20, most_device_bytes = 32 << 20, device_pieces = 4;

Index items_of_tile(Index planes) {
  const Index items = tile_bytes / (static_cast<Index>(sizeof(float)) * planes) / block_items * block_items;
  return std::clamp(items, block_items, most_tile_items);
}

}  // namespace

Evaluator::Evaluator(std::shared_ptr<const LoadedModel> model, const ModelData& data,
                     const ModelOptions& options)
    : options_(options),
      inputs_(model->description, data),
      map_(std::make_shared<RowMap>(model, inputs_.rows())),
      layout_(*map_),
      kernels_(*runtime::active_level().kernels),
      pool_(runtime::shared_pool(options.threads)) {
  tiles_.slots = domain().slots();
  tiles_.items = items_of_tile(outputs() + map_->planes() + map_->blocks());
  stride_ = tiles_.items + row_multiple;
  const auto record = static_cast<Index>(layout_.size() * sizeof(double));
  if (map_->blocks() == 0) {
    parts_ = std::clamp(records_bytes / record, fewest_parts, most_parts);
  } else {
    const Index tiles_of_part = std::max<Index>(1, part_bytes / record / tiles_.items);
    parts_ = std::max(most_parts, (tiles_.count() + tiles_of_part - 1) / tiles_of_part);
  }
  parts_ = std::max<Index>(1, std::min(parts_, tiles_.count()));
  parts_at_once_ = std::min(parts_, most_parts);
  tiles_at_once_ = std::max<Index>(1, tiles_.count());
  open(options.device);
  workspaces_.resize(static_cast<std::size_t>(pool_->threads()));
  const auto size = static_cast<std::size_t>(tiles_.items), outs = static_cast<std::size_t>(outputs());
  for (Workspace& work : workspaces_) {
    work.rows.resize((outs + static_cast<std::size_t>(map_->planes())) * static_cast<std::size_t>(stride_));
    work.ids.resize((static_cast<std::size_t>(map_->blocks()) + 1) * static_cast<std::size_t>(stride_));
    work.costs.resize(outs * size), work.factors.resize(outs * static_cast<std::size_t>(stride_));
    // Beyond the last item there is nothing, but something is computed of it.
    std::memset(work.rows.data(), 0, work.rows.size() * sizeof(float));
    std::memset(work.ids.data(), 0, work.ids.size() * sizeof(std::int32_t));
    work.residuals.resize(tiles_.items, outputs());
    work.products.resize(size);
  }
  totals_.resize(static_cast<std::size_t>(tiles_.count()));
}

void Evaluator::open(const std::string& device) {
  std::shared_ptr<runtime::Device> opened = runtime::open_device(device);
  if (device == "auto" && opened != nullptr && !map_->has_code(opened->kind())) opened = nullptr;
  if (opened == nullptr) map_->check_functions();
  functions_ = map_->functions();
  if (functions_.lanes > 0) arguments_ = inputs_.arguments(functions_.lanes);
  if (opened == nullptr) return;
  const Index tile_bytes =
      (outputs() + map_->planes() + map_->blocks()) * tiles_.items * static_cast<Index>(sizeof(float));
  const Index bytes =
      std::clamp(tiles_.count() * tile_bytes / device_pieces, least_device_bytes, most_device_bytes);
  tiles_at_once_ = std::min(tiles_at_once_, std::max<Index>(1, bytes / tile_bytes));
  // So that a part is computed at once, and several if they are small.
  parts_ = std::max(parts_, (tiles_.count() + tiles_at_once_ - 1) / tiles_at_once_);
  const Index tiles_of_part = (tiles_.count() + parts_ - 1) / parts_;
  parts_at_once_ = std::clamp<Index>(tiles_at_once_ / std::max<Index>(tiles_of_part, 1), 1, parts_at_once_);
  device_ = std::make_unique<DeviceRunner>(inputs_, map_->device_code(opened), opened, outputs(),
                                           map_->planes(), map_->blocks(), tiles_at_once_ * tiles_.items,
                                           functions_.prepare != nullptr);
  device_sums_ = DeviceSums::make(*device_, layout_, *map_, domain(), pool_);
}

void Evaluator::check_values(const char* name, Span<float> out) const {
  check_span(name, out, static_cast<std::size_t>(domain().items() * outputs()),
             domain().image ? "height x width x outputs" : "n x outputs");
}

void Evaluator::move_to(Span<const double> theta) {
  layout().check(theta);
  layout().apply(theta, inputs_.parameters(), inputs_.tables());
  if (functions_.prepare != nullptr) functions_.prepare(&arguments_);
  if (device_ != nullptr) device_->move();
}

void Evaluator::start(FunctionKind function, Index piece, Index first_tile, Index last_tile) {
  if (device_ != nullptr && first_tile < last_tile)
    device_->start(function, piece, {tiles_[first_tile].begin, tiles_[last_tile - 1].end});
}

void Evaluator::wait(FunctionKind function, Index piece) {
  if (device_ != nullptr && tiles_.count() > 0) device_->wait(function, piece);
}

void Evaluator::run(FunctionKind kind, const Range& range, float* out, std::int32_t* ids,
                    Index stride) const {
  if (device_ != nullptr) return device_->copy(kind, range, out, ids, stride);
  const Function function = kind == FunctionKind::value ? functions_.value : functions_.rows;
  Arguments a = arguments_;
  a.begin = static_cast<std::int32_t>(range.begin / functions_.lanes);
  a.end = static_cast<std::int32_t>(range.end / functions_.lanes);
  a.stride = stride, a.out = out, a.ids = ids;
  function(&a);
}

template <class F>
void Evaluator::over_tiles(FunctionKind function, F&& body) {
  const auto end_of = [&](Index first) { return std::min(tiles_.count(), first + tiles_at_once_); };
  start(function, 0, 0, end_of(0));
  for (Index first = 0, piece = 0; first < tiles_.count(); first += tiles_at_once_, ++piece) {
    const Index last = end_of(first);
    start(function, piece + 1, last, end_of(last));
    wait(function, piece);
    const auto count = static_cast<int>(last - first);
    const int grain = count <= 2 ? std::max(count, 1) : std::clamp(count / (8 * pool_->threads()), 1, 8);
    pool_->parallel_for(count, grain, [&](int begin, int end, int thread) {
      for (Index tile = first + begin; tile < first + end; ++tile)
        body(tile, workspaces_[static_cast<std::size_t>(thread)]);
    });
  }
}

template <class F, class G>
void Evaluator::over_parts(Index parts, Index at_once, F&& body, G&& done) {
  const auto start_parts = [&](Index piece) {
    const Index first = std::min(parts, piece * at_once), last = std::min(parts, first + at_once);
    start(FunctionKind::rows, piece, part_begin(first, parts), part_begin(last, parts));
  };
  start_parts(0);
  for (Index first = 0, piece = 0; first < parts; first += at_once, ++piece) {
    const Index last = std::min(parts, first + at_once);
    start_parts(piece + 1);
    wait(FunctionKind::rows, piece);
    const auto count = static_cast<int>(last - first);
    const int grain = tiles_.count() <= 2 ? std::max(count, 1) : 1;
    pool_->parallel_for(count, grain, [&](int begin, int end, int thread) {
      Workspace& work = workspaces_[static_cast<std::size_t>(thread)];
      for (Index part = first + begin; part < first + end; ++part)
        body(part, part_begin(part, parts), part_begin(part + 1, parts), work);
    });
    done(first, last);
  }
}

void Evaluator::store(const Range& range, const float* planes, Index stride, Span<float> out) const {
  if (out.empty()) return;
  domain().over_rows(range, [&](Index at, Index row, Index column, Index count) {
    float* const to = out.data() + (row * domain().width + column) * outputs();
    if (outputs() == 1) {
      std::memcpy(to, planes + at, static_cast<std::size_t>(count) * sizeof(float));
      return;
    }
    for (int c = 0; c < outputs(); ++c) {
      const float* const from = planes + c * stride + at;
      for (Index i = 0; i < count; ++i) to[i * outputs() + c] = from[i];
    }
  });
}

void Evaluator::value(Span<const double> theta, Span<float> out) {
  check_values("out", out);
  move_to(theta);
  // Where the rows of an image are as those of the domain they can be written in place.
  const bool in_place = outputs() == 1 && domain().padded == domain().width &&
                        reinterpret_cast<std::uintptr_t>(out.data()) % runtime::alignment == 0;
  over_tiles(FunctionKind::value, [&](Index tile, Workspace& work) {
    const Range range = tiles_[tile];
    float* const to = in_place ? out.data() + range.begin : work.rows.data();
    run(FunctionKind::value, range, to, work.ids.data(), stride_);
    if (!in_place) store(range, to, stride_, out);
  });
}

Jacobian Evaluator::jacobian(Span<const double> theta, Span<float> out) {
  if (!out.empty()) check_values("out", out);
  move_to(theta);
  const Index stride = domain().plane_stride();
  const auto planes = static_cast<std::size_t>((outputs() + map_->planes()) * stride),
             ids = static_cast<std::size_t>(map_->blocks() * stride);
  if (row_pool_ == nullptr || !row_pool_->is_here())
    row_pool_ = std::make_shared<runtime::RecyclingPool<RowStorage>>();
  const std::shared_ptr<RowStorage> rows = row_pool_->take([&] {
    auto storage = std::make_unique<RowStorage>();
    try {
      storage->planes.resize(planes), storage->ids.resize(ids);
    } catch (const std::bad_alloc&) {
      throw MemoryError("J: its rows take " + megabytes((planes + ids) * sizeof(float)) +
                        ", and there is no memory for it");
    }
    return storage;
  });
  over_tiles(FunctionKind::rows, [&](Index tile, Workspace&) {
    const Range range = tiles_[tile];
    float* const to = rows->planes.data() + range.begin;
    run(FunctionKind::rows, range, to, rows->ids.data() + range.begin, stride);
    store(range, to, stride, out);
  });
  return Jacobian(std::make_shared<ModelJacobian>(map_, domain(), theta, rows));
}

void Evaluator::multiply(Span<const double> theta, Span<const double> seeds, Span<float> out,
                         Span<double> products) {
  if (!out.empty()) check_values("out", out);
  const std::size_t P = layout().size();
  if (P == 0 ? !seeds.empty() : seeds.size() % P != 0) {
    throw ArgumentError("seeds: has " + std::to_string(seeds.size()) + " numbers, expected columns of " +
                        std::to_string(P) + ", one number for each parameter");
  }
  const auto values = static_cast<std::size_t>(domain().items() * outputs());
  const Index K =
      static_cast<Index>(P > 0 ? seeds.size() / P : products.size() / std::max<std::size_t>(values, 1));
  check_span("seeds", seeds, seeds.size(), "P x K");
  check_span("products", products, values * static_cast<std::size_t>(K), "height x width x outputs x K");
  move_to(theta);
  slots_.resize(map_->slots() * static_cast<std::size_t>(K));
  map_->to_slots(theta, seeds.data(), K, slots_.data());
  over_tiles(FunctionKind::rows, [&](Index tile, Workspace& work) {
    const Range range = tiles_[tile];
    run(FunctionKind::rows, range, work.rows.data(), work.ids.data(), stride_);
    store(range, work.rows.data(), stride_, out);
    for (int c = 0; c < outputs(); ++c) {
      for (Index k = 0; k < K; ++k) {
        map_->multiply(view_of(work), c, range.size(), seeds.data(), slots_.data(), K, k,
                       work.products.data());
        domain().over_rows(range, [&](Index at, Index row, Index column, Index count) {
          double* const to = products.data() + ((row * domain().width + column) * outputs() + c) * K + k;
          for (Index i = 0; i < count; ++i)
            to[i * outputs() * K] = work.products[static_cast<std::size_t>(at + i)];
        });
      }
    }
  });
}

void Evaluator::multiply_transposed(Span<const double> theta, Span<const double> w, Span<float> out,
                                    Span<double> product) {
  if (!out.empty()) check_values("out", out);
  check_span("w", w, static_cast<std::size_t>(domain().items() * outputs()), "height x width x outputs");
  check_span("product", product, layout().size(), "P");
  move_to(theta);
  const std::size_t size = layout().size() + map_->slots();
  const Index parts = device_ != nullptr ? parts_ : std::min(parts_, most_parts);
  const Index at_once = device_ != nullptr ? parts_at_once_ : parts;
  part_sums_.assign(static_cast<std::size_t>(at_once) * size, 0.0);
  const auto add_part = [&](Index part, Index begin, Index end, Workspace& work) {
    double* const sums = part_sums_.data() + static_cast<std::size_t>(part % at_once) * size;
    for (Index tile = begin; tile < end; ++tile) {
      const Range range = tiles_[tile];
      run(FunctionKind::rows, range, work.rows.data(), work.ids.data(), stride_);
      store(range, work.rows.data(), stride_, out);
      domain().over_rows(range, [&](Index at, Index row, Index column, Index count) {
        RowView view = view_of(work);
        view.planes += at, view.ids += at;
        const double* const from = w.data() + (row * domain().width + column) * outputs();
        for (int c = 0; c < outputs(); ++c)
          map_->multiply_transposed(view, c, count, from + c, outputs(), sums);
      });
    }
  };
  over_parts(parts, at_once, add_part, [](Index, Index) {});
  for (std::size_t part = 1; part < static_cast<std::size_t>(at_once); ++part) {
    for (std::size_t k = 0; k < size; ++k) part_sums_[k] += part_sums_[part * size + k];
  }
  std::fill(product.begin(), product.end(), 0.0);
  map_->from_slots(theta, part_sums_.data(), product);
}

void Evaluator::sum_tile(Index tile, const Observation& observation, const renderer::KernelLoss& loss,
                         Products products, float* costs, Workspace& work, Records& records) {
  const Range range = tiles_[tile];
  run(FunctionKind::rows, range, work.rows.data(), work.ids.data(), stride_);
  Totals& totals = totals_[static_cast<std::size_t>(tile)];
  totals =
      work.residuals.compare(kernels_, domain(), range, observation, loss, work.rows.data(), stride_, costs);
  const bool as_they_are = products == Products::weighted && loss.index == kernels::loss_least_squares &&
                           loss.function == nullptr && observation.weights.empty() &&
                           totals.count == static_cast<double>(range.size() * outputs());
  if (!as_they_are) {
    for (int c = 0; c < outputs(); ++c) {
      const float* const robust = work.residuals.robust(c);
      float* const factors = work.factors.data() + c * stride_;
      float* const residuals = work.rows.data() + c * stride_;
      if (products == Products::weighted) {
        for (Index i = 0; i < range.size(); ++i) factors[i] = std::sqrt(robust[i]);
      } else {
        for (Index i = 0; i < range.size(); ++i) factors[i] = robust[i] * residuals[i];
      }
      layout_.arithmetic().weigh(residuals, factors, range.size());
      for (const int plane : layout_.outputs()[static_cast<std::size_t>(c)].planes)
        layout_.arithmetic().weigh(work.rows.data() + (outputs() + plane) * stride_, factors, range.size());
    }
  }
  work.sums.add(layout_, *map_, work.rows.data(), work.ids.data(), stride_,
                as_they_are ? nullptr : work.factors.data(), range.size(), records);
}

void Evaluator::start_products(Span<const double> theta, const Observation& observation, const Loss& loss,
                               Products products, bool remember) {
  check(observation);
  const renderer::KernelLoss robust = renderer::kernel_loss(loss);
  move_to(theta);
  if (remember) remembered_ = 0;
  if (device_sums_ != nullptr) {
    H_.begin(layout());
    g_.assign(layout().size(), 0.0);
    sum_.assign(layout_.size(), 0.0);
    keep(device_sums_->products(observation, robust, products == Products::scatter, remember, sum_.data()));
    return layout_.add_to(sum_.data(), nullptr, H_, g_.data());
  }
  const Index block = tiles_.items * outputs();
  if (remember) remembered_costs_.resize(static_cast<std::size_t>(tiles_.count() * block));
  if (records_.empty()) {
    records_.resize(static_cast<std::size_t>(parts_at_once_));
    for (Workspace& work : workspaces_) work.sums.make_room(layout_, *map_, tiles_.items);
  }
  H_.begin(layout());
  g_.assign(layout().size(), 0.0);
  sum_.assign(map_->blocks() == 0 ? layout_.size() : 0, 0.0);
  const auto blocks = static_cast<std::size_t>(map_->blocks());
  const auto sum_part = [&](Index part, Index begin, Index end, Workspace& work) {
    Records& records = records_[static_cast<std::size_t>(part % parts_at_once_)];
    records.clear();
    work.sums.begin();
    for (Index tile = begin; tile < end; ++tile) {
      float* const costs = remember ? remembered_costs_.data() + tile * block : work.costs.data();
      sum_tile(tile, observation, robust, products, costs, work, records);
    }
    work.sums.finish(layout_, records);
  };
  over_parts(parts_, parts_at_once_, sum_part, [&](Index first, Index last) {
    for (Index part = 0; part < last - first; ++part) {
      Records& records = records_[static_cast<std::size_t>(part)];
      for (std::size_t k = 0; k < records.count(); ++k) {
        const double* const record = records.record(k, layout_.size());
        if (blocks > 0) {
          layout_.add_to(record, records.ids(k, blocks), H_, g_.data());
        } else {
          for (std::size_t i = 0; i < sum_.size(); ++i) sum_[i] += record[i];
        }
      }
    }
  });
  if (blocks == 0) layout_.add_to(sum_.data(), nullptr, H_, g_.data());
}

void Evaluator::keep(const Totals& all) {
  std::fill(totals_.begin(), totals_.end(), Totals());
  totals_.front() = all;
}

Totals Evaluator::total(const Observation& observation) const {
  Totals totals;
  for (const Totals& tile : totals_) totals.add(tile);
  if (!totals.weights_valid) refuse_weights(domain(), outputs(), observation.weights);
  return totals;
}

void Evaluator::report(const Totals& totals, NormalEquations& result) {
  result.cost = totals.cost;
  result.count = static_cast<std::size_t>(totals.count);
  result.weighted_squares = totals.squares;
}

void Evaluator::normal_equations(Span<const double> theta, const Observation& observation, const Loss& loss,
                                 NormalEquations& result, PoseDerivative pose, bool remember) {
  start_products(theta, observation, loss, Products::weighted, remember);
  report(total(observation), result);
  if (remember) remembered_ = new_revision();
  if (pose == PoseDerivative::theta) {
    H_.move_poses(theta);
    for (const Columns& c : layout().all()) {
      if (!layout().is_pose(c)) continue;
      Eigen::Map<scene::Vector6> part(g_.data() + c.first);
      part = (layout().pose_derivative(theta, c, pose).transpose() * part).eval();
    }
  }
  H_.write(result.H_sparse);
  result.g.assign(g_.begin(), g_.end());
}

void Evaluator::gradient_scatter(Span<const double> theta, const Observation& observation, const Loss& loss,
                                 SparseMatrix& M) {
  start_products(theta, observation, loss, Products::scatter, false);
  total(observation);
  H_.write(M);
}

void Evaluator::cost(Span<const double> theta, const Observation& observation, const Loss& loss,
                     NormalEquations& result, SharedCost* shared) {
  if (shared != nullptr && remembered_ == 0)
    throw ArgumentError("shared: there is no call of normal_equations to compare with that was to remember");
  check(observation);
  const renderer::KernelLoss robust = renderer::kernel_loss(loss);
  move_to(theta);
  if (device_sums_ != nullptr) {
    keep(device_sums_->cost(observation, robust, shared));
    return report(total(observation), result);
  }
  const Index block = tiles_.items * outputs();
  const renderer::AddShared add_shared = renderer::add_shared_here();
  if (shared != nullptr) shared_.resize(totals_.size());
  over_tiles(FunctionKind::value, [&](Index tile, Workspace& work) {
    const Range range = tiles_[tile];
    run(FunctionKind::value, range, work.rows.data(), work.ids.data(), stride_);
    const auto place = static_cast<std::size_t>(tile);
    totals_[place] = work.residuals.compare(kernels_, domain(), range, observation, robust, work.rows.data(),
                                            stride_, work.costs.data());
    if (shared != nullptr) {
      shared_[place] = add_shared(remembered_costs_.data() + tile * block, work.costs.data(),
                                  static_cast<std::size_t>(block));
    }
  });
  report(total(observation), result);
  if (shared == nullptr) return;
  *shared = SharedCost();
  for (const SharedCost& sums : shared_)
    shared->count += sums.count, shared->before += 0.5 * sums.before, shared->now += 0.5 * sums.now;
}

}  // namespace diffrt::module
