// The quadratic model of the cost at a point, cost + g'd + d'Hd/2, and its scaled coordinates y = S^1/2 d.
//
// With S = max(diag H, floor) the scaled matrix S^-1/2 H S^-1/2 has a diagonal of ones (or less, under the
// floor), so that thresholds need no units and the result does not depend on the units of a parameter.
//
// The damping matrix D remembers: D_k = max(S_k, kMemory * D_(k-1)). Where a parameter loses its influence
// (an exponential that dies out, an object that leaves the image) its diagonal entry collapses, and an
// undamped giant step would follow. More's D, which never falls, cures this too, but one steep view would
// slow the parameter ever after; falling by 1/3 at most, as lambda does, it is forgotten in a few steps.
#pragma once

#include "solver/eigen.hpp"

namespace diffrt::solver {

struct Model {
  const Sparse* H = nullptr;  // lives elsewhere
  Vector g;
  Vector scale;     // S^-1/2: d = scale * y
  Vector damping;   // D in scaled coordinates, scale^2 D: at least 1
  Vector gradient;  // g in scaled coordinates: scale * g

  explicit Model(Index size)
      : g(size),
        scale(size),
        damping(size),
        gradient(size),
        diagonal_(size),
        remembered_(size),
        product_(size) {}

  Index size() const { return g.size(); }
  bool finite() const {
    return Eigen::Map<const Vector>(H->valuePtr(), H->nonZeros()).allFinite() && g.allFinite();
  }

  void forget() { remembered_.setZero(); }

  // Call after H or g has changed.
  void rescale(double floor) {
    diagonal_ = H->diagonal();
    scale = diagonal_.array().max(floor).rsqrt();
    remembered_ = (kMemory * remembered_.array()).max(diagonal_.array()).max(floor);
    damping = remembered_.array() * scale.array().square();
    gradient = scale.array() * g.array();
  }

  // What a step d (unscaled) is promised to save: -g'd - d'Hd/2.
  double predicted_decrease(const Vector& d) {
    if (H->nonZeros() == size() * size()) {
      product_.noalias() =
          Eigen::Map<const Matrix>(H->valuePtr(), size(), size()).selfadjointView<Eigen::Lower>() * d;
    } else {
      product_.noalias() = *H * d;
    }
    return -d.dot(g) - 0.5 * d.dot(product_);
  }

 private:
  static constexpr double kMemory = 1.0 / 3.0;
  Vector diagonal_;
  Vector remembered_;  // D
  Vector product_;
};

}  // namespace diffrt::solver
