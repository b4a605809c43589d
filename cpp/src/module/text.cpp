#include "module/text.hpp"

#include <cstdint>

namespace diffrt::module {
namespace {

constexpr std::uint32_t invalid = 0xffffffff;

// The code point at the front, which is taken off. `invalid`: no UTF-8 (Unicode 15, table 3-7).
std::uint32_t take_code_point(std::string_view& text) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
  const unsigned first = byte(0);
  const std::size_t length = first < 0x80   ? 1
                             : first < 0xc2 ? 0
                             : first < 0xe0 ? 2
                             : first < 0xf0 ? 3
                             : first < 0xf5 ? 4
                                            : 0;
  if (length == 0 || text.size() < length) return invalid;
  std::uint32_t point = length == 1 ? first : first & (0x7fu >> length);
  for (std::size_t k = 1; k < length; ++k) {
    if ((byte(k) & 0xc0u) != 0x80) return invalid;
    point = point << 6 | (byte(k) & 0x3fu);
  }
  const bool overlong = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
  if (overlong || (point >= 0xd800 && point < 0xe000) || point > 0x10ffff) return invalid;
  text.remove_prefix(length);
  return point;
}

bool is_control(std::uint32_t c) { return c < 0x20 || (c >= 0x7f && c < 0xa0); }

// Spaces, and signs of format, which change how text looks or cannot be seen.
bool is_hidden(std::uint32_t c) {
  return c == 0xa0 || c == 0xad || c == 0x1680 || c == 0x180e || (c >= 0x2000 && c < 0x2010) ||
         (c >= 0x2028 && c < 0x2030) || (c >= 0x205f && c < 0x2070) || c == 0x3000 || c == 0xfeff ||
         (c >= 0xfff0 && c < 0x10000) || (c >= 0xe000 && c < 0xf900) || c >= 0xe0000;
}

}  // namespace

const char* fault_of_text(std::string_view text) {
  while (!text.empty()) {
    const std::uint32_t point = take_code_point(text);
    if (point == invalid) return "it is no UTF-8";
    if (is_control(point) && point != '\n') return "it has control characters";
  }
  return nullptr;
}

const char* fault_of_name(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > 255) return "has more than 255 bytes";
  if (name[0] >= '0' && name[0] <= '9') return "begins with a digit";
  while (!name.empty()) {
    const std::uint32_t c = take_code_point(name);
    const bool letter =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if (c < 0x80 ? !letter : is_hidden(c)) return "is no name of Python's";
  }
  return nullptr;
}

std::string shortened(std::string_view text) {
  std::size_t length = 60;
  if (text.size() <= length) return std::string(text);
  while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xc0u) == 0x80) --length;
  return std::string(text.substr(0, length)) + "...";
}

}  // namespace diffrt::module
