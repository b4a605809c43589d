// H as sums over pairs of nodes (layout.hpp): blocks, of which there are those that were met since begin().
// Where the same meet again nothing is allocated.
#pragma once

#include <cstdint>
#include <vector>

#include "diffrt/sparse.hpp"
#include "module/layout.hpp"

namespace diffrt::module {

class PairSums {
 public:
  // Every node meets itself. The layout is to live as long.
  void begin(const Layout& layout);
  // The block of nodes a <= b, row-major, width(a) x width(b). Where a == b both triangles are to be filled.
  // Valid until the next is asked for.
  double* block(std::size_t a, std::size_t b) {
    const std::size_t entry = find(a, b);  // makes room
    return values_.data() + entries_[entry].place;
  }
  // Of poses, from their tangent to theta's numbers.
  void move_poses(Span<const double> theta);
  // Both triangles.
  void write(SparseMatrix& H);

 private:
  struct Entry {
    std::uint64_t pair;
    std::size_t place;  // in values_
    std::uint64_t call;
    std::size_t first() const { return static_cast<std::size_t>(pair >> 32); }
    std::size_t second() const { return static_cast<std::size_t>(pair & 0xffffffffu); }
  };
  struct Neighbour {
    std::size_t node, place;
    bool transposed;
  };

  std::size_t find(std::size_t a, std::size_t b);
  void make_table(std::size_t size);
  void forget_others();
  void find_neighbours();

  const Layout* layout_ = nullptr;
  std::vector<std::size_t> starts_of_nodes_, widths_;
  std::vector<Entry> entries_;
  std::vector<std::int32_t> table_;  // of entries, by hash; -1: none
  std::vector<double> values_, kept_;
  std::uint64_t call_ = 0;
  std::size_t met_ = 0;
  bool changed_ = true;  // since find_neighbours()
  std::vector<std::size_t> starts_;
  std::vector<Neighbour> neighbours_;  // of each node, ascending
  std::size_t numbers_ = 0;
  std::vector<scene::Matrix6> pose_derivatives_;
  std::vector<int> pose_of_;  // of each node; -1: no pose
};

}  // namespace diffrt::module
