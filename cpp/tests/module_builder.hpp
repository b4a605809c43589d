// Files of compiled models, made by hand.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string>
#include <vector>

#include "module/sha256.hpp"

namespace diffrt::tests {

using Bytes = std::vector<unsigned char>;

// The first 8 bytes of the SHA-256 of "diffrt model abi 2: begin end packets ...", by another program.
inline constexpr unsigned char abi[] = {0x17, 0x56, 0x4c, 0x87, 0xff, 0x4d, 0x4e, 0xff};

inline void put(Bytes& bytes, std::size_t at, std::uint64_t value, std::size_t size) {
  for (std::size_t k = 0; k < size; ++k) bytes[at + k] = static_cast<unsigned char>(value >> (8 * k));
}

// Makes its length and checksum those of its content.
inline void seal(Bytes& bytes) {
  if (bytes.size() < 64) return;
  put(bytes, 24, bytes.size(), 8);
  module::Sha256 hash;
  hash.add({bytes.data(), 32});
  hash.add({bytes.data() + 64, bytes.size() - 64});
  const auto digest = hash.finish();
  std::copy(digest.begin(), digest.end(), bytes.begin() + 32);
}

// Three functions, which write the numbers first, first + 1 and first + 2 (below 128) to out[0], as ints;
// from 0, 16 and 32 on.
inline std::string code(int first) {
  std::string text;
  for (int k = 0; k < 3; ++k) {
    // mov rax, [rdi + 88]; mov dword [rax], first + k; ret
    std::string function("\x48\x8b\x47\x58\xc7\x00?\0\0\0\xc3", 11);
    function[6] = static_cast<char>(first + k);
    text += function + std::string(5, '\xcc');
  }
  return text;
}

// `manifest` as a function of where the sections come to be; each begins a page.
template <class Manifest>
Bytes build(const std::vector<std::string>& sections, Manifest&& manifest) {
  std::vector<std::size_t> offsets(sections.size());
  std::string text;
  for (int pass = 0; pass < 3; ++pass) {  // the offsets stand in the text whose length they depend on
    text = manifest(offsets);
    std::size_t at = 64 + text.size();
    for (std::size_t k = 0; k < sections.size(); ++k) {
      at = (at + 4095) / 4096 * 4096;
      offsets[k] = at;
      at += sections[k].size();
    }
  }
  Bytes bytes(offsets.empty() ? 64 + text.size() : offsets.back() + sections.back().size());
  std::memcpy(bytes.data(), "diffrt\x1a\n", 8);
  put(bytes, 8, 1, 4);
  put(bytes, 12, text.size(), 4);
  std::copy(std::begin(abi), std::end(abi), bytes.begin() + 16);
  std::copy(text.begin(), text.end(), bytes.begin() + 64);
  for (std::size_t k = 0; k < sections.size(); ++k)
    std::copy(sections[k].begin(), sections[k].end(),
              bytes.begin() + static_cast<std::ptrdiff_t>(offsets[k]));
  seal(bytes);
  return bytes;
}

// Everything that a model may have.
inline const char* const rich_model =
    "model hand\n"
    "output 3\n"
    "argument pixel pixel - 0\n"
    "argument radius free - 0\n"
    "argument center free 3 1\n"
    "argument wrist pose - 4\n"
    "argument lattice free_table 2 2\n"
    "argument focal constant - 0\n"
    "argument seen per_item 3 0\n"
    "argument inside per_item_free - 3\n"
    "argument bone per_item_index - 0\n"
    "argument vertices table 2,2 0\n"
    "argument photo image - 1\n"
    "argument gain free_table - 3\n"
    "block 4\n"
    "block 4\n"
    "block 11\n"
    "slot 1 0 -1\n"
    "slot 2 2 -1\n"
    "slot 3 5 -1\n"
    "slot 4 0 0\n"
    "slot 4 1 1\n"
    "slot 7 0 -1\n"
    "slot 11 0 2\n"
    "plane 0 0\n"
    "plane 0 3\n"
    "plane 2 1\n"
    "uniforms 12\n"
    "entry x64_v2 prepare 0\n"
    "entry x64_v2 value 16\n"
    "entry x64_v2 rows 32\n"
    "end hand\n";

inline const char* const small_model =
    "model grün\n"
    "output -\n"
    "argument x free - 0\n"
    "slot 0 0 -1\n"
    "plane 0 0\n"
    "uniforms 0\n"
    "entry x64_v2 rows 0\n"
    "entry x64_v2 value 16\n"
    "entry x64_v2 prepare 32\n"
    "end grün\n";

// The rich one and the small one; `change` edits the manifest's text.
template <class Change>
Bytes build_rich(Change&& change) {
  return build({code(1), std::string("ptx")}, [&](const std::vector<std::size_t>& at) {
    std::string text = "producer diffrt_aot 0.1.0, by hand\nsection x64_v2 " + std::to_string(at[0]) +
                       " 48 8\nsection cuda " + std::to_string(at[1]) + " 3 1\n" + rich_model + small_model;
    change(text);
    return text;
  });
}
inline Bytes build_rich() {
  return build_rich([](std::string&) {});
}

}  // namespace diffrt::tests
