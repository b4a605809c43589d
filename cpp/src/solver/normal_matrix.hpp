// H as the solver keeps it: what the problem gives, and what priors add.
//
// Its structure only grows while a problem is solved. From step to step entries come and go, as objects begin
// and cease to overlap; kept, as zeros, they cost little, and a factor's structure is found once for many
// steps.
#pragma once

#include "diffrt/sparse.hpp"
#include "solver/eigen.hpp"

namespace diffrt::solver {

class NormalMatrix {
 public:
  // `dense_limit`: of small ones.
  NormalMatrix(std::size_t size, std::size_t dense_limit);

  // Begins anew: the structure becomes that of what is assigned next.
  void forget() { forgotten_ = true; }
  // Becomes given + the sum of `more`, which is symmetric.
  void assign(const SparseMatrix& given, const std::vector<Triplet>& more);

  const Sparse& value() const { return value_; }

 private:
  bool keeps_zeros(const SparseMatrix& given) const;
  bool has_place_for(const SparseMatrix& given, const std::vector<Triplet>& more) const;
  void check(const SparseMatrix& given) const;
  void grow(const SparseMatrix& given, const std::vector<Triplet>& more);
  int place(int row, int column) const;  // in the values, or -1

  std::size_t dense_limit_;
  Sparse value_;
  // Of the matrix that was given last: its structure, and where in value_ its entries are; -1 for a zero that
  // is not stored.
  std::vector<std::int64_t> row_starts_;
  std::vector<std::int32_t> columns_;
  std::vector<int> places_;
  std::vector<Triplet> more_;  // the same of what was added last
  std::vector<int> more_places_;
  bool whole_ = false;  // it has the structure of value_
  bool grown_ = true;   // value_ has more than was assigned last
  bool forgotten_ = true;
};

}  // namespace diffrt::solver
