#include "renderer/sparse_sums.hpp"

#include <algorithm>
#include <type_traits>

#include "memory.hpp"

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
  diagonal_.clear();
  for (int i = 0; i < nodes_.count(); ++i) diagonal_.push_back(base_.find(i, i)->place);
  values_.assign(base_size_, 0.0);
  rows_ = &base_;
}

void SparseSums::begin(Span<const std::uint64_t> others) {
  std::size_t size = values_.size();
  if (rows_ == nullptr || others.size() != others_.size() ||
      !std::equal(others.begin(), others.end(), others_.begin())) {
    rows_ = nullptr;  // until all is there: memory may run out
    others_.assign(others.begin(), others.end());
    size = merge(base_, others, base_size_, all_);
  }
  values_.assign(size, 0.0);
  if (rows_ == nullptr) rows_ = &all_;
}

void SparseSums::add(const Pieces& a, const double* M, int stride) {
  for (const Piece& q : a) add_columns(a.begin(), &q + 1, q, M, stride);
}

void SparseSums::add(const Pieces& a, const Pieces& b, const double* M, int stride) {
  for (const Piece& q : b) add_columns(a.begin(), a.end(), q, M, stride);
}

void SparseSums::add_columns(const Piece* first, const Piece* last, const Piece& q, const double* M,
                             int stride) {
  // What most pieces have is known to the compiler.
  if (q.slots == 3 && q.width == 3) return add_columns_of<3, 3>(first, last, q, M, stride);
  if (q.slots == 4 && q.width == 4) return add_columns_of<4, 4>(first, last, q, M, stride);
  if (q.slots == 6 && q.width == 6) return add_columns_of<6, 6>(first, last, q, M, stride);
  if (q.slots == 9 && q.width == 6) return add_columns_of<9, 6>(first, last, q, M, stride);
  add_columns_of<0, 0>(first, last, q, M, stride);
}

template <int Slots, int Width>
void SparseSums::add_columns_of(const Piece* first, const Piece* last, const Piece& q, const double* M,
                                int stride) {
  const int slots = Slots > 0 ? Slots : q.slots, width = Width > 0 ? Width : q.width;
  double product[Pieces::most_slots][Pieces::widest];
  int rows = 0;
  for (const Piece* p = first; p != last; ++p) rows = std::max(rows, p->first_slot + p->slots);
  M += q.first_slot;
  for (int s = 0; s < rows; ++s, M += stride) {
    for (int k = 0; k < width; ++k) product[s][k] = 0;
    for (int t = 0; t < slots; ++t) {
      for (int k = 0; k < width; ++k) product[s][k] += M[t] * q.S[t * q.stride + k];
    }
  }
  for (const Piece* p = first; p != last; ++p) {
    if (Width == 6 && p->slots == 3 && p->width == 3) {
      add_block<3, 3, Width>(*p, q, product);
    } else if (Width > 0 && p->slots == Slots && p->width == Width) {
      add_block<Slots, Width, Width>(*p, q, product);
    } else {
      add_block<0, 0, Width>(*p, q, product);
    }
  }
}

template <int Slots, int Height, int Width>
void SparseSums::add_block(const Piece& p, const Piece& q, const double (*product)[Pieces::widest]) {
  const int slots = Slots > 0 ? Slots : p.slots, height = Height > 0 ? Height : p.width,
            width = Width > 0 ? Width : q.width;
  double B[Pieces::widest][Pieces::widest] = {};
  product += p.first_slot;
  for (int j = 0; j < height; ++j) {
    for (int s = 0; s < slots; ++s) {
      for (int k = 0; k < width; ++k) B[j][k] += p.S[s * p.stride + j] * product[s][k];
    }
  }
  // Above the diagonal of H there is either B or its transpose; of the same columns both.
  double* to = block(p.node, q.node);
  if (p.node == q.node) {
    const bool itself = &p == &q;
    for (int j = 0; j < height; ++j) {
      for (int k = j; k < width; ++k) to[j * width + k] += itself ? B[j][k] : B[j][k] + B[k][j];
    }
  } else if (p.node < q.node) {
    for (int j = 0; j < height; ++j) {
      for (int k = 0; k < width; ++k) to[j * width + k] += B[j][k];
    }
  } else {
    for (int k = 0; k < width; ++k) {
      for (int j = 0; j < height; ++j) to[k * height + j] += B[j][k];
    }
  }
}

