#include "renderer/sparse_sums.hpp"

#include <algorithm>

namespace diffrt::renderer {
namespace {

int low(std::uint64_t pair) { return static_cast<int>(pair >> 32); }
int high(std::uint64_t pair) { return static_cast<int>(pair & 0xffffffffu); }

}  // namespace

const SparseSums::Neighbour* SparseSums::Rows::find(int a, int b) const {
  const auto length = [this](int node) {
    return starts[static_cast<std::size_t>(node) + 1] - starts[static_cast<std::size_t>(node)];
  };
  if (length(a) > length(b)) std::swap(a, b);
  const Neighbour *first = neighbours.data() + starts[static_cast<std::size_t>(a)], *last = first + length(a);
  first = std::lower_bound(first, last, b, [](const Neighbour& n, int node) { return n.node < node; });
  return first != last && first->node == b ? first : nullptr;
}

std::size_t SparseSums::merge(const Rows& base, Span<const std::uint64_t> pairs, std::size_t size,
                              Rows& rows) {
  const auto N = static_cast<std::size_t>(nodes_.count());
  const auto base_length = [&](std::size_t i) {
    return base.starts.empty() ? 0 : base.starts[i + 1] - base.starts[i];
  };
  rows.starts.assign(N + 1, 0);
  for (const std::uint64_t pair : pairs) {
    ++rows.starts[static_cast<std::size_t>(low(pair)) + 1];
    if (low(pair) != high(pair)) ++rows.starts[static_cast<std::size_t>(high(pair)) + 1];
  }
  for (std::size_t i = 0; i < N; ++i) rows.starts[i + 1] += rows.starts[i] + base_length(i);
  rows.neighbours.resize(rows.starts[N]);
  next_.resize(N);
  for (std::size_t i = 0; i < N; ++i) {
    next_[i] = rows.starts[i] + base_length(i);
    std::copy_n(base.neighbours.data() + (base.starts.empty() ? 0 : base.starts[i]), base_length(i),
                rows.neighbours.data() + rows.starts[i]);
  }
  for (const std::uint64_t pair : pairs) {
    const int a = low(pair), b = high(pair);
    rows.neighbours[next_[static_cast<std::size_t>(a)]++] = {b, size};
    if (a != b) rows.neighbours[next_[static_cast<std::size_t>(b)]++] = {a, size};
    size += static_cast<std::size_t>(nodes_.width(a) * nodes_.width(b));
  }
  entries_ = 0;
  for (std::size_t i = 0; i < N; ++i) {
    Neighbour *first = rows.neighbours.data() + rows.starts[i],
              *last = rows.neighbours.data() + rows.starts[i + 1];
    if (static_cast<std::size_t>(last - first) > base_length(i))
      std::sort(first, last, [](const Neighbour& a, const Neighbour& b) { return a.node < b.node; });
    int width = 0;
    for (const Neighbour* n = first; n != last; ++n) width += nodes_.width(n->node);
    entries_ += static_cast<std::size_t>(width) * static_cast<std::size_t>(nodes_.width(static_cast<int>(i)));
  }
  return size;
}

void SparseSums::set_pattern(Nodes nodes, std::vector<std::uint64_t> pairs) {
  nodes_ = std::move(nodes);
  for (int i = 0; i < nodes_.count(); ++i) pairs.push_back(pair_of(i, i));
  std::sort(pairs.begin(), pairs.end());
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  base_size_ = merge({}, pairs, 0, base_);
  for (int i = 0; i < nodes_.count(); ++i) diagonal_.push_back(base_.find(i, i)->place);
  values_.assign(base_size_, 0.0);
  rows_ = &base_;
}

void SparseSums::begin(Span<const std::uint64_t> others) {
  std::size_t size = values_.size();
  if (others.size() != others_.size() || !std::equal(others.begin(), others.end(), others_.begin())) {
    others_.assign(others.begin(), others.end());
    size = merge(base_, others, base_size_, all_);
    rows_ = &all_;
  }
  values_.assign(size, 0.0);
}

void SparseSums::add(const Piece& p, const Piece& q, const double* M, int stride, bool itself) {
  // What most pieces have is known to the compiler.
  const bool alike = p.slots == q.slots && p.width == q.width;
  if (alike && p.slots == 3 && p.width == 3) return add_by<3, 3>(p, q, M, stride, itself);
  if (alike && p.slots == 4 && p.width == 4) return add_by<4, 4>(p, q, M, stride, itself);
  if (alike && p.slots == 6 && p.width == 6) return add_by<6, 6>(p, q, M, stride, itself);
  add_by<0, 0>(p, q, M, stride, itself);
}

template <int Slots, int Width>
void SparseSums::add_by(const Piece& p, const Piece& q, const double* M, int stride, bool itself) {
  const int slots_p = Slots > 0 ? Slots : p.slots, slots_q = Slots > 0 ? Slots : q.slots,
            width_p = Width > 0 ? Width : p.width, width_q = Width > 0 ? Width : q.width;
  constexpr int widest = Width > 0 ? Width : Pieces::widest;
  double product[Slots > 0 ? Slots : Pieces::most_slots][widest];  // M S_q
  double B[widest][widest];                                        // S_p' M S_q
  M += p.first_slot * stride + q.first_slot;
  for (int s = 0; s < slots_p; ++s, M += stride) {
    for (int k = 0; k < width_q; ++k) product[s][k] = 0;
    for (int t = 0; t < slots_q; ++t) {
      for (int k = 0; k < width_q; ++k) product[s][k] += M[t] * q.S[t * q.stride + k];
    }
  }
  for (int j = 0; j < width_p; ++j) {
    for (int k = 0; k < width_q; ++k) B[j][k] = 0;
    for (int s = 0; s < slots_p; ++s) {
      for (int k = 0; k < width_q; ++k) B[j][k] += p.S[s * p.stride + j] * product[s][k];
    }
  }
  // Above the diagonal of H there is either B or its transpose; of the same columns both.
  double* to = block(p.node, q.node);
  if (p.node == q.node) {
    for (int j = 0; j < width_p; ++j) {
      for (int k = j; k < width_q; ++k) to[j * width_q + k] += itself ? B[j][k] : B[j][k] + B[k][j];
    }
  } else if (p.node < q.node) {
    for (int j = 0; j < width_p; ++j) {
      for (int k = 0; k < width_q; ++k) to[j * width_q + k] += B[j][k];
    }
  } else {
    for (int k = 0; k < width_q; ++k) {
      for (int j = 0; j < width_p; ++j) to[k * width_p + j] += B[j][k];
    }
  }
}

void SparseSums::write(SparseMatrix& H) const {
  H.row_starts.resize(nodes_.of.size() + 1);
  H.columns.resize(entries_), H.values.resize(entries_);
  std::int64_t* row_start = H.row_starts.data();
  std::int32_t* column = H.columns.data();
  double* value = H.values.data();
  *row_start = 0;
  for (int i = 0; i < nodes_.count(); ++i) {
    const Neighbour *first = rows_->neighbours.data() + rows_->starts[static_cast<std::size_t>(i)],
                    *last = rows_->neighbours.data() + rows_->starts[static_cast<std::size_t>(i) + 1];
    const int rows = nodes_.width(i);
    for (int r = 0; r < rows; ++r) {
      for (const Neighbour* n = first; n != last; ++n) {
        const int width = nodes_.width(n->node), start = nodes_.start(n->node);
        const double* from = values_.data() + n->place;
        if (n->node > i) from += r * width;
        for (int k = 0; k < width; ++k) {
          // Of a block on the diagonal there is the upper triangle, of one below it the transpose.
          const bool mirrored = n->node < i || (n->node == i && k < r);
          column[k] = start + k;
          value[k] = from[n->node > i ? k : mirrored ? k * rows + r : r * rows + k];
        }
        column += width, value += width;
      }
      *++row_start = column - H.columns.data();
    }
  }
}

void add_gradient(const Nodes& nodes, const Pieces& pieces, const double* gradient, Span<double> g) {
  for (const Piece& p : pieces) {
    double* to = g.data() + nodes.start(p.node);
    for (int s = 0; s < p.slots; ++s) {
      for (int k = 0; k < p.width; ++k) to[k] += p.S[s * p.stride + k] * gradient[p.first_slot + s];
    }
  }
}

}  // namespace diffrt::renderer
