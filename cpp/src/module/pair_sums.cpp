#include "module/pair_sums.hpp"

#include <algorithm>

#include "memory.hpp"

namespace diffrt::module {
namespace {

using BlockView = Eigen::Map<Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

std::size_t hash_of(std::uint64_t pair) {
  pair *= 0x9e3779b97f4a7c15u;
  return static_cast<std::size_t>(pair ^ (pair >> 29));
}

}  // namespace

void PairSums::begin(const Layout& layout) {
  if (layout_ != &layout) {
    layout_ = &layout;
    for (std::size_t node = 0; node < layout.nodes(); ++node)
      starts_of_nodes_.push_back(layout.start(node)), widths_.push_back(layout.width(node));
    make_table(1024);
  }
  ++call_, met_ = 0;
  for (std::size_t node = 0; node < widths_.size(); ++node) find(node, node);
}

void PairSums::make_table(std::size_t size) {
  table_.assign(size, -1);
  for (std::size_t k = 0; k < entries_.size(); ++k) {
    std::size_t at = hash_of(entries_[k].pair);
    while (table_[at & (size - 1)] >= 0) ++at;
    table_[at & (size - 1)] = static_cast<std::int32_t>(k);
  }
}

std::size_t PairSums::find(std::size_t a, std::size_t b) {
  const std::uint64_t pair = static_cast<std::uint64_t>(a) << 32 | static_cast<std::uint64_t>(b);
  const std::size_t mask = table_.size() - 1;
  for (std::size_t at = hash_of(pair);; ++at) {
    const std::int32_t k = table_[at & mask];
    if (k < 0) break;
    Entry& entry = entries_[static_cast<std::size_t>(k)];
    if (entry.pair != pair) continue;
    if (entry.call != call_) {
      entry.call = call_, ++met_;
      std::fill_n(values_.data() + entry.place, widths_[a] * widths_[b], 0.0);
    }
    return static_cast<std::size_t>(k);
  }
  const std::size_t place = values_.size();
  resize(values_, place + widths_[a] * widths_[b], "H");
  entries_.push_back({pair, place, call_});
  ++met_, changed_ = true;
  if (2 * entries_.size() > table_.size()) {
    make_table(2 * table_.size());
  } else {
    std::size_t at = hash_of(pair);
    while (table_[at & mask] >= 0) ++at;
    table_[at & mask] = static_cast<std::int32_t>(entries_.size() - 1);
  }
  return entries_.size() - 1;
}

void PairSums::forget_others() {
  if (met_ == entries_.size()) return;
  kept_.clear();
  std::size_t count = 0;
  for (Entry entry : entries_) {
    if (entry.call != call_) continue;
    const auto from = values_.begin() + static_cast<std::ptrdiff_t>(entry.place);
    entry.place = kept_.size();
    kept_.insert(kept_.end(), from,
                 from + static_cast<std::ptrdiff_t>(widths_[entry.first()] * widths_[entry.second()]));
    entries_[count++] = entry;
  }
  entries_.resize(count);
  std::swap(values_, kept_);
  make_table(table_.size());
  changed_ = true;
}

void PairSums::move_poses(Span<const double> theta) {
  pose_derivatives_.clear();
  pose_of_.assign(widths_.size(), -1);
  for (const Columns& c : layout_->all()) {
    if (!layout_->is_pose(c)) continue;
    pose_of_[c.first_node] = static_cast<int>(pose_derivatives_.size());
    pose_derivatives_.push_back(layout_->pose_derivative(theta, c, PoseDerivative::theta));
  }
  if (pose_derivatives_.empty()) return;
  const auto derivative = [&](std::size_t node) -> const scene::Matrix6* {
    return pose_of_[node] < 0 ? nullptr : &pose_derivatives_[static_cast<std::size_t>(pose_of_[node])];
  };
  for (const Entry& entry : entries_) {
    if (entry.call != call_) continue;
    const std::size_t a = entry.first(), b = entry.second();
    BlockView block(values_.data() + entry.place, static_cast<Eigen::Index>(widths_[a]),
                    static_cast<Eigen::Index>(widths_[b]));
    // A column or a row at a time: products of sizes that are not known allocate.
    if (const scene::Matrix6* D = derivative(a)) {
      for (Eigen::Index k = 0; k < block.cols(); ++k)
        block.col(k).head<6>() = (D->transpose() * block.col(k).head<6>()).eval();
    }
    if (const scene::Matrix6* D = derivative(b)) {
      for (Eigen::Index k = 0; k < block.rows(); ++k)
        block.row(k).head<6>() = (block.row(k).head<6>() * *D).eval();
    }
  }
}

void PairSums::find_neighbours() {
  if (!changed_) return;
  starts_.assign(widths_.size() + 1, 0);
  numbers_ = 0;
  for (const Entry& e : entries_) {
    ++starts_[e.first() + 1];
    if (e.first() != e.second()) ++starts_[e.second() + 1];
    numbers_ += (e.first() == e.second() ? 1 : 2) * widths_[e.first()] * widths_[e.second()];
  }
  for (std::size_t node = 0; node < widths_.size(); ++node) starts_[node + 1] += starts_[node];
  neighbours_.resize(starts_.back());
  std::vector<std::size_t> next(starts_.begin(), starts_.end() - 1);
  for (const Entry& e : entries_) {
    neighbours_[next[e.first()]++] = {e.second(), e.place, false};
    if (e.first() != e.second()) neighbours_[next[e.second()]++] = {e.first(), e.place, true};
  }
  for (std::size_t node = 0; node < widths_.size(); ++node) {
    std::sort(neighbours_.begin() + static_cast<std::ptrdiff_t>(starts_[node]),
              neighbours_.begin() + static_cast<std::ptrdiff_t>(starts_[node + 1]),
              [](const Neighbour& x, const Neighbour& y) { return x.node < y.node; });
  }
  changed_ = false;
}

void PairSums::write(SparseMatrix& H) {
  forget_others();
  find_neighbours();
  resize(H.row_starts, layout_->size() + 1, "a sparse H");
  resize(H.columns, numbers_, "a sparse H"), resize(H.values, numbers_, "a sparse H");
  std::size_t row = 0, at = 0;
  H.row_starts[0] = 0;
  for (std::size_t node = 0; node < widths_.size(); ++node) {
    const std::size_t height = widths_[node];
    for (std::size_t r = 0; r < height; ++r) {
      for (std::size_t k = starts_[node]; k < starts_[node + 1]; ++k) {
        const Neighbour& n = neighbours_[k];
        const std::size_t width = widths_[n.node], start = starts_of_nodes_[n.node];
        const double* const block = values_.data() + n.place;
        for (std::size_t j = 0; j < width; ++j, ++at) {
          H.columns[at] = static_cast<std::int32_t>(start + j);
          H.values[at] = n.transposed ? block[j * height + r] : block[r * width + j];
        }
      }
      H.row_starts[++row] = static_cast<std::int64_t>(at);
    }
  }
}

}  // namespace diffrt::module
