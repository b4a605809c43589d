// Models as an engineer would write them out: loops over vectors of floats, derivatives by hand. Planes are
// 64 bytes further apart than they are long, or those of a pixel would fall on the same few places of a
// cache.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if __has_include(<ceres/jet.h>) && __has_include(<Eigen/Core>)
#include <ceres/jet.h>
#define HAS_CERES 1
#else
#define HAS_CERES 0
#endif

namespace {

constexpr int lanes = 16;
typedef float V __attribute__((vector_size(4 * lanes)));
typedef std::int32_t I __attribute__((vector_size(4 * lanes)));

V columns_from(int i) {
  V x;
  for (int l = 0; l < lanes; ++l) x[l] = static_cast<float>(i + l);
  return x;
}
V splat(float x) { return V{} + x; }
void store(float* to, const V& x) { std::memcpy(to, &x, sizeof x); }

// Cephes' polynomials, in single precision.
#pragma omp declare simd notinbranch
inline void sine_and_cosine(float x, float* sine, float* cosine) {
  const float turns = std::floor(x * 0.636619772f + 0.5f);
  float r = std::fma(-turns, 1.5703125f, x);
  r = std::fma(-turns, 4.837512969970703125e-4f, r);
  r = std::fma(-turns, 7.549789948768648e-8f, r);
  const float q = r * r;
  const float s = r + r * (q * (-1.6666654611e-1f + q * (8.3321608736e-3f - q * 1.9515295891e-4f)));
  const float c = 1.0f - 0.5f * q +
                  q * q * (4.166664568298827e-2f + q * (-1.388731625493765e-3f + q * 2.443315711809948e-5f));
  const int quarter = static_cast<int>(turns) & 3;
  const float a = (quarter & 1) ? c : s, b = (quarter & 1) ? s : c;
  *sine = (quarter & 2) ? -a : a;
  *cosine = ((quarter + 1) & 2) ? -b : b;
}

// Forward mode, `C` seeds at a time.
template <int C>
void chain_chunk(const float* a, V u, V v, int first, V* value, V* partials) {
  V du[C] = {}, dv[C] = {};
  int k = 0;
  for (; k < first / 2; ++k) {  // nothing depends on these seeds yet
    const float p = 0.1f * a[2 * k], q = 0.1f * a[2 * k + 1];
    const V fu = v * (1.0f - u), fv = u * (1.0f - v);
    u += p * fu, v += q * fv;
  }
#pragma GCC unroll 64
  for (int c = 0; c < C; c += 2, ++k) {
    const float p = 0.1f * a[2 * k], q = 0.1f * a[2 * k + 1];
    const V fu = v * (1.0f - u), fv = u * (1.0f - v);
    const V uu = 1.0f - p * v, uv = p * (1.0f - u), vv = 1.0f - q * u, vu = q * (1.0f - v);
#pragma GCC unroll 64
    for (int s = 0; s < c; ++s) {
      const V nu = uu * du[s] + uv * dv[s], nv = vu * du[s] + vv * dv[s];
      du[s] = nu, dv[s] = nv;
    }
    du[c] = 0.1f * fu, dv[c + 1] = 0.1f * fv;
    u += p * fu, v += q * fv;
  }
  for (; k < 32; ++k) {
    const float p = 0.1f * a[2 * k], q = 0.1f * a[2 * k + 1];
    const V fu = v * (1.0f - u), fv = u * (1.0f - v);
    const V uu = 1.0f - p * v, uv = p * (1.0f - u), vv = 1.0f - q * u, vu = q * (1.0f - v);
#pragma GCC unroll 64
    for (int c = 0; c < C; ++c) {
      const V nu = uu * du[c] + uv * dv[c], nv = vu * du[c] + vv * dv[c];
      du[c] = nu, dv[c] = nv;
    }
    u += p * fu, v += q * fv;
  }
  *value = u * v;
#pragma GCC unroll 64
  for (int c = 0; c < C; ++c) partials[c] = du[c] * v + u * dv[c];
}

template <int C>
void chain_forward(const float* a, int w, int h, int stride, float* out, int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)
  for (int j = 0; j < h; ++j) {
    for (int i = 0; i < w; i += lanes) {
      V value, partials[C];
      const V x = columns_from(i) / static_cast<float>(w - 1), y = splat(static_cast<float>(j) / (h - 1));
      float* const to = out + static_cast<std::ptrdiff_t>(j) * w + i;
      for (int first = 0; first < 64; first += C) {
        chain_chunk<C>(a, x, y, first, &value, partials);
        for (int c = 0; c < C; ++c)
          store(to + static_cast<std::ptrdiff_t>(1 + first + c) * stride, partials[c]);
      }
      store(to, value);
    }
  }
}

}  // namespace

