// What a scaled normal matrix determines: its rank, the directions it says nothing about, and its
// pseudo-inverse; by its connected parts, each for itself.
#pragma once

#include <memory>

#include "solver/parts.hpp"
#include "solver/spectrum.hpp"

namespace diffrt::solver {

// The part of a matrix A that belongs to `members`, of n parameters.
class DeterminedPart {
 public:
  explicit DeterminedPart(Span<const int> part) : members(part.begin(), part.end()) {}
  virtual ~DeterminedPart() = default;

  Index size() const { return index(members.size()); }
  // Of A^+: an entry on the diagonal, or where A has one; and A^+ X.
  virtual double entry(Index i, Index j) const = 0;
  virtual Matrix apply(const Matrix& X) const = 0;

  std::vector<int> members;
  // n x k: a basis of what counts as the null space of A, with as many zeros as there can be; unit columns.
  Sparse null;
  // columns
};

class Determined {
 public:
  // `A`: symmetric, with a diagonal of at most 1; a parameter that is not `free` is left out. Eigenvalues
  // below `null_threshold` times the largest count as zero. `dense_limit`: of parts that are full.
  Determined(const Sparse& A, const Mask& free, double null_threshold, Index dense_limit);

  Index rank() const { return rank_; }
  const std::vector<std::unique_ptr<DeterminedPart>>& parts() const { return parts_; }

 private:
  std::vector<std::unique_ptr<DeterminedPart>> parts_;
  Index rank_ = 0;
};

}  // namespace diffrt::solver