namespace {

// From a block of the upper triangle to rows of the whole, `stride` apart.
template <class Height, class Width>
void write_block(const double* from, Height height, Width width, int row, int column, std::int32_t first,
                 std::ptrdiff_t stride, std::int32_t* columns, double* values) {
  for (int r = 0; r < height; ++r, columns += stride, values += stride) {
    for (int k = 0; k < width; ++k) columns[k] = first + k;
    if (row < column) {
      for (int k = 0; k < width; ++k) values[k] = from[r * width + k];
    } else if (row > column) {
      for (int k = 0; k < width; ++k) values[k] = from[k * height + r];
    } else {
      for (int k = 0; k < r; ++k) values[k] = from[k * width + r];
      for (int k = r; k < width; ++k) values[k] = from[r * width + k];
    }
  }
}

}  // namespace

void SparseSums::write(SparseMatrix& H) const {
  resize(H.row_starts, nodes_.of.size() + 1, "a sparse H");
  resize(H.columns, entries_, "a sparse H"), resize(H.values, entries_, "a sparse H");
  std::int64_t* row_start = H.row_starts.data();
  std::ptrdiff_t place = 0;
  *row_start = 0;
  for (int i = 0; i < nodes_.count(); ++i) {
    const Neighbour *first = rows_->neighbours.data() + rows_->starts[static_cast<std::size_t>(i)],
                    *last = rows_->neighbours.data() + rows_->starts[static_cast<std::size_t>(i) + 1];
    const int height = nodes_.width(i);
    std::ptrdiff_t stride = 0;
    for (const Neighbour* n = first; n != last; ++n) stride += nodes_.width(n->node);
    for (int r = 0; r < height; ++r, ++row_start) row_start[1] = row_start[0] + stride;
    std::int32_t* columns = H.columns.data() + place;
    double* values = H.values.data() + place;
    for (const Neighbour* n = first; n != last; ++n) {
      const int width = nodes_.width(n->node), start = nodes_.start(n->node);
      const auto write_as = [&](auto rows, auto wide) {
        write_block(values_.data() + n->place, rows, wide, i, n->node, start, stride, columns, values);
      };
      if (height == 3 && width == 3) {
        write_as(std::integral_constant<int, 3>(), std::integral_constant<int, 3>());
      } else if (height == 4 && width == 4) {
        write_as(std::integral_constant<int, 4>(), std::integral_constant<int, 4>());
      } else {
        write_as(height, width);
      }
      columns += width, values += width;
    }
    place += stride * height;
  }
}

void add_gradient(const Nodes& nodes, const Pieces& pieces, const double* gradient, Span<double> g) {
  for (const Piece& p : pieces) {
    double sums[Pieces::widest] = {};
    const auto add = [&](auto slots, auto width) {
      for (int s = 0; s < slots; ++s) {
        for (int k = 0; k < width; ++k) sums[k] += p.S[s * p.stride + k] * gradient[p.first_slot + s];
      }
    };
    if (p.slots == 3 && p.width == 3) {
      add(std::integral_constant<int, 3>(), std::integral_constant<int, 3>());
    } else if (p.slots == 4 && p.width == 4) {
      add(std::integral_constant<int, 4>(), std::integral_constant<int, 4>());
    } else {
      add(p.slots, p.width);
    }
    double* to = g.data() + nodes.start(p.node);
    for (int k = 0; k < p.width; ++k) to[k] += sums[k];
  }
}

}  // namespace diffrt::renderer
