// Files of compiled models, damaged at random: each is refused in words, or what it says is consistent.
// DIFFRT_FUZZ=1000000 tries that many; a number from which to begin may follow: DIFFRT_FUZZ=10,123456.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "diffrt/errors.hpp"
#include "module/loaded.hpp"
#include "module_builder.hpp"

using namespace diffrt;
using namespace diffrt::tests;

namespace {

class Mutation {
 public:
  explicit Mutation(std::uint64_t seed) : random_(seed) {}

  Bytes of(const Bytes& good) {
    const std::size_t manifest_size = good[12] + 256u * good[13];
    std::string text(good.begin() + 64, good.begin() + 64 + static_cast<std::ptrdiff_t>(manifest_size));
    Bytes bytes = good;
    const bool of_text = chance(4, 5);
    for (std::size_t k = chance(1, 2) ? 1 : 1 + below(4); k > 0; --k) of_text ? mutate(text) : mutate(bytes);
    if (of_text) {
      // Sections stay where they were, or move with what is before them.
      const std::size_t room = 4096 - 64;
      if (chance(9, 10) && text.size() <= room) {
        std::fill(bytes.begin() + 64, bytes.begin() + 4096, static_cast<unsigned char>(0));
        std::copy(text.begin(), text.end(), bytes.begin() + 64);
      } else {
        bytes.erase(bytes.begin() + 64, bytes.begin() + 64 + static_cast<std::ptrdiff_t>(manifest_size));
        bytes.insert(bytes.begin() + 64, text.begin(), text.end());
      }
      if (chance(19, 20)) put(bytes, 12, text.size(), 4);
    }
    if (chance(19, 20)) seal(bytes);
    return bytes;
  }

 private:
  std::size_t below(std::size_t n) { return n == 0 ? 0 : random_() % n; }
  bool chance(std::size_t of, std::size_t all) { return below(all) < of; }

  // Bytes anywhere.
  template <class Container>
  void mutate_bytes(Container& c) {
    using Byte = typename Container::value_type;
    const std::size_t at = below(c.size()), length = below(std::min<std::size_t>(c.size() - at, 40) + 1);
    const auto begin = c.begin() + static_cast<std::ptrdiff_t>(at),
               end = begin + static_cast<std::ptrdiff_t>(length);
    switch (below(7)) {
      case 0:
        if (!c.empty()) c[at] = static_cast<Byte>(c[at] ^ (1 << below(8)));
        break;
      case 1:
        if (!c.empty()) c[at] = static_cast<Byte>(random_());
        break;
      case 2:
        c.erase(begin, end);
        break;
      case 3:
        c.insert(begin, length, static_cast<Byte>(random_()));
        break;
      case 4:
        c.resize(at);
        break;
      case 5: {
        const Container copy(begin, end);
        const std::size_t to = below(c.size() + 1);
        c.insert(c.begin() + static_cast<std::ptrdiff_t>(to), copy.begin(), copy.end());
        break;
      }
      default:
        if (c.size() >= 64) {
          const std::size_t word = below(64);
          c[word] = static_cast<Byte>(chance(1, 2) ? 0 : 255);
        }
    }
  }
  void mutate(Bytes& bytes) { mutate_bytes(bytes); }

  // Lines and words of the manifest.
  void mutate(std::string& text) {
    if (chance(1, 8)) return mutate_bytes(text);
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = text.find('\n', at);
      lines.push_back(text.substr(at, end - at));
      at = end == std::string::npos ? text.size() : end + 1;
    }
    if (lines.empty()) return;
    const std::size_t at = below(lines.size()), other = below(lines.size());
    const auto place = [&](std::size_t k) { return lines.begin() + static_cast<std::ptrdiff_t>(k); };
    switch (below(10)) {
      case 0:
        lines.erase(place(at));
        break;
      case 1:
        lines.insert(place(other), std::string(lines[at]));
        break;
      case 2:
        std::swap(lines[at], lines[other]);
        break;
      case 3:
        lines.insert(place(at), 1 + below(30), std::string(lines[other]));
        break;
      default:
        mutate_word(lines[at], lines[other]);
    }
    text.clear();
    for (const std::string& line : lines) text += line + "\n";
  }

