#include "module/sha256.hpp"

#include <algorithm>

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

}  // namespace

void Sha256::add_blocks(const unsigned char* bytes, std::size_t blocks) {
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
    auto [a, b, c, d, e, f, g, h] = state_;
    for (std::size_t t = 0; t < 64; ++t) {
      const std::uint32_t first =
          h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + (g ^ (e & (f ^ g))) + constants[t] + w[t];
      const std::uint32_t second =
          (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) | (c & (a | b)));
      h = g, g = f, f = e, e = d + first, d = c, c = b, b = a, a = first + second;
    }
    const std::array<std::uint32_t, 8> change{a, b, c, d, e, f, g, h};
    for (std::size_t k = 0; k < 8; ++k) state_[k] += change[k];
  }
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
