// SHA-256 (FIPS 180-4).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "diffrt/span.hpp"

namespace diffrt::module {

class Sha256 {
 public:
  using Digest = std::array<unsigned char, 32>;
  using State = std::array<std::uint32_t, 8>;

  // Whether the processor has instructions for it, which are five times as fast.
  static bool has_instructions();
  explicit Sha256(bool by_instructions = has_instructions()) : by_instructions_(by_instructions) {}

  void add(Span<const unsigned char> bytes);
  Digest finish();

 private:
  void add_blocks(const unsigned char* bytes, std::size_t blocks);

  const bool by_instructions_;
  State state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
               0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, 64> rest_{};
  std::uint64_t size_ = 0;
};

}  // namespace diffrt::module
