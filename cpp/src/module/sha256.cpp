#include "module/sha256.hpp"

#include <cpuid.h>
#include <immintrin.h>

#include <algorithm>
#include <atomic>

namespace diffrt::module {
namespace {

constexpr std::array<std::uint32_t, 64> constants{
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

std::uint32_t rotated(std::uint32_t x, int by) { return x >> by | x << (32 - by); }

using Word = std::uint32_t;
inline void round(Word a, Word b, Word c, Word& d, Word e, Word f, Word g, Word& h, Word w) {
  h += (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + (g ^ (e & (f ^ g))) + w;
  d += h;
  h += (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) | (c & (a | b)));
}

void add_blocks_portably(Sha256::State& state, const unsigned char* bytes, std::size_t blocks) {
  for (; blocks > 0; --blocks, bytes += 64) {
    std::array<std::uint32_t, 64> w;
    for (std::size_t t = 0; t < 16; ++t)
      w[t] = std::uint32_t{bytes[4 * t]} << 24 | std::uint32_t{bytes[4 * t + 1]} << 16 |
             std::uint32_t{bytes[4 * t + 2]} << 8 | std::uint32_t{bytes[4 * t + 3]};
    for (std::size_t t = 16; t < 64; ++t) {
      const std::uint32_t x = w[t - 15], y = w[t - 2];
      w[t] = w[t - 16] + (rotated(x, 7) ^ rotated(x, 18) ^ x >> 3) + w[t - 7] +
             (rotated(y, 17) ^ rotated(y, 19) ^ y >> 10);
    }
    auto [a, b, c, d, e, f, g, h] = state;
    // The letters move on by one each round: of eight rounds, none has to move a number.
    for (std::size_t t = 0; t < 64; t += 8) {
      round(a, b, c, d, e, f, g, h, constants[t] + w[t]);
      round(h, a, b, c, d, e, f, g, constants[t + 1] + w[t + 1]);
      round(g, h, a, b, c, d, e, f, constants[t + 2] + w[t + 2]);
      round(f, g, h, a, b, c, d, e, constants[t + 3] + w[t + 3]);
      round(e, f, g, h, a, b, c, d, constants[t + 4] + w[t + 4]);
      round(d, e, f, g, h, a, b, c, constants[t + 5] + w[t + 5]);
      round(c, d, e, f, g, h, a, b, constants[t + 6] + w[t + 6]);
      round(b, c, d, e, f, g, h, a, constants[t + 7] + w[t + 7]);
    }
    const std::array<std::uint32_t, 8> change{a, b, c, d, e, f, g, h};
    for (std::size_t k = 0; k < 8; ++k) state[k] += change[k];
  }
}

// By the processor's instructions, four rounds at a time; they keep the state as (a b e f) and (c d g h),
// from the highest word on.
__attribute__((target("sha,sse4.1"))) void add_blocks_by_instructions(Sha256::State& state,
                                                                      const unsigned char* bytes,
                                                                      std::size_t blocks) {
  const auto load = [](const void* from) __attribute__((target("sse4.1"))) {
    return _mm_loadu_si128(static_cast<const __m128i*>(from));
  };
  const __m128i swapped = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  const __m128i badc = _mm_shuffle_epi32(load(&state[0]), 0xb1),
                efgh = _mm_shuffle_epi32(load(&state[4]), 0x1b);
  __m128i abef = _mm_alignr_epi8(badc, efgh, 8), cdgh = _mm_blend_epi16(efgh, badc, 0xf0);
  for (; blocks > 0; --blocks, bytes += 64) {
    const __m128i abef_before = abef, cdgh_before = cdgh;
    __m128i w[4];
    for (std::size_t t = 0; t < 16; ++t) {
      __m128i& words = w[t % 4];
      if (t < 4) {
        words = _mm_shuffle_epi8(load(bytes + 16 * t), swapped);
      } else {
        const __m128i last = w[(t + 3) % 4];
        const __m128i seven_before = _mm_alignr_epi8(last, w[(t + 2) % 4], 4);
        words = _mm_add_epi32(_mm_sha256msg1_epu32(words, w[(t + 1) % 4]), seven_before);
        words = _mm_sha256msg2_epu32(words, last);
      }
      const __m128i with_constants = _mm_add_epi32(words, load(&constants[4 * t]));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, with_constants);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(with_constants, 0x0e));
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  const __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(&state[0]), _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(&state[4]), _mm_alignr_epi8(dchg, feba, 8));
}

}  // namespace

bool Sha256::has_instructions() {
  static std::atomic<int> known{-1};  // asking takes long in a virtual machine
  if (known < 0) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    const bool sse = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & (1u << 9)) != 0 && (c & (1u << 19)) != 0;
    known = sse && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & (1u << 29)) != 0 ? 1 : 0;
  }
  return known == 1;
}

void Sha256::add_blocks(const unsigned char* bytes, std::size_t blocks) {
  (by_instructions_ ? add_blocks_by_instructions : add_blocks_portably)(state_, bytes, blocks);
}

void Sha256::add(Span<const unsigned char> bytes) {
  const std::size_t kept = size_ % 64;
  size_ += bytes.size();
  if (kept > 0) {
    const Span<const unsigned char> begin = bytes.first(64 - kept);
    std::copy(begin.begin(), begin.end(), rest_.begin() + kept);
    if (kept + begin.size() < 64) return;
    add_blocks(rest_.data(), 1);
    bytes = bytes.subspan(begin.size());
  }
  add_blocks(bytes.data(), bytes.size() / 64);
  const Span<const unsigned char> end = bytes.subspan(bytes.size() / 64 * 64);
  std::copy(end.begin(), end.end(), rest_.begin());
}

Sha256::Digest Sha256::finish() {
  const std::uint64_t bits = 8 * size_;
  std::array<unsigned char, 72> padding{0x80};
  const std::size_t zeros = (119 - size_ % 64) % 64;  // with the 0x80, up to 8 bytes before a block's end
  for (std::size_t k = 0; k < 8; ++k)
    padding[zeros + 1 + k] = static_cast<unsigned char>(bits >> (56 - 8 * k));
  add({padding.data(), zeros + 9});
  Digest digest{};
  for (std::size_t k = 0; k < 32; ++k)
    digest[k] = static_cast<unsigned char>(state_[k / 4] >> (24 - 8 * (k % 4)));
  return digest;
}

}  // namespace diffrt::module