  void mutate_word(std::string& line, const std::string& other) {
    std::vector<std::string> words = split(line), others = split(other);
    std::string& word = words[below(words.size())];
    static const char* const interesting[] = {"0",
                                              "1",
                                              "2",
                                              "3",
                                              "-1",
                                              "-2",
                                              "11",
                                              "12",
                                              "47",
                                              "48",
                                              "255",
                                              "4095",
                                              "4096",
                                              "8192",
                                              "65536",
                                              "-",
                                              "",
                                              "3,3",
                                              "1048576",
                                              "2147483647",
                                              "01",
                                              "1e3",
                                              "0x1",
                                              "4294967296",
                                              "18446744073709551615",
                                              "18446744073709551616",
                                              "free",
                                              "pose",
                                              "free_table",
                                              "pixel",
                                              "item",
                                              "table",
                                              "image",
                                              "per_item_index",
                                              "cuda",
                                              "x64_v4",
                                              "rows",
                                              "end",
                                              "slot",
                                              "1,2,3,4,5,6,7,8,9",
                                              "65536,65536",
                                              "\xf0\x9f\x98\x80",
                                              "\xc3\xa4",
                                              "\xed\xa0\x80",
                                              "__class__",
                                              "4294963200",
                                              "9223372036854775807"};
    switch (below(6)) {
      case 0:
      case 1:
        word = interesting[below(std::size(interesting))];
        break;
      case 2:
        word = others[below(others.size())];
        break;
      case 3:
        word = std::to_string(below(20));
        break;
      case 4:
        words.push_back(word);
        break;
      default:
        words.erase(words.begin() + static_cast<std::ptrdiff_t>(below(words.size())));
    }
    line.clear();
    for (std::size_t k = 0; k < words.size(); ++k) line += (k == 0 ? "" : " ") + words[k];
  }

  static std::vector<std::string> split(const std::string& line) {
    std::vector<std::string> words(1);
    for (const char c : line) {
      if (c == ' ')
        words.emplace_back();
      else
        words.back() += c;
    }
    return words;
  }

  std::mt19937_64 random_;
};

int numbers_of(const std::vector<int>& shape) {
  long numbers = 1;
  for (const int axis : shape) {
    REQUIRE(axis >= 1);
    numbers *= axis;
    REQUIRE(numbers <= 1 << 20);
  }
  return static_cast<int>(numbers);
}

