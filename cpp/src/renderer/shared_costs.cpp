#include "renderer/shared_costs.hpp"

#include <cstdint>
#include <cstring>

#include "runtime/isa.hpp"

namespace diffrt::renderer {
namespace {

// Sums over the residuals that exist in both, in vectors as wide as the processor has.
__attribute__((always_inline)) inline SharedCost add_shared(const float* before, const float* now,
                                                            std::size_t size) {
  constexpr std::size_t lanes = 8;
  using Floats = float __attribute__((vector_size(4 * lanes)));
  using Integers = std::int32_t __attribute__((vector_size(4 * lanes)));
  using Doubles = double __attribute__((vector_size(8 * lanes)));
  Doubles sums_before = {}, sums_now = {};
  Integers count = {};
  for (std::size_t p = 0; p < size; p += lanes) {
    Floats a, b;
    std::memcpy(&a, before + p, sizeof a), std::memcpy(&b, now + p, sizeof b);
    const Integers both = (a >= 0) & (b >= 0);
    count -= both;  // -1 where it holds
    a = reinterpret_cast<Floats>(reinterpret_cast<Integers>(a) & both);
    b = reinterpret_cast<Floats>(reinterpret_cast<Integers>(b) & both);
    sums_before += __builtin_convertvector(a, Doubles), sums_now += __builtin_convertvector(b, Doubles);
  }
  SharedCost sums;
  for (std::size_t k = 0; k < lanes; ++k)
    sums.count += static_cast<std::size_t>(count[k]), sums.before += sums_before[k], sums.now += sums_now[k];
  return sums;
}

SharedCost add_v2(const float* before, const float* now, std::size_t size) {
  return add_shared(before, now, size);
}
__attribute__((target("avx2"))) SharedCost add_v3(const float* before, const float* now, std::size_t size) {
  return add_shared(before, now, size);
}
__attribute__((target("avx512f,avx512vl,avx512dq"))) SharedCost add_v4(const float* before, const float* now,
                                                                       std::size_t size) {
  return add_shared(before, now, size);
}

}  // namespace

AddShared add_shared_here() {
  switch (runtime::active_level().name.back()) {
    case '4':
      return add_v4;
    case '3':
      return add_v3;
    default:
      return add_v2;
  }
}

}  // namespace diffrt::renderer
