// The scene by hand: distance along the ray to one sphere, and its derivative by radius and centre.
//
// Ray through pixel (i, j): q = (x, y, 1), x = (i - cx) / f, y = (j - cy) / f, direction d = q / |q|.
// Sphere (c, r):
//
//   b = d . c,  m = c - b d,  s = sqrt(r^2 - m . m),  t = b - s
//   |t d - c|^2 = r^2  =>  dt/dr = -r / s,  dt/dc = (c - t d) / s = m / s + d
//
// with m . m instead of |c|^2 - b^2, which cancels. A ray that misses (m . m >= r^2) has the value 0 and the
// derivative 0. Five float32 planes, height x width each: value, radius, centre x, y, z.
//
// hand_derived_full
//   The reference of the table: every pixel does the same work, no branch, one loop over the rows.
// hand_derived_bounded
//   The limit: the same loop over the sphere's exact column span of each row, zeros elsewhere.
//
// Tried on the full variant, g++ 12, AVX2, 2 cores, where it takes 0.21 ms:
// - no change: a 0/1 mask as a factor, -funroll-loops, -mrecip=none, `omp simd nontemporal`;
// - 0.17 ms: 1 / |q| from a table made beforehand; not used, since it would hold for one camera only;
// - 0.175 ms: s^2 as b^2 - (c . c - r^2); not used, since it cancels and other pixels are hit at the rim.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

namespace {

struct Sphere {
  float radius, x, y, z;
};

struct Camera {
  int width, height;
  float focal, cx, cy;
};

// Pixels [begin, end) of row j. `out` is the value's plane, `plane` the distance from one plane to the next.
inline void row(const Sphere& sphere, const Camera& camera, int j, int begin, int end, float* __restrict out,
                std::size_t plane) {
  const float inv_focal = 1.0f / camera.focal;
  const float y = (static_cast<float>(j) - camera.cy) * inv_focal;
  const float qq_row = y * y + 1.0f;
  const float qc_row = y * sphere.y + sphere.z;
  const float rr = sphere.radius * sphere.radius;
  float* __restrict value = out + static_cast<std::size_t>(j) * camera.width;
  float* __restrict by_radius = value + plane;
  float* __restrict by_x = by_radius + plane;
  float* __restrict by_y = by_x + plane;
  float* __restrict by_z = by_y + plane;
#pragma omp simd
  for (int i = begin; i < end; ++i) {
    const float x = (static_cast<float>(i) - camera.cx) * inv_focal;
    const float inv_norm = 1.0f / std::sqrt(x * x + qq_row);
    const float b = (x * sphere.x + qc_row) * inv_norm;
    const float dx = x * inv_norm, dy = y * inv_norm, dz = inv_norm;
    const float mx = sphere.x - b * dx, my = sphere.y - b * dy, mz = sphere.z - b * dz;
    const float disc = rr - (mx * mx + my * my + mz * mz);
    const bool hit = disc > 0.0f;
    const float inv_s = 1.0f / std::sqrt(hit ? disc : 1.0f);
    value[i] = hit ? b - disc * inv_s : 0.0f;
    by_radius[i] = hit ? -sphere.radius * inv_s : 0.0f;
    by_x[i] = hit ? mx * inv_s + dx : 0.0f;
    by_y[i] = hit ? my * inv_s + dy : 0.0f;
    by_z[i] = hit ? mz * inv_s + dz : 0.0f;
  }
}

// Columns of row j that the sphere can cover: the roots of the quadratic (q . c)^2 = (c . c - r^2) (q . q) in
// x, one pixel wider.
inline void span(const Sphere& s, const Camera& camera, int j, int* begin, int* end) {
  const double y = (j - static_cast<double>(camera.cy)) / camera.focal;
  const double k = double(s.x) * s.x + double(s.y) * s.y + double(s.z) * s.z - double(s.radius) * s.radius;
  const double h = y * s.y + s.z;
  const double a = double(s.x) * s.x - k, half_b = s.x * h, c = h * h - k * (y * y + 1.0);
  const double disc = half_b * half_b - a * c;  // a < 0: the sphere is in front of the camera's plane
  if (disc <= 0.0) {
    *begin = *end = 0;
    return;
  }
  const double root = std::sqrt(disc);
  const double low = (-half_b + root) / a, high = (-half_b - root) / a;
  *begin = std::clamp(static_cast<int>(std::floor(low * camera.focal + camera.cx)) - 1, 0, camera.width);
  *end = std::clamp(static_cast<int>(std::ceil(high * camera.focal + camera.cx)) + 2, 0, camera.width);
}

}  // namespace

extern "C" {

// theta: radius, centre x, y, z. out: 5 planes.
void hand_derived_full(const float* theta, int width, int height, float focal, float cx, float cy,
                       float* out) {
  const Sphere sphere{theta[0], theta[1], theta[2], theta[3]};
  const Camera camera{width, height, focal, cx, cy};
  const std::size_t plane = static_cast<std::size_t>(width) * height;
#pragma omp parallel for schedule(static)
  for (int j = 0; j < height; ++j) row(sphere, camera, j, 0, width, out, plane);
}

void hand_derived_bounded(const float* theta, int width, int height, float focal, float cx, float cy,
                          float* out) {
  const Sphere sphere{theta[0], theta[1], theta[2], theta[3]};
  const Camera camera{width, height, focal, cx, cy};
  const std::size_t plane = static_cast<std::size_t>(width) * height;
#pragma omp parallel for schedule(static, 16)
  for (int j = 0; j < height; ++j) {
    int begin, end;
    span(sphere, camera, j, &begin, &end);
    for (int k = 0; k < 5; ++k) {
      float* line = out + k * plane + static_cast<std::size_t>(j) * width;
      std::memset(line, 0, begin * sizeof(float));
      std::memset(line + end, 0, (width - end) * sizeof(float));
    }
    row(sphere, camera, j, begin, end, out, plane);
  }
}
}
