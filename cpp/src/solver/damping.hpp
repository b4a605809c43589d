// Nielsen's damping (Madsen, Nielsen, Tingleff 2004, eq. 2.21): after an accepted step lambda falls smoothly
// with the gain ratio, by 3 at most; rejections in a row raise it by 2, 4, 8, ...
#pragma once

#include <algorithm>
#include <cmath>

namespace diffrt::solver {

class Damping {
 public:
  // Lambda stays above it, from the next change on. The system is scaled to a unit diagonal: below the
  // rounding of its entries, damping would not keep a singular matrix definite.
  void keep_above(double smallest) { smallest_ = smallest; }

  void start(double lambda) {
    lambda_ = std::max(lambda, smallest_);
    growth_ = 2;
  }

  void accept(double gain_ratio) {
    const double t = 2 * gain_ratio - 1;
    lambda_ = std::max(lambda_ * std::max(1.0 / 3.0, 1 - t * t * t), smallest_);
    growth_ = 2;
  }

  void reject() {
    lambda_ *= growth_;
    growth_ *= 2;
  }

  double lambda() const { return lambda_; }
  bool rejected_before() const { return growth_ > 2; }  // since the last accepted step

 private:
  double smallest_ = 0;
  double lambda_ = 1;
  double growth_ = 2;
};

}  // namespace diffrt::solver
