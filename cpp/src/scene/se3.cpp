#include "scene/se3.hpp"

#include <cmath>

namespace diffrt::scene {
namespace {

// Coefficients of the series in [phi], with their Taylor expansions where the angle is small.
struct Coefficients {
  double a, b, c;  // sin(t)/t, (1 - cos t)/t^2, (t - sin t)/t^3
  double q1, q2;   // (t^2/2 + cos t - 1)/t^4, (t - sin t - t^3/6)/t^5
};

Coefficients coefficients(double t) {
  const double s = t * t;
  if (t < 1e-2) {
    return {1 - s / 6 * (1 - s / 20 * (1 - s / 42)), 0.5 - s / 24 * (1 - s / 30 * (1 - s / 56)),
            1.0 / 6 - s / 120 * (1 - s / 42 * (1 - s / 72)), 1.0 / 24 - s / 720 * (1 - s / 56),
            -1.0 / 120 + s / 5040 * (1 - s / 72)};
  }
  const double sine = std::sin(t), cosine = std::cos(t);
  return {sine / t, (1 - cosine) / s, (t - sine) / (s * t), (s / 2 + cosine - 1) / (s * s),
          (t - sine - s * t / 6) / (s * s * t)};
}

}  // namespace

Rigid to_rigid(const Matrix4& T) {
  const Eigen::Map<const Eigen::Matrix<double, 4, 4, Eigen::RowMajor>> M(T.data());
  return {M.topLeftCorner<3, 3>(), M.topRightCorner<3, 1>()};
}

Matrix4 to_matrix(const Rigid& T) {
  Matrix4 result = identity4;
  Eigen::Map<Eigen::Matrix<double, 4, 4, Eigen::RowMajor>> M(result.data());
  M.topLeftCorner<3, 3>() = T.R;
  M.topRightCorner<3, 1>() = T.t;
  return result;
}

Eigen::Matrix3d skew(const Eigen::Vector3d& v) {
  Eigen::Matrix3d S;
  S << 0, -v.z(), v.y(), v.z(), 0, -v.x(), -v.y(), v.x(), 0;
  return S;
}

Rigid exp(const Vector6& xi) {
  const Eigen::Vector3d rho = xi.head<3>(), phi = xi.tail<3>();
  const Coefficients k = coefficients(phi.norm());
  const Eigen::Matrix3d S = skew(phi), S2 = S * S, I = Eigen::Matrix3d::Identity();
  return {I + k.a * S + k.b * S2, (I + k.b * S + k.c * S2) * rho};
}

Vector6 log(const Rigid& T) {
  // The quaternion is accurate for any angle, near pi too.
  Eigen::Quaterniond q(T.R);
  q.normalize();
  if (q.w() < 0) q.coeffs() = -q.coeffs();
  const double sine = q.vec().norm();
  const double angle = 2 * std::atan2(sine, q.w());
  const Eigen::Vector3d phi =
      sine > 1e-12 ? Eigen::Vector3d(q.vec() * (angle / sine)) : Eigen::Vector3d(2 * q.vec());
  const Coefficients k = coefficients(phi.norm());
  const Eigen::Matrix3d S = skew(phi);
  // V^-1 = I - [phi]/2 + (1 - a / (2 b)) / t^2 [phi]^2
  const double s = phi.squaredNorm();
  const double factor = s < 1e-4 ? 1.0 / 12 + s / 720 : (1 - k.a / (2 * k.b)) / s;
  Vector6 xi;
  xi << (Eigen::Matrix3d::Identity() - 0.5 * S + factor * S * S) * T.t, phi;
  return xi;
}

Matrix6 right_jacobian(const Vector6& xi) {
  // The left Jacobian at -xi: equations 179 to 182.
  const Eigen::Vector3d rho = -xi.head<3>(), phi = -xi.tail<3>();
  const Coefficients k = coefficients(phi.norm());
  const Eigen::Matrix3d P = skew(phi), R = skew(rho), P2 = P * P;
  const Eigen::Matrix3d J = Eigen::Matrix3d::Identity() + k.b * P + k.c * P2;
  const Eigen::Matrix3d Q = 0.5 * R + k.c * (P * R + R * P + P * R * P) +
                            k.q1 * (P2 * R + R * P2 - 3 * P * R * P) +
                            0.5 * (k.q1 + 3 * k.q2) * (P * R * P2 + P2 * R * P);
  Matrix6 result;
  result << J, Q, Eigen::Matrix3d::Zero(), J;
  return result;
}

Eigen::Matrix3d orthonormalised(const Eigen::Matrix3d& R) {
  return Eigen::Quaterniond(R).normalized().toRotationMatrix();
}

}  // namespace diffrt::scene
