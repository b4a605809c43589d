#include <doctest/doctest.h>

#include <unsupported/Eigen/MatrixFunctions>

#include "scene/se3.hpp"

using namespace diffrt::scene;

namespace {

std::vector<Vector6> twists() {
  std::vector<Vector6> result = {Vector6::Zero()};
  std::srand(7);
  for (const double scale : {1e-9, 1e-5, 9e-3, 1.1e-2, 0.3, 1.0, 1.7}) {
    for (int k = 0; k < 5; ++k) result.push_back(Vector6::Random() * scale);
  }
  return result;
}

}  // namespace

TEST_CASE("exp is the matrix exponential") {
  for (const Vector6& xi : twists()) {
    Eigen::Matrix4d X = Eigen::Matrix4d::Zero();
    X.topLeftCorner<3, 3>() = skew(xi.tail<3>());
    X.topRightCorner<3, 1>() = xi.head<3>();
    const Eigen::Matrix4d expected = X.exp();
    const Rigid T = exp(xi);
    CHECK((T.R - expected.topLeftCorner<3, 3>()).norm() < 1e-13);
    CHECK((T.t - expected.topRightCorner<3, 1>()).norm() < 1e-13);
  }
}

TEST_CASE("log inverts exp, up to half a turn") {
  for (const Vector6& xi : twists()) CHECK((log(exp(xi)) - xi).norm() < 1e-12);
  Vector6 half_turn;
  half_turn << 1, 2, 3, 0, 3.14159265, 0;
  CHECK((log(exp(half_turn)) - half_turn).norm() < 1e-7);
}

TEST_CASE("right_jacobian: exp(xi + d) = exp(xi) exp(J d)") {
  for (const Vector6& xi : twists()) {
    const Matrix6 J = right_jacobian(xi);
    const Rigid inverse = exp(xi).inverse();
    for (int k = 0; k < 6; ++k) {
      const double h = 1e-6;
      const Vector6 d = Vector6::Unit(k) * h;
      const Vector6 column =
          (log(inverse * exp(Vector6(xi + d))) - log(inverse * exp(Vector6(xi - d)))) / (2 * h);
      CHECK((column - J.col(k)).norm() < 1e-8);
    }
  }
}
