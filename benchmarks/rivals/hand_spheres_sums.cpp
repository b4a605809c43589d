// Many spheres by hand: a distance image, and beside what was observed its cost, J'r, and J'J, which is a 4x4
// block for each sphere, since a pixel shows one sphere alone.
//
// Ray q = (x, y, 1), sphere (c, r). The distance is t = T / |q| with
//
//   T = q . c - sqrt(D),  D = r^2 (q . q) - |q x c|^2
//
// so T orders the surfaces along a ray as t does, and no root is needed for |q| while the nearest is sought.
// With u = x - c.x / c.z, D is a u^2 + 2 b u + c in each row, and nothing cancels as it does in |c|^2 - b^2.
// The row of a pixel is, with its surface point p = T / (q . q) q,
//
//   (dt/dr, dt/dc) = (-r, c - p) / s,  s = sqrt(D) / |q|
//
// and |c - p| = r, so nine sums make the ten of J'J.
//
// - Bands of rows, a thread each in turn; what lies between the passes stays in the cache.
// - A sphere is looked at within its span of columns, found for all rows of a band in one vector.
// - Pass 1, by spheres: the nearest T and whose it is. Pass 2, by pixels: residuals. Pass 3, by spheres:
//   rows, computed anew and stored nowhere, into 13 sums that stay in registers over the band. Lanes in which
//   another sphere is seen add zero; vectors of them are passed over.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <experimental/simd>
#include <vector>

