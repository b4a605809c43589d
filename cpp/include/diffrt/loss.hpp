// Robust losses rho(r^2); the cost of a residual is w/2 rho(r^2), and J'J and J'r are weighted by w
// rho'(r^2).
//
//   none           s
//   huber          s up to d^2, then 2 d |r| - d^2
//   cauchy         c^2 log(1 + s/c^2)
//   geman_mcclure  c^2 s / (c^2 + s)
//   tukey          c^2/3 (1 - (1 - s/c^2)^3) inside c, then constant
//   barron         2 c^2 |a-2|/a ((s/c^2/|a-2| + 1)^(a/2) - 1) and its limits (Barron 2019)
#pragma once

namespace diffrt {

struct Loss {
  enum class Kind { none, huber, cauchy, geman_mcclure, tukey, barron };
  Kind kind = Kind::none;
  double scale = 1;  // > 0, in units of the residual
  double alpha = 1;  // Barron's shape, from -infinity (Welsch) over 0 (Cauchy) and 1 to 2 (least squares)
};

inline Loss huber(double delta) { return {Loss::Kind::huber, delta, 0}; }
inline Loss cauchy(double c) { return {Loss::Kind::cauchy, c, 0}; }
inline Loss geman_mcclure(double c) { return {Loss::Kind::geman_mcclure, c, 0}; }
inline Loss tukey(double c) { return {Loss::Kind::tukey, c, 0}; }
inline Loss barron(double alpha, double c) { return {Loss::Kind::barron, c, alpha}; }

}  // namespace diffrt