// Whoever uses it need not look again: checked here by code of its own.
void require_consistent(const module::File& file) {
  using Kind = module::ArgumentKind;
  const module::Manifest& manifest = file.manifest;
  REQUIRE(file.bytes.size() < 1 << 20);
  std::set<std::string> sections, models;
  std::vector<int> taken(file.bytes.size(), 0);
  for (const module::Section& s : manifest.sections) {
    REQUIRE(sections.insert(s.name).second);
    REQUIRE(s.offset % 4096 == 0);
    REQUIRE(s.offset >= 64);
    REQUIRE(s.size >= 1);
    REQUIRE(s.offset <= file.bytes.size());
    REQUIRE(s.size <= file.bytes.size() - s.offset);
    REQUIRE(16 % s.lanes == 0);
    for (std::size_t k = 0; k < s.size; ++k) REQUIRE(taken[s.offset + k]++ == 0);
  }
  REQUIRE(!manifest.models.empty());
  for (const module::ModelEntry& model : manifest.models) {
    const module::Description& d = model.description;
    REQUIRE(models.insert(d.name).second);
    const int outputs = numbers_of(d.output_shape);
    std::set<std::string> names;
    std::set<std::pair<int, int>> places;  // storage, place
    int domains = 0;
    for (const module::Argument& a : d.arguments) {
      REQUIRE(!a.name.empty());
      REQUIRE(names.insert(a.name).second);
      REQUIRE(a.first >= 0);
      domains += a.kind == Kind::pixel || a.kind == Kind::item;
      int storage = 0, count = numbers_of(a.shape);
      switch (a.kind) {
        case Kind::pixel:
        case Kind::item:
          continue;
        case Kind::free:
          storage = 1;
          break;
        case Kind::pose:
          storage = 1, count = 12;
          REQUIRE(a.shape.empty());
          break;
        case Kind::constant:
          storage = 2;
          break;
        case Kind::per_item:
        case Kind::per_item_free:
          storage = 3;
          break;
        case Kind::per_item_index:
          storage = 4;
          break;
        default:
          storage = 5, count = 1;
      }
      for (int k = 0; k < count; ++k) REQUIRE(places.insert({storage, a.first + k}).second);
    }
    REQUIRE(domains <= 1);
    for (const auto& [storage, place] : places)
      REQUIRE((place == 0 || places.count({storage, place - 1}) == 1));
    const auto argument = [&](int k) -> const module::Argument& {
      return d.arguments.at(static_cast<std::size_t>(k));
    };
    for (const module::Block& b : d.blocks) REQUIRE(argument(b.argument).kind == Kind::free_table);
    std::set<std::tuple<int, int, int>> slots;
    for (const module::Slot& s : d.slots) {
      const module::Argument& a = argument(s.argument);
      REQUIRE((a.kind == Kind::free || a.kind == Kind::pose || a.kind == Kind::free_table ||
               a.kind == Kind::per_item_free));
      REQUIRE(s.component >= 0);
      REQUIRE(s.component < (a.kind == Kind::pose ? 6 : numbers_of(a.shape)));
      REQUIRE((s.block == -1) == (a.kind != Kind::free_table));
      if (s.block != -1) REQUIRE(d.blocks.at(static_cast<std::size_t>(s.block)).argument == s.argument);
      REQUIRE(slots.insert({s.argument, s.component, s.block}).second);
    }
    std::pair<int, int> last{-1, -1};
    for (const module::Plane& p : d.planes) {
      REQUIRE((p.output >= 0 && p.output < outputs));
      REQUIRE((p.slot >= 0 && static_cast<std::size_t>(p.slot) < d.slots.size()));
      REQUIRE(std::pair(p.output, p.slot) > last);
      last = {p.output, p.slot};
    }
    REQUIRE((d.uniforms >= 0 && d.uniforms <= 1 << 22));
    REQUIRE(model.entries.size() == manifest.sections.size());
    for (std::size_t k = 0; k < model.entries.size(); ++k)
      for (const std::size_t offset : model.entries[k].offsets) {
        const bool missing = offset == module::Entries::none && manifest.sections[k].name[0] != 'x';
        REQUIRE((missing || offset < manifest.sections[k].size));
      }
  }
}

// It takes ten times as long then, and what was freed is kept.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

long peak_memory() {  // [KB]
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

}  // namespace

TEST_CASE("damaged files of models are refused in words, or say what is consistent") {
  const char* setting = std::getenv("DIFFRT_FUZZ");
  char* rest = nullptr;
  const long count = setting == nullptr ? (sanitized ? 3000 : 20000) : std::strtol(setting, &rest, 10);
  const long first = rest != nullptr && *rest == ',' ? std::strtol(rest + 1, nullptr, 10) : 0;
  const Bytes good = build_rich();
  require_consistent(module::check_file(good, "m.dra"));
  const long before = peak_memory();
  long accepted = 0, reached_manifest = 0;
  for (long seed = first; seed < first + count; ++seed) {
    const Bytes bytes = Mutation(static_cast<std::uint64_t>(seed)).of(good);
    CAPTURE(seed);
    try {
      module::File file = module::check_file(bytes, "m.dra");
      require_consistent(file);
      module::load(std::move(file), -1, "m.dra");  // mapped, not called
      ++accepted;
    } catch (const ModuleError& error) {
      const std::string text = error.what();
      REQUIRE(text.rfind("m.dra: ", 0) == 0);
      REQUIRE(text.size() < 700);
      REQUIRE(text.find('\n') == std::string::npos);
      reached_manifest += text.find("its manifest") != std::string::npos;
    }
  }
  MESSAGE(count << " damaged files: " << accepted << " accepted, " << reached_manifest
                << " refused by the manifest");
  CHECK(accepted > count / 100);  // else it tries what is refused at once
  CHECK(reached_manifest > count / 2);
  if (!sanitized) CHECK(peak_memory() - before < 64 << 10);
}
