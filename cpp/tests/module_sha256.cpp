#include "module/sha256.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace diffrt;

namespace {

// Given in parts of that length.
std::string digest_of(const std::string& text, std::size_t part, bool by_instructions) {
  module::Sha256 hash(by_instructions);
  for (std::size_t at = 0; at < text.size(); at += part) {
    const std::string piece = text.substr(at, part);
    hash.add({reinterpret_cast<const unsigned char*>(piece.data()), piece.size()});
  }
  std::string hex;
  for (const unsigned char byte : hash.finish()) {
    hex += "0123456789abcdef"[byte / 16];
    hex += "0123456789abcdef"[byte % 16];
  }
  return hex;
}

}  // namespace

TEST_CASE("SHA-256 of the standard's examples, and of lengths about a block's") {
  // FIPS 180-4's examples; the others by sha256sum.
  const std::pair<std::string, const char*> cases[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {std::string(1000000, 'a'), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
      {std::string(55, 'x'), "d5e285683cd4efc02d021a5c62014694958901005d6f71e89e0989fac77e4072"},
      {std::string(56, 'x'), "04c26261370ee7541549d16dee320c723e3fd14671e66a099afe0a377c16888e"},
      {std::string(63, 'x'), "75220b47218278e656f2013bb8f0c455a25eaf01e86c64924e9d48d89776d6f2"},
      {std::string(64, 'x'), "7ce100971f64e7001e8fe5a51973ecdfe1ced42befe7ee8d5fd6219506b5393c"},
      {std::string(65, 'x'), "9537c5fdf120482f7d58d25e9ed583f52c02b4e304ea814db1633ad565aed7e9"},
      {std::string(119, 'x'), "000b48d4edf0fa7bee3c6236ecd2785baa5db4eeb8bb54341b029e0d9fa5fb0c"},
      {std::string(120, 'x'), "13f05a0b594787f5ecd315edc96141bd3243203d1b7d4f0836f37308b276ba98"},
      {std::string(128, 'x'), "24da1b81d0b16df6428eee73c69fcb2a93c76bc6df706f0c6670fe6bfe800464"},
  };
  for (const auto& [text, digest] : cases)
    for (const std::size_t part :
         {std::size_t{1}, std::size_t{7}, std::size_t{64}, std::size_t{100}, text.size() + 1}) {
      if (part == 1 && text.size() > 1000) continue;
      CAPTURE(text.size());
      CAPTURE(part);
      CHECK(digest_of(text, part, false) == digest);
      if (module::Sha256::has_instructions()) CHECK(digest_of(text, part, true) == digest);
    }
}
