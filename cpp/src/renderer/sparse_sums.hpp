// H = J'WJ as sums over blocks: symmetric, with entries only where parameters can meet.
//
// Columns of theta that always go together are a node: a sphere's centre and radius, a pose, a vertex of a
// free mesh. H is a set of blocks, a node's rows by a node's columns, of which the upper triangle is kept.
// Which there are follows from the scene (what one primitive depends on) and from what met at the theta at
// hand (primitives that share a pixel), never from earlier thetas. Where the same meet again nothing is
// allocated.
#pragma once

#include <cstdint>
#include <vector>

#include "diffrt/sparse.hpp"
#include "renderer/pieces.hpp"

namespace diffrt::renderer {

class SparseSums {
 public:
  // Two nodes, in ascending order.
  static std::uint64_t pair_of(int a, int b) {
    if (a > b) std::swap(a, b);
    return static_cast<std::uint64_t>(a) << 32 | static_cast<std::uint64_t>(b);
  }

  // Pairs of nodes that always have a block; each node has one with itself.
  void set_pattern(Nodes nodes, std::vector<std::uint64_t> pairs);
  bool has_pattern() const { return !values_.empty(); }
  const Nodes& nodes() const { return nodes_; }

  // Whether pairs of the pattern, or a node with itself.
  bool always(int a, int b) const { return a == b || base_.find(a, b) != nullptr; }
  // Blocks of the pattern and of these pairs, which are not in it; ascending, each once. All are zero.
  void begin(Span<const std::uint64_t> others);

  // H += S_a' M S_a, M symmetric.
  void add(const Pieces& a, const double* M, int stride);
  // H += S_a' M S_b and its transpose. M: slots of a by slots of b, rows `stride` apart.
  void add(const Pieces& a, const Pieces& b, const double* M, int stride);

  // Both triangles.
  void write(SparseMatrix& H) const;

 private:
  struct Neighbour {
    int node;
    std::size_t place;  // in values_
  };
  struct Rows {  // per node: those with which it has a block, ascending, itself among them
    std::vector<std::size_t> starts;
    std::vector<Neighbour> neighbours;
    const Neighbour* find(int a, int b) const;  // in the shorter of their two rows
  };

  // The rows of `base` with further pairs, whose blocks lie from `size` on; returns where they end.
  std::size_t merge(const Rows& base, Span<const std::uint64_t> pairs, std::size_t size, Rows& rows);
  double* block(int a, int b) {
    return values_.data() + (a == b ? diagonal_[static_cast<std::size_t>(a)] : rows_->find(a, b)->place);
  }
  // The columns of q: with all rows from `first` to `last`, of which q may be one itself.
  void add_columns(const Piece* first, const Piece* last, const Piece& q, const double* M, int stride);
  template <int Slots, int Width>
  void add_columns_of(const Piece* first, const Piece* last, const Piece& q, const double* M, int stride);
  // Of p's rows: S_p' product, product = M S_q.
  template <int Slots, int Height, int Width>
  void add_block(const Piece& p, const Piece& q, const double (*product)[Pieces::widest]);

  Nodes nodes_;
  Rows base_, all_;
  const Rows* rows_ = &base_;
  std::vector<std::size_t> diagonal_, next_;
  std::vector<std::uint64_t> others_;
  std::size_t base_size_ = 0, entries_ = 0;
  std::vector<double> values_;
};

// What `pieces` have of a gradient by slots: g += S' gradient.
void add_gradient(const Nodes& nodes, const Pieces& pieces, const double* gradient, Span<double> g);

}  // namespace diffrt::renderer
