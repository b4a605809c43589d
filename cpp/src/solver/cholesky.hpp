// The factor L L' of a sparse positive definite matrix, whose ordering and structure are found once.
//
// Columns that have the same structure are kept together, as dense panels, so that all arithmetic is that of
// dense matrices: the multifrontal method (Duff, Reid 1983; Liu, "The multifrontal method for sparse matrix
// solution: theory and practice", SIAM Review 1992). Each panel, once factored, leaves a dense matrix of what
// is to be added to the panels after it, which its parent in the elimination tree takes over.
#pragma once

#include "solver/eigen.hpp"

namespace diffrt::solver {

class Cholesky {
 public:
  // The structure of A, of which the lower triangle is read here and below.
  void arrange(const Sparse& A);
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
    int parent = -1, children = 0, depth = 0;
  };
  using Block = Eigen::Map<Matrix>;
  using ConstBlock = Eigen::Map<const Matrix>;

  void make_panels(const std::vector<int>& start, const std::vector<int>& parents,
                   const std::vector<int>& starts, const std::vector<int>& ends);
  void find_parents();
  void find_places(const Sparse& A);
  void add_child(const Panel& child, const double* update, const Panel& panel, Block values, Block own) const;
  ConstBlock values_of(const Panel& panel) const {
    return {values_.data() + panel.values, panel.width + panel.below, panel.width};
  }
  template <class X>
  void solve_in_order(X& x) const;

  std::vector<int> moved_;  // where a parameter is in L
  std::vector<Panel> panels_;
  std::vector<int> rows_;
  std::vector<int> in_parent_;       // of rows_: the row of the parent's panel
  std::vector<std::size_t> places_;  // of A's entries, in values_
  std::vector<double> values_, stacks_[2];
  std::vector<const Panel*> open_;  // those whose parents are still to come
  double operations_ = 0;
};

}  // namespace diffrt::solver
