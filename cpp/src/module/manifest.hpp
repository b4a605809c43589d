// The manifest of a file of compiled models: what is where in it, and what each model takes and gives.
//
// UTF-8, a line for each thing, its words parted by one space, numbers in decimal:
//
//     producer TEXT...
//     section NAME OFFSET SIZE LANES        NAME: x64_v2 x64_v3 x64_v4 cuda vulkan; OFFSET from the file's
//     start model NAME                            and of this model, in this order: output SHAPE "-": one
//     number; "3"; "5,4" argument NAME KIND SHAPE FIRST        see description.hpp block ARGUMENT things
//     count from 0 in the order of lines slot ARGUMENT COMPONENT BLOCK         BLOCK -1: none plane OUTPUT
//     SLOT uniforms N entry SECTION FUNCTION OFFSET         FUNCTION: prepare value rows; OFFSET into the
//     section end NAME
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "module/description.hpp"

namespace diffrt::module {

inline constexpr std::size_t page = 4096;  // sections begin at multiples of it

struct Section {
  std::string name;
  std::size_t offset = 0, size = 0;
  int lanes = 0;
};

// Where the functions of a model begin in a section: prepare, value, rows.
struct Entries {
  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  std::array<std::size_t, 3> offsets{none, none, none};
};

struct ModelEntry {
  Description description;
  std::vector<Entries> entries;  // of each section
};

struct Manifest {
  std::string producer;
  std::vector<Section> sections;
  std::vector<ModelEntry> models;
};

// `begin`, `end`: the part of the file that sections may take. Throws ModuleError that names the file and the
// line. What it returns is consistent in itself: whatever refers to something else refers to what is there.
Manifest parse_manifest(std::string_view text, std::size_t begin, std::size_t end, const std::string& file);

// Numbers in an array of this shape.
int size_of(const std::vector<int>& shape);
const char* name_of(ArgumentKind kind);

}  // namespace diffrt::module
