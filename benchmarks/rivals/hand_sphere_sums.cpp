// The scene by hand: cost, J'r and J'J of a distance image of one sphere beside what was observed.
//
// As in hand_derived.cpp: q = (x, y, 1), d = q / |q|, b = d . c, m = c - b d, s = sqrt(r^2 - m . m), t = b -
// s, and the row of a pixel that hits is (-r, m) / s + (0, d). One that misses has the value 0 and no row, so
// it adds to the cost alone. One pass: nothing is stored but the sums. Rows of sums in float, the sums of
// rows in double.
#include <algorithm>
#include <cmath>
#include <cstddef>

namespace {

constexpr int sums = 15;  // cost, J'r (4), the lower triangle of J'J (10)

struct Camera {
  int width, height;
  float focal, cx, cy;
};

inline float squares(const float* observed, int begin, int end) {
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int i = begin; i < end; ++i) sum += observed[i] * observed[i];
  return sum;
}

// Pixels [begin, end) of row j, which the sphere may cover.
inline void add_row(const float* theta, const Camera& camera, int j, int begin, int end,
                    const float* observed, double* total) {
  const float inv_focal = 1.0f / camera.focal;
  const float r = theta[0], cx = theta[1], cy = theta[2], cz = theta[3];
  const float y = (static_cast<float>(j) - camera.cy) * inv_focal;
  const float qq_row = y * y + 1.0f, qc_row = y * cy + cz, rr = r * r;
  float cost = 0, g0 = 0, g1 = 0, g2 = 0, g3 = 0;
  float h00 = 0, h10 = 0, h11 = 0, h20 = 0, h21 = 0, h22 = 0, h30 = 0, h31 = 0, h32 = 0, h33 = 0;
#pragma omp simd reduction(+ : cost, g0, g1, g2, g3, h00, h10, h11, h20, h21, h22, h30, h31, h32, h33)
  for (int i = begin; i < end; ++i) {
    const float x = (static_cast<float>(i) - camera.cx) * inv_focal;
    const float inv_norm = 1.0f / std::sqrt(x * x + qq_row);
    const float b = (x * cx + qc_row) * inv_norm;
    const float dx = x * inv_norm, dy = y * inv_norm, dz = inv_norm;
    const float mx = cx - b * dx, my = cy - b * dy, mz = cz - b * dz;
    const float disc = rr - (mx * mx + my * my + mz * mz);
    const bool hit = disc > 0.0f;
    const float inv_s = 1.0f / std::sqrt(hit ? disc : 1.0f);
    const float residual = (hit ? b - disc * inv_s : 0.0f) - observed[i];
    const float j0 = hit ? -r * inv_s : 0.0f, j1 = hit ? mx * inv_s + dx : 0.0f;
    const float j2 = hit ? my * inv_s + dy : 0.0f, j3 = hit ? mz * inv_s + dz : 0.0f;
    cost += residual * residual;
    g0 += j0 * residual, g1 += j1 * residual, g2 += j2 * residual, g3 += j3 * residual;
    h00 += j0 * j0, h10 += j1 * j0, h11 += j1 * j1, h20 += j2 * j0, h21 += j2 * j1, h22 += j2 * j2;
    h30 += j3 * j0, h31 += j3 * j1, h32 += j3 * j2, h33 += j3 * j3;
  }
  const float row[sums] = {cost, g0, g1, g2, g3, h00, h10, h11, h20, h21, h22, h30, h31, h32, h33};
  for (int k = 0; k < sums; ++k) total[k] += row[k];
}

// Columns of row j that the sphere can cover, as in hand_derived.cpp.
inline void span(const float* theta, const Camera& camera, int j, int* begin, int* end) {
  const double r = theta[0], cx = theta[1], cy = theta[2], cz = theta[3];
  const double y = (j - static_cast<double>(camera.cy)) / camera.focal;
  const double k = cx * cx + cy * cy + cz * cz - r * r, h = y * cy + cz;
  const double a = cx * cx - k, half_b = cx * h, c = h * h - k * (y * y + 1.0);
  const double disc = half_b * half_b - a * c;
  *begin = *end = 0;
  if (disc <= 0.0) return;
  const double root = std::sqrt(disc);
  const double low = (-half_b + root) / a, high = (-half_b - root) / a;
  *begin = std::clamp(static_cast<int>(std::floor(low * camera.focal + camera.cx)) - 1, 0, camera.width);
  *end = std::clamp(static_cast<int>(std::ceil(high * camera.focal + camera.cx)) + 2, 0, camera.width);
}

}  // namespace

// theta: radius, centre x, y, z. out: sum of squares / 2, J'r (4), the lower triangle of J'J by rows (10).
extern "C" void hand_sphere_sums(const float* theta, int width, int height, float focal, float cx, float cy,
                                 const float* observed, double* out) {
  const Camera camera{width, height, focal, cx, cy};
  double total[sums] = {};
#pragma omp parallel for schedule(static, 16) reduction(+ : total[:sums])
  for (int j = 0; j < height; ++j) {
    int begin, end;
    span(theta, camera, j, &begin, &end);
    const float* row = observed + static_cast<std::size_t>(j) * width;
    total[0] += squares(row, 0, begin) + squares(row, end, width);
    if (begin < end) add_row(theta, camera, j, begin, end, row, total);
  }
  total[0] *= 0.5;
  std::copy(total, total + sums, out);
}
