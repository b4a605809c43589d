#include "solver/ldlt.hpp"

namespace diffrt::solver {

// Takahashi, Fagan, Chin, "Formation of a sparse bus impedance matrix", 1973: from Z L = L^-T D^-1, Z = A^-1,
// column by column from the last, at the places where L has entries, which are all that this needs.
Sparse Ldlt::inverse_at(const Sparse& A) const {
  const Sparse& L = cholesky_.factor();  // below its diagonal of ones
  const Vector D = cholesky_.vectorD();
  const Index n = A.cols();
  const int *starts = L.outerIndexPtr(), *rows = L.innerIndexPtr();
  const double* l = L.valuePtr();
  Vector diagonal(n), below(L.nonZeros()), sums(n);
  std::vector<int> place(count(n), -1);
  for (Index j = n - 1; j >= 0; --j) {
    const int begin = starts[j], end = starts[j + 1];
    for (int p = begin; p < end; ++p) place[count(rows[p])] = p, sums[rows[p]] = 0;
    for (int p = begin; p < end; ++p) {
      const int k = rows[p];
      double own = l[p] * diagonal[k];
      for (int q = starts[k]; q < starts[k + 1]; ++q) {
        const int at = place[count(rows[q])];
        if (at < 0) continue;
        sums[rows[q]] += l[p] * below[q];
        own += l[at] * below[q];
      }
      sums[k] += own;
    }
    double sum = 0;
    for (int p = begin; p < end; ++p) {
      below[p] = -sums[rows[p]];
      sum += l[p] * below[p];
      place[count(rows[p])] = -1;
    }
    diagonal[j] = 1 / D[j] - sum;
  }

  Sparse Z = A.triangularView<Eigen::Lower>();
  const auto& moved = cholesky_.permutationP().indices();
  for (Index column = 0; column < n; ++column) {
    for (Sparse::InnerIterator entry(Z, column); entry; ++entry) {
      const int i = moved[entry.row()], j = moved[column];
      if (i == j) {
        entry.valueRef() = diagonal[i];
        continue;
      }
      const int *first = rows + starts[std::min(i, j)], *last = rows + starts[std::min(i, j) + 1];
      entry.valueRef() = below[std::lower_bound(first, last, std::max(i, j)) - rows];
    }
  }
  return Z;
}

}  // namespace diffrt::solver
