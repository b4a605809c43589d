#include "module/products.hpp"

#include <cstring>

#include "runtime/isa.hpp"

namespace diffrt::module {
namespace {

#define DIFFRT_INLINE inline __attribute__((always_inline))

template <class V>
constexpr int lanes_of = static_cast<int>(sizeof(V) / sizeof(float));

template <class V>
struct IntegersOf;
template <>
struct IntegersOf<float __attribute__((vector_size(16)))> {
  using type = std::int32_t __attribute__((vector_size(16)));
};
template <>
struct IntegersOf<float __attribute__((vector_size(32)))> {
  using type = std::int32_t __attribute__((vector_size(32)));
};
template <>
struct IntegersOf<float __attribute__((vector_size(64)))> {
  using type = std::int32_t __attribute__((vector_size(64)));
};
template <class V>
using Integers = typename IntegersOf<V>::type;

template <class V>
DIFFRT_INLINE void load(V& to, const float* from) {
  std::memcpy(&to, from, sizeof to);
}
template <class V>
DIFFRT_INLINE void store(float* to, const V& from) {
  std::memcpy(to, &from, sizeof from);
}

// A x B products over vectors [p, end) of items.
template <class V, int A, int B, bool Masked>
DIFFRT_INLINE void add_vectors(const float* const* x, const float* const* y, const Integers<V>& mask, Index p,
                               Index end, float* sums) {
  constexpr int lanes = lanes_of<V>;
  V total[A][B];
  const float *px[A], *py[B];
  for (int a = 0; a < A; ++a) px[a] = x[a];
  for (int b = 0; b < B; ++b) py[b] = y[b];
  for (int a = 0; a < A; ++a) {
    for (int b = 0; b < B; ++b) load(total[a][b], sums + (a * B + b) * lanes);
  }
  for (; p < end; ++p) {
    V yb[B];
    for (int b = 0; b < B; ++b) {
      load(yb[b], py[b] + p * lanes);
      if (Masked) yb[b] = reinterpret_cast<V>(reinterpret_cast<Integers<V>>(yb[b]) & mask);
    }
    for (int a = 0; a < A; ++a) {
      V xa;
      load(xa, px[a] + p * lanes);
      for (int b = 0; b < B; ++b) total[a][b] += xa * yb[b];
    }
  }
  for (int a = 0; a < A; ++a) {
    for (int b = 0; b < B; ++b) store(sums + (a * B + b) * lanes, total[a][b]);
  }
}

// Lanes of a vector that are in [first, last).
template <class V>
DIFFRT_INLINE void between(Index vector, Index first, Index last, Integers<V>& mask) {
  constexpr int lanes = lanes_of<V>;
  for (int k = 0; k < lanes; ++k) {
    const Index item = vector * lanes + k;
    mask[k] = item >= first && item < last ? -1 : 0;
  }
}

template <class V, int A, int B>
DIFFRT_INLINE void add_block(const float* const* x, const float* const* y, Index first, Index last,
                             float* sums) {
  constexpr int lanes = lanes_of<V>;
  Integers<V> mask = {};
  Index p = first / lanes;
  const Index full = last / lanes;
  if (first % lanes != 0) {
    between<V>(p, first, last, mask);
    add_vectors<V, A, B, true>(x, y, mask, p, p + 1, sums);
    ++p;
  }
  if (p < full) {
    add_vectors<V, A, B, false>(x, y, mask, p, full, sums);
    p = full;
  }
  if (p * lanes < last) {
    between<V>(p, first, last, mask);
    add_vectors<V, A, B, true>(x, y, mask, p, p + 1, sums);
  }
}

template <class V, int A, int B>
DIFFRT_INLINE void add_sized(int a, int b, const float* const* x, const float* const* y, Index first,
                             Index last, float* sums) {
  if (a == A && b == B) return add_block<V, A, B>(x, y, first, last, sums);
  if constexpr (B > 1) {
    if (a == A) return add_sized<V, A, B - 1>(a, b, x, y, first, last, sums);
  }
  if constexpr (A > 1) add_sized<V, A - 1, B>(a, b, x, y, first, last, sums);
}

template <class V, int A, int B>
DIFFRT_INLINE void add_all(const float* const* planes, int count, Index first, Index last, float* sums) {
  for (int a = 0; a < count; a += A) {
    for (int b = a; b < count; b += B) {
      const int down = std::min(A, count - a), across = std::min(B, count - b);
      add_sized<V, A, B>(down, across, planes + a, planes + b, first, last, sums);
      sums += down * across * lanes_of<V>;
    }
  }
}

template <class V>
DIFFRT_INLINE void weigh_plane(float* plane, const float* factors, Index items) {
  for (Index i = 0; i < items; i += lanes_of<V>) {
    V x, f;
    load(x, plane + i), load(f, factors + i);
    const Integers<V> there = f != 0;
    x *= f;
    store(plane + i, reinterpret_cast<V>(reinterpret_cast<Integers<V>>(x) & there));
  }
}

template <class V>
DIFFRT_INLINE void settle_sums(float* sums, const std::int32_t* places, std::size_t pairs, double* to) {
  for (std::size_t k = 0; k < pairs; ++k, sums += lanes_of<V>) {
    if (places[k] < 0) continue;
    V lanes;
    load(lanes, sums);
    double sum = 0;
    for (int lane = 0; lane < lanes_of<V>; ++lane) sum += static_cast<double>(lanes[lane]);
    to[places[k]] += sum;
    store(sums, V{});
  }
}

using Four = float __attribute__((vector_size(16)));
using Eight = float __attribute__((vector_size(32)));
using Sixteen = float __attribute__((vector_size(64)));

#define DIFFRT_V3 __attribute__((target("avx2,fma")))
#define DIFFRT_V4 __attribute__((target("avx512f,avx512vl,avx512dq,fma")))

void add_v2(const float* const* planes, int count, Index first, Index last, float* sums) {
  add_all<Four, 4, 3>(planes, count, first, last, sums);
}
DIFFRT_V3 void add_v3(const float* const* planes, int count, Index first, Index last, float* sums) {
  add_all<Eight, 4, 3>(planes, count, first, last, sums);
}
DIFFRT_V4 void add_v4(const float* const* planes, int count, Index first, Index last, float* sums) {
  add_all<Sixteen, 6, 4>(planes, count, first, last, sums);
}
void weigh_v2(float* plane, const float* factors, Index items) { weigh_plane<Four>(plane, factors, items); }
DIFFRT_V3 void weigh_v3(float* plane, const float* factors, Index items) {
  weigh_plane<Eight>(plane, factors, items);
}
DIFFRT_V4 void weigh_v4(float* plane, const float* factors, Index items) {
  weigh_plane<Sixteen>(plane, factors, items);
}
void settle_v2(float* sums, const std::int32_t* places, std::size_t pairs, double* to) {
  settle_sums<Four>(sums, places, pairs, to);
}
DIFFRT_V3 void settle_v3(float* sums, const std::int32_t* places, std::size_t pairs, double* to) {
  settle_sums<Eight>(sums, places, pairs, to);
}
DIFFRT_V4 void settle_v4(float* sums, const std::int32_t* places, std::size_t pairs, double* to) {
  settle_sums<Sixteen>(sums, places, pairs, to);
}

}  // namespace

ProductArithmetic product_arithmetic() {
  switch (runtime::active_level().name.back()) {
    case '4':
      return {16, 6, 4, add_v4, weigh_v4, settle_v4};
    case '3':
      return {8, 4, 3, add_v3, weigh_v3, settle_v3};
    default:
      return {4, 4, 3, add_v2, weigh_v2, settle_v2};
  }
}

}  // namespace diffrt::module