namespace {

namespace stdx = std::experimental;
using Packet = stdx::native_simd<float>;
constexpr int lanes = Packet::size();
constexpr int band = 16, sums = 14;  // J'r (4), the lower triangle of J'J (10)
constexpr float far = 1e30f;
constexpr auto aligned = stdx::vector_aligned;

Packet load(const float* from) { return Packet(from, aligned); }
Packet iota() {
  return Packet([](auto k) { return static_cast<float>(k); });
}

struct Camera {
  int width, height;
  float focal, cx, cy;
  float slope_y(int j) const { return (static_cast<float>(j) - cy) / focal; }
};

// One sphere, and what follows from it; rows [top, bottom) are those that it may cover.
struct Sphere {
  Sphere(const float* theta, int index, const Camera& camera)
      : r(theta[0]),
        x(theta[1]),
        y(theta[2]),
        z(theta[3]),
        X(x / z),
        Y(y / z),
        rr(r * r),
        zz(z * z),
        id(static_cast<float>(index)) {
    const float k = zz - rr,
                root = r * std::sqrt(std::max(y * y + k, 0.0f));  // tangents of its outline in y, z
    top = std::max(static_cast<int>((y * z - root) / k * camera.focal + camera.cy) - 1, 0);
    bottom = std::min(static_cast<int>((y * z + root) / k * camera.focal + camera.cy) + 2, camera.height);
  }
  float r, x, y, z, X, Y, rr, zz, id;
  int top, bottom;
};

// D / c.z^2 = (a u + 2 b) u + c of a row.
struct Quadratic {
  float a, b, c;
  Quadratic(const Sphere& s, float y) {
    const float v = y - s.Y, k = s.rr / s.zz;
    a = k - 1.0f - s.Y * s.Y;
    b = k * s.X + s.X * s.Y * v;
    c = k * (s.X * s.X + y * y + 1.0f) - v * v * (1.0f + s.X * s.X);
  }
};

// What a thread keeps of one band, by rows of `stride` pixels.
struct Band {
  explicit Band(int width) : stride((width + lanes - 1) / lanes * lanes), memory(4 * stride * band + lanes) {
    float* at = memory.data();
    while (reinterpret_cast<std::size_t>(at) % (4 * lanes)) ++at;
    nearest = at, seen = at + stride * band, slope = at + 2 * stride * band, inv_qq = at + 3 * stride * band;
  }
  int stride;
  std::vector<float> memory;
  float *nearest, *seen;  // T, and the sphere's index
  float *slope, *inv_qq;  // residual * |q|, and 1 / (q . q)
};

// A sphere within a band: for each row the columns that it may cover, from a multiple of `lanes`; none: [0,
// 0).
struct Part {
  Part(const Sphere& s, const Camera& camera, int first) : sphere(&s) {
    const float width = static_cast<float>(camera.width), inv_focal = 1.0f / camera.focal;
#pragma omp simd
    for (int row = 0; row < band; ++row) {
      const Quadratic d(s, (static_cast<float>(first + row) - camera.cy) * inv_focal);
      const float disc = d.b * d.b - d.a * d.c, root = std::sqrt(std::max(disc, 0.0f)), inv_a = 1.0f / d.a;
      const float low = ((root - d.b) * inv_a + s.X) * camera.focal + camera.cx;
      const float high = ((-root - d.b) * inv_a + s.X) * camera.focal + camera.cx;
      const bool here = disc > 0.0f;
      begin[row] = static_cast<int>(here ? std::min(std::max(low - 1.0f, 0.0f), width) : 0.0f) & -lanes;
      end[row] = static_cast<int>(here ? std::min(std::max(high + 2.0f, 0.0f), width) : 0.0f);
    }
  }
  const Sphere* sphere;
  int begin[band], end[band];
};

void draw(const Part& part, const Camera& camera, int first, int rows, Band& work) {
  const Sphere& s = *part.sphere;
  const float inv_focal = 1.0f / camera.focal, left = -camera.cx * inv_focal - s.X;
  for (int row = 0; row < rows; ++row) {
    const float y = camera.slope_y(first + row), qc_row = s.X * s.x + y * s.y + s.z;
    const Quadratic d(s, y);
    float *nearest = work.nearest + row * work.stride, *seen = work.seen + row * work.stride;
    for (int i = part.begin[row]; i < part.end[row]; i += lanes) {
      const Packet u = (iota() + static_cast<float>(i)) * inv_focal + left;
      const Packet disc = ((d.a * u + 2.0f * d.b) * u + d.c) * s.zz;
      const Packet T = u * s.x + qc_row - stdx::sqrt(disc);  // not a number beside the sphere
      Packet best = load(nearest + i), who = load(seen + i);
      const auto nearer = disc > 0.0f && T < best;
      where(nearer, best) = T;
      where(nearer, who) = s.id;
      best.copy_to(nearest + i, aligned);
      who.copy_to(seen + i, aligned);
    }
  }
}

double find_residuals(const Camera& camera, int first, int rows, const float* observed, Band& work) {
  double cost = 0.0;
  const float inv_focal = 1.0f / camera.focal;
  for (int row = 0; row < rows; ++row) {
    const float* __restrict nearest = work.nearest + row * work.stride;
    const float* __restrict line = observed + static_cast<std::size_t>(first + row) * camera.width;
    float* __restrict slope = work.slope + row * work.stride;
    float* __restrict inv_qq = work.inv_qq + row * work.stride;
    const float y = camera.slope_y(first + row), qq_row = y * y + 1.0f;
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < camera.width; ++i) {
      const float x = (static_cast<float>(i) - camera.cx) * inv_focal, qq = x * x + qq_row;
      const float inv_norm = 1.0f / std::sqrt(qq);
      const float residual = (nearest[i] < far ? nearest[i] * inv_norm : 0.0f) - line[i];
      slope[i] = residual * qq * inv_norm;
      inv_qq[i] = inv_norm * inv_norm;
      sum += residual * residual;
    }
    cost += sum;
  }
  return cost;
}

void add_rows(const Part& part, const Camera& camera, int first, int rows, const Band& work, double* out) {
  const Sphere& s = *part.sphere;
  const float inv_focal = 1.0f / camera.focal, left = -camera.cx * inv_focal - s.X;
  Packet g0 = 0, g1 = 0, g2 = 0, g3 = 0, w1 = 0, w2 = 0, w3 = 0, h11 = 0, h21 = 0, h22 = 0, h31 = 0, h32 = 0,
         h33 = 0;
  for (int row = 0; row < rows; ++row) {
    const float y = camera.slope_y(first + row), qc_row = s.X * s.x + y * s.y + s.z, qq_row = y * y + 1.0f;
    const Quadratic d(s, y);
    const int at = row * work.stride;
    for (int i = part.begin[row]; i < part.end[row]; i += lanes) {
      const auto mine = load(work.seen + at + i) == s.id;
      if (none_of(mine)) continue;
      const Packet u = (iota() + static_cast<float>(i)) * inv_focal + left, x = u + s.X;
      Packet disc = ((d.a * u + 2.0f * d.b) * u + d.c) * s.zz;
      where(!mine, disc) = 1.0f;
      const Packet root = stdx::sqrt(disc), p_z = (u * s.x + qc_row - root) * load(work.inv_qq + at + i);
      const Packet n1 = s.x - p_z * x, n2 = s.y - p_z * y, n3 = s.z - p_z;
      Packet inv_root = 1.0f / root;
      where(!mine, inv_root) = 0.0f;
      const Packet e = inv_root * load(work.slope + at + i), w = inv_root * inv_root * (x * x + qq_row);
      const Packet m1 = w * n1, m2 = w * n2, m3 = w * n3;
      g0 += e, g1 += e * n1, g2 += e * n2, g3 += e * n3;
      w1 += m1, w2 += m2, w3 += m3;
      h11 += m1 * n1, h21 += m2 * n1, h22 += m2 * n2, h31 += m3 * n1, h32 += m3 * n2, h33 += m3 * n3;
    }
  }
  const auto sum = [](const Packet& of) { return reduce(of); };
  const float xx = sum(h11), yy = sum(h22), zz = sum(h33);
  const float found[sums] = {-s.r * sum(g0), sum(g1),  sum(g2),        sum(g3),  xx + yy + zz,
                             -s.r * sum(w1), xx,       -s.r * sum(w2), sum(h21), yy,
                             -s.r * sum(w3), sum(h31), sum(h32),       zz};
  for (int k = 0; k < sums; ++k) out[k] += found[k];
}

