// The connected parts of a symmetric matrix: parameters of different parts have nothing to do with each
// other.
#pragma once

#include "diffrt/span.hpp"
#include "solver/eigen.hpp"

namespace diffrt::solver {

class Parts {
 public:
  // `connects(i, k)`: whether the k-th stored entry of H, of column i, connects two parameters; `has(i)`:
  // whether a parameter is in any part. Parts come in the order of their first parameters, which ascend in
  // each.
  template <class Connects, class Has>
  Parts(const Sparse& H, Connects&& connects, Has&& has) {
    std::vector<char> met(count(H.cols()), 0);
    std::vector<int> open;
    for (int first = 0; first < H.cols(); ++first) {
      if (met[count(first)] || !has(first)) continue;
      const std::size_t start = members_.size();
      met[count(first)] = 1;
      open.push_back(first);
      while (!open.empty()) {
        const int i = open.back();
        open.pop_back();
        members_.push_back(i);
        for (int k = H.outerIndexPtr()[i]; k < H.outerIndexPtr()[i + 1]; ++k) {
          const int j = H.innerIndexPtr()[k];
          if (met[count(j)] || !has(j) || !connects(i, k)) continue;
          met[count(j)] = 1;
          open.push_back(j);
        }
      }
      std::sort(members_.begin() + static_cast<std::ptrdiff_t>(start), members_.end());
      starts_.push_back(members_.size());
    }
  }

  std::size_t size() const { return starts_.size() - 1; }
  Span<const int> operator[](std::size_t k) const {
    return {members_.data() + starts_[k], starts_[k + 1] - starts_[k]};
  }

 private:
  std::vector<int> members_;
  std::vector<std::size_t> starts_{0};
};

// The rows and columns of A that belong to `members`, which ascend.
inline Sparse submatrix(const Sparse& A, Span<const int> members) {
  const Index n = index(members.size());
  std::vector<int> starts{0}, rows;
  std::vector<double> values;
  for (const int column : members) {
    for (Sparse::InnerIterator entry(A, column); entry; ++entry) {
      const int* const found =
          std::lower_bound(members.begin(), members.end(), static_cast<int>(entry.row()));
      if (found == members.end() || *found != entry.row()) continue;
      rows.push_back(static_cast<int>(found - members.begin()));
      values.push_back(entry.value());
    }
    starts.push_back(static_cast<int>(rows.size()));
  }
  return Eigen::Map<const Sparse>(n, n, index(rows.size()), starts.data(), rows.data(), values.data());
}

}  // namespace diffrt::solver