extern "C" {

// 65 planes: the value, then the column of each amplitude.
void cosines(const float* a, int w, int h, int stride, float* out, int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)
  for (int j = 0; j < h; ++j) {
    float* const value = out + static_cast<std::ptrdiff_t>(j) * w;
    const float y = static_cast<float>(j) / (h - 1);
    std::memset(value, 0, sizeof(float) * static_cast<std::size_t>(w));
    for (int k = 0; k < 64; ++k) {
      const float p = static_cast<float>(k % 8 + 1) / (w - 1), q = static_cast<float>(k / 8 + 1) * y,
                  of = a[k];
      float* const column = value + static_cast<std::ptrdiff_t>(k + 1) * stride;
#pragma omp simd
      for (int i = 0; i < w; ++i) {
        const float g = static_cast<float>(i) * p + q;
        float s, c;
        sine_and_cosine(of * g, &s, &c);
        value[i] += c, column[i] = -s * g;
      }
    }
  }
}

// 17 planes: the value and its 16 partials, which are the basis; `ids`: the first control point of each
// pixel.
void lattice(const float* heights, int w, int h, int stride, float* out, std::int32_t* ids, int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)
  for (int j = 0; j < h; ++j) {
    const auto basis = [](auto t, auto* b) {
      const auto s = 1.0f - t;
      b[0] = s * s * s * (1 / 6.0f), b[1] = ((3.0f * t - 6.0f) * t * t + 4.0f) * (1 / 6.0f);
      b[2] = ((3.0f * s - 6.0f) * s * s + 4.0f) * (1 / 6.0f), b[3] = t * t * t * (1 / 6.0f);
    };
    const float y = static_cast<float>(j) / (h - 1) * 12.999f;
    const int cy = static_cast<int>(y);
    float by[4];
    basis(y - static_cast<float>(cy), by);
    for (int i = 0; i < w; i += lanes) {
      const V x = columns_from(i) * (12.999f / (w - 1));
      const I cell = __builtin_convertvector(x, I);
      V bx[4], total = {};
      basis(x - __builtin_convertvector(cell, V), bx);
      const I first = cell + cy * 16;
      float* const to = out + static_cast<std::ptrdiff_t>(j) * w + i;
      for (int b = 0; b < 4; ++b) {
        for (int a = 0; a < 4; ++a) {
          const V partial = bx[a] * by[b];
          V read;
          for (int l = 0; l < lanes; ++l) read[l] = heights[first[l] + b * 16 + a];
          total += partial * read;
          store(to + static_cast<std::ptrdiff_t>(1 + 4 * b + a) * stride, partial);
        }
      }
      store(to, total);
      std::memcpy(ids + static_cast<std::ptrdiff_t>(j) * w + i, &first, sizeof first);
    }
  }
}

void chain_forward_4(const float* a, int w, int h, int stride, float* out, int threads) {
  chain_forward<4>(a, w, h, stride, out, threads);
}
void chain_forward_8(const float* a, int w, int h, int stride, float* out, int threads) {
  chain_forward<8>(a, w, h, stride, out, threads);
}
void chain_forward_16(const float* a, int w, int h, int stride, float* out, int threads) {
  chain_forward<16>(a, w, h, stride, out, threads);
}