// The nearest T of each pixel of a band and whose it is; and what there is of spheres in the band.
void find_nearest(const std::vector<Sphere>& spheres, const Camera& camera, int first, int rows, Band& work,
                  std::vector<Part>& parts) {
  std::fill(work.nearest, work.nearest + work.stride * band, far);
  std::fill(work.seen, work.seen + work.stride * band, -1.0f);
  parts.clear();
  for (const Sphere& s : spheres)
    if (s.top < first + rows && s.bottom > first)
      draw(parts.emplace_back(s, camera, first), camera, first, rows, work);
}

std::vector<Sphere> spheres_of(const float* theta, int count, const Camera& camera) {
  std::vector<Sphere> spheres;
  for (int k = 0; k < count; ++k) spheres.emplace_back(theta + 4 * k, k, camera);
  return spheres;
}

}  // namespace

extern "C" {

// theta: radius, centre x, y, z of each sphere. out: height x width, 0 where there is none.
void hand_spheres_value(const float* theta, int count, int width, int height, float focal, float cx, float cy,
                        float* out) {
  const Camera camera{width, height, focal, cx, cy};
  const std::vector<Sphere> spheres = spheres_of(theta, count, camera);
#pragma omp parallel
  {
    Band work(width);
    std::vector<Part> parts;
#pragma omp for schedule(dynamic)
    for (int first = 0; first < height; first += band) {
      const int rows = std::min(band, height - first);
      find_nearest(spheres, camera, first, rows, work, parts);
      for (int row = 0; row < rows; ++row) {
        const float* __restrict nearest = work.nearest + row * work.stride;
        float* __restrict line = out + static_cast<std::size_t>(first + row) * width;
        const float y = camera.slope_y(first + row), inv_focal = 1.0f / focal;
        for (int i = 0; i < width; ++i) {
          const float x = (static_cast<float>(i) - cx) * inv_focal;
          line[i] = nearest[i] < far ? nearest[i] / std::sqrt(x * x + y * y + 1.0f) : 0.0f;
        }
      }
    }
  }
}

// out: sum of squares / 2; then by sphere J'r (4) and the lower triangle of its block of J'J by rows (10).
void hand_spheres_sums(const float* theta, int count, int width, int height, float focal, float cx, float cy,
                       const float* observed, double* out) {
  const Camera camera{width, height, focal, cx, cy};
  const std::vector<Sphere> spheres = spheres_of(theta, count, camera);
  std::fill(out, out + 1 + sums * count, 0.0);
#pragma omp parallel
  {
    Band work(width);
    std::vector<double> mine(1 + sums * count);
    std::vector<Part> parts;
#pragma omp for schedule(dynamic)
    for (int first = 0; first < height; first += band) {
      const int rows = std::min(band, height - first);
      find_nearest(spheres, camera, first, rows, work, parts);
      mine[0] += 0.5 * find_residuals(camera, first, rows, observed, work);
      for (const Part& part : parts)
        add_rows(part, camera, first, rows, work, mine.data() + 1 + sums * (part.sphere - spheres.data()));
    }
#pragma omp critical
    for (std::size_t k = 0; k < mine.size(); ++k) out[k] += mine[k];
  }
}
}
