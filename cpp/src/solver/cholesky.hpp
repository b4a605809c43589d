// The factor L L' of a sparse positive definite matrix, whose ordering and structure are found once.
//
// Columns that have the same structure are kept together, as dense panels, so that all arithmetic is that of
// dense matrices: the multifrontal method (Duff, Reid 1983; Liu, "The multifrontal method for sparse matrix
// solution: theory and practice", SIAM Review 1992). Each panel, once factored, leaves a dense matrix of what
// is to be added to the panels after it, which its parent in the elimination tree takes over.
#pragma once

#include <utility>

#include "solver/eigen.hpp"
#include "solver/panel_factor.hpp"

namespace diffrt::solver {

class Cholesky {
 public:
  // The structure of A, of which the lower triangle is read here and below.
  void arrange(const Sparse& A);
  // What was arranged has these further entries, too: (row, column). False, and all is as it was, if L has no
  // room for one of them.
  bool extend(const Sparse& A, const std::vector<std::pair<int, int>>& further);
  // Additions and multiplications of a factorization.
  double operations() const { return operations_; }
  // False if A is not positive definite, or not finite.
  bool compute(const Sparse& A);
  void solve(Vector& x) const;
  void solve(Matrix& X) const;

 private:
  // Columns [first, first + width) of L: a panel of width + below rows, of which the first `width` are the
  // columns'.
  struct Panel {
    int first = 0, width = 0, below = 0;
    std::size_t rows = 0;    // in rows_: which the others are, ascending
    std::size_t values = 0;  // in values_
    Index entries_end = 0;   // in entries_: behind its own
    int parent = -1, children = 0, depth = 0;
    std::size_t runs = 0, outside = 0,
                runs_end = 0;  // its own in runs_; from `outside` on they are below its parent
    int stride() const { return padded(width + below); }
    std::size_t left() const { return count(padded(below)) * count(below); }  // numbers for its parent
  };
  struct Entry {  // of A
    int from;     // in its values
    int to;       // in its panel's
  };
  using Block = Eigen::Map<const Matrix, 0, Eigen::OuterStride<>>;

  void make_panels(const std::vector<int>& start, const std::vector<int>& parents,
                   const std::vector<int>& starts, const std::vector<int>& ends);
  void lay_out();
  void find_places(const Sparse& A);
  Block values_of(const Panel& panel) const {
    return {values_.data() + panel.values, panel.width + panel.below, panel.width,
            Eigen::OuterStride<>(panel.stride())};
  }
  template <class X>
  void solve_in_order(X& x) const;

  std::vector<int> moved_;  // where a parameter is in L
  std::vector<Panel> panels_;
  std::vector<int> panel_of_;  // a column of L
  std::vector<int> rows_;
  std::vector<Run> runs_;
  std::vector<Entry> entries_;
  std::vector<double> values_, stacks_[2];
  std::vector<const Panel*> open_;  // those whose parents are still to come
  int tallest_ = 0;                 // of the panels' columns
  double operations_ = 0;
};

}  // namespace diffrt::solver