void chain_reverse(const float* a, int w, int h, int stride, float* out, int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 4)
  for (int j = 0; j < h; ++j) {
    for (int i = 0; i < w; i += lanes) {
      V us[33], vs[33];
      us[0] = columns_from(i) / static_cast<float>(w - 1), vs[0] = splat(static_cast<float>(j) / (h - 1));
      for (int k = 0; k < 32; ++k) {
        us[k + 1] = us[k] + 0.1f * a[2 * k] * vs[k] * (1.0f - us[k]);
        vs[k + 1] = vs[k] + 0.1f * a[2 * k + 1] * us[k] * (1.0f - vs[k]);
      }
      float* const to = out + static_cast<std::ptrdiff_t>(j) * w + i;
      store(to, us[32] * vs[32]);
      V by_u = vs[32], by_v = us[32];
      for (int k = 31; k >= 0; --k) {
        const V u = us[k], v = vs[k];
        store(to + static_cast<std::ptrdiff_t>(1 + 2 * k) * stride, 0.1f * by_u * v * (1.0f - u));
        store(to + static_cast<std::ptrdiff_t>(2 + 2 * k) * stride, 0.1f * by_v * u * (1.0f - v));
        const float p = 0.1f * a[2 * k], q = 0.1f * a[2 * k + 1];
        const V before = by_u * (1.0f - p * v) + by_v * q * (1.0f - v);
        by_v = by_u * p * (1.0f - u) + by_v * (1.0f - q * u), by_u = before;
      }
    }
  }
}

int has_ceres() { return HAS_CERES; }

}  // extern "C"

#if HAS_CERES
namespace {

template <class T>
void residual(const T* camera, const T* pose, const float* board, const float* seen, T* r) {
  using std::cos, std::sin, std::sqrt;
  const T angle = sqrt(pose[3] * pose[3] + pose[4] * pose[4] + pose[5] * pose[5] + 1e-20f), c = cos(angle),
          s = sin(angle);
  const T inverse = 1.0f / angle, a0 = pose[3] * inverse, a1 = pose[4] * inverse, a2 = pose[5] * inverse;
  const T along = (a0 * board[0] + a1 * board[1]) * (1.0f - c);
  const T X = c * board[0] - s * a2 * board[1] + along * a0 + pose[0];
  const T Y = c * board[1] + s * a2 * board[0] + along * a1 + pose[1];
  const T Z = s * (a0 * board[1] - a1 * board[0]) + along * a2 + pose[2];
  const T x = X / Z, y = Y / Z, r2 = x * x + y * y;
  const T radial = 1.0f + r2 * (camera[4] + r2 * (camera[5] + r2 * camera[8]));
  const T xd = x * radial + 2.0f * camera[6] * x * y + camera[7] * (r2 + 2.0f * x * x);
  const T yd = y * radial + camera[6] * (r2 + 2.0f * y * y) + 2.0f * camera[7] * x * y;
  r[0] = camera[0] * xd + camera[2] - seen[0], r[1] = camera[1] * yd + camera[3] - seen[1];
}

}  // namespace

// out: of each corner and residual the value and 15 columns: the camera's 9, the pose's 6. One thread.
extern "C" void calibration(const float* camera, const float* poses, const float* board, const float* seen,
                            const std::int32_t* view, int n, float* out) {
  using Jet = ceres::Jet<float, 15>;
  for (int i = 0; i < n; ++i) {
    Jet c[9], p[6], r[2];
    for (int a = 0; a < 9; ++a) c[a] = Jet(camera[a], a);
    for (int a = 0; a < 6; ++a) p[a] = Jet(poses[view[i] * 6 + a], 9 + a);
    residual<Jet>(c, p, board + 2 * i, seen + 2 * i, r);
    for (int o = 0; o < 2; ++o) {
      float* const to = out + (2 * i + o) * 16;
      to[0] = r[o].a;
      for (int a = 0; a < 15; ++a) to[1 + a] = r[o].v[a];
    }
  }
}
#endif
