// SE(3): exponential, logarithm and Jacobians, translation first: xi = (rho, phi). Sola, Deray and Atchuthan
// 2018, "A micro Lie theory for state estimation in robotics", section D and appendix.
#pragma once

#include <Eigen/Core>
#include <Eigen/Geometry>
#include <Eigen/LU>

#include "diffrt/types.hpp"

namespace diffrt::scene {

using Vector6 = Eigen::Matrix<double, 6, 1>;
using Matrix6 = Eigen::Matrix<double, 6, 6>;

// A rigid motion X -> R X + t.
struct Rigid {
  Eigen::Matrix3d R = Eigen::Matrix3d::Identity();
  Eigen::Vector3d t = Eigen::Vector3d::Zero();

  Rigid inverse() const { return {R.transpose(), -(R.transpose() * t)}; }
  Rigid operator*(const Rigid& other) const { return {R * other.R, R * other.t + t}; }
  Eigen::Vector3d operator*(const Eigen::Vector3d& X) const { return R * X + t; }
};

Rigid to_rigid(const Matrix4& T);
Matrix4 to_matrix(const Rigid& T);

Eigen::Matrix3d skew(const Eigen::Vector3d& v);
Rigid exp(const Vector6& xi);
// |phi| <= pi.
Vector6 log(const Rigid& T);
// exp(xi + d) = exp(xi) exp(right_jacobian(xi) d) to first order.
Matrix6 right_jacobian(const Vector6& xi);
// The nearest rotation: products of rotations drift.
Eigen::Matrix3d orthonormalised(const Eigen::Matrix3d& R);

}  // namespace diffrt::scene
