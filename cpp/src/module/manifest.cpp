#include "module/manifest.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "diffrt/errors.hpp"
#include "module/text.hpp"

namespace diffrt::module {
namespace {

// Far beyond what is compiled, and small enough that whatever is made after a manifest fits into memory.
constexpr int most_lanes = 16;  // rows of a domain are multiples of it
constexpr std::size_t most_axes = 8;
constexpr int most_numbers = 1 << 20;  // of an argument, or of all of a kind
constexpr int most_outputs = 1 << 16;
constexpr int most_uniforms = 1 << 22;
constexpr std::size_t most_models = 4096, most_arguments = 4096, most_blocks = 1 << 16, most_slots = 1 << 18,
                      most_planes = 1 << 20;

constexpr std::array<std::pair<const char*, ArgumentKind>, 11> kinds{{
    {"pixel", ArgumentKind::pixel},
    {"item", ArgumentKind::item},
    {"free", ArgumentKind::free},
    {"pose", ArgumentKind::pose},
    {"free_table", ArgumentKind::free_table},
    {"constant", ArgumentKind::constant},
    {"per_item", ArgumentKind::per_item},
    {"per_item_free", ArgumentKind::per_item_free},
    {"per_item_index", ArgumentKind::per_item_index},
    {"table", ArgumentKind::table},
    {"image", ArgumentKind::image},
}};
constexpr std::array<const char*, 5> section_names{"x64_v2", "x64_v3", "x64_v4", "cuda", "vulkan"};
constexpr std::array<const char*, 3> function_names{"prepare", "value", "rows"};
constexpr int pose_parameters = 12, pose_columns = 6;

bool is_x64(const Section& section) { return section.name.compare(0, 4, "x64_") == 0; }

// Those that say what the domain is take no numbers.
bool takes_numbers(ArgumentKind kind) { return kind != ArgumentKind::pixel && kind != ArgumentKind::item; }
bool takes_shape(ArgumentKind kind) {
  return takes_numbers(kind) && kind != ArgumentKind::pose && kind != ArgumentKind::image;
}
bool has_slots(ArgumentKind kind) {
  return kind == ArgumentKind::free || kind == ArgumentKind::pose || kind == ArgumentKind::free_table ||
         kind == ArgumentKind::per_item_free;
}
int columns_of(const Argument& argument) {
  return argument.kind == ArgumentKind::pose ? pose_columns : size_of(argument.shape);
}

// In which array of Arguments it lies, and how many places it takes there.
enum class Storage { none, parameters, constants, inputs, indices, tables };
std::pair<Storage, int> place_of(const Argument& argument) {
  switch (argument.kind) {
    case ArgumentKind::pixel:
    case ArgumentKind::item:
      return {Storage::none, 0};
    case ArgumentKind::free:
      return {Storage::parameters, size_of(argument.shape)};
    case ArgumentKind::pose:
      return {Storage::parameters, pose_parameters};
    case ArgumentKind::constant:
      return {Storage::constants, size_of(argument.shape)};
    case ArgumentKind::per_item:
    case ArgumentKind::per_item_free:
      return {Storage::inputs, size_of(argument.shape)};
    case ArgumentKind::per_item_index:
      return {Storage::indices, size_of(argument.shape)};
    case ArgumentKind::free_table:
    case ArgumentKind::table:
    case ArgumentKind::image:
      return {Storage::tables, 1};
  }
  return {Storage::none, 0};
}

class Parser {
 public:
  Parser(std::string_view text, std::size_t begin, std::size_t end, const std::string& file)
      : text_(text), begin_(begin), end_(end), file_(file) {}

  Manifest parse() {
    if (const char* fault = fault_of_text(text_)) refuse(fault);
    next();
    expect("producer");
    manifest_.producer = line_.substr(std::min(line_.size(), sizeof "producer"));
    next();
    while (keyword() == "section") section();
    if (manifest_.sections.empty()) refuse("expected 'section'");
    while (keyword() == "model") model();
    if (!at_end_) refuse("expected 'model', or its end");
    if (manifest_.models.empty()) refuse("it has no model");
    return std::move(manifest_);
  }

 private:
  [[noreturn]] void refuse(const std::string& reason) const {
    std::string where = "its manifest";
    if (at_end_) where += ", at its end";
    if (!at_end_ && number_ > 0) where += ", line " + std::to_string(number_) + " '" + shortened(line_) + "'";
    throw ModuleError(file_ + ": " + where + ": " + reason +
                      ". The file is whole, so whatever wrote it is at fault: compile the models again, with "
                      "the diffrt-aot compile of this version");
  }

  // --- Lines and words

  void next() {
    ++number_;
    words_ = {};
    count_ = 0;
    line_ = {};
    if (text_.empty()) {
      at_end_ = true;
      return;
    }
    const std::size_t length = text_.find('\n');
    line_ = text_.substr(0, length);
    if (length == std::string_view::npos) refuse("the line has no end");
    text_.remove_prefix(length + 1);
    std::string_view rest = line_;
    for (;;) {
      const std::size_t space = rest.find(' ');
      if (count_ < words_.size()) words_[count_] = rest.substr(0, space);
      ++count_;
      if (space == std::string_view::npos) break;
      rest.remove_prefix(space + 1);
    }
  }

  std::string_view keyword() const { return words_[0]; }

  void expect(std::string_view word) const {
    if (keyword() != word) refuse("expected '" + std::string(word) + "'");
  }
  void expect(std::string_view word, std::size_t values) const {
    expect(word);
    if (count_ != values + 1) refuse("expected " + std::to_string(values) + " values, each after one space");
  }

  // The value of that place, in [least, most].
  std::uint64_t whole(std::size_t place, std::uint64_t least, std::uint64_t most, const char* what) const {
    return whole_of(words_[place], least, most, what);
  }
  std::uint64_t whole_of(std::string_view word, std::uint64_t least, std::uint64_t most,
                         const char* what) const {
    std::uint64_t value = 0;
    const auto [end, fault] = std::from_chars(word.data(), word.data() + word.size(), value);
    const bool padded = word.size() > 1 && word[0] == '0';
    if (word.empty() || fault != std::errc() || end != word.data() + word.size() || padded)
      refuse(std::string(what) + ": '" + shortened(word) + "' is no whole number");
    if (value < least || value > most)
      refuse(std::string(what) + ": is " + std::string(word) + ", must be in " + std::to_string(least) +
             " to " + std::to_string(most));
    return value;
  }
  int number(std::size_t place, std::uint64_t most, const char* what) const {
    return static_cast<int>(whole(place, 0, most, what));
  }
  // Of `count` things, one of which it is.
  int index(std::size_t place, std::size_t count, const char* what) const {
    if (count == 0) refuse(std::string(what) + ": there is none");
    return number(place, count - 1, what);
  }

  std::string name(std::size_t place) const {
    if (const char* fault = fault_of_name(words_[place]))
      refuse("the name '" + shortened(words_[place]) + "' " + fault);
    return std::string(words_[place]);
  }

  std::vector<int> shape(std::size_t place, int most) const {
    std::vector<int> shape;
    if (words_[place] == "-") return shape;
    std::string_view rest = words_[place];
    std::int64_t numbers = 1;
    for (;;) {
      const std::size_t comma = rest.find(',');
      if (shape.size() == most_axes) refuse("a shape has at most " + std::to_string(most_axes) + " axes");
      shape.push_back(static_cast<int>(
          whole_of(rest.substr(0, comma), 1, static_cast<std::uint64_t>(most), "an axis of the shape")));
      numbers *= shape.back();
      if (numbers > most) refuse("the shape has more than " + std::to_string(most) + " numbers");
      if (comma == std::string_view::npos) return shape;
      rest.remove_prefix(comma + 1);
    }
  }

  // The one of `names` that stands there.
  template <class Names>
  std::size_t choice(std::size_t place, const Names& names, const char* what) const {
    std::string valid;
    for (std::size_t k = 0; k < names.size(); ++k) {
      if (words_[place] == names[k]) return k;
      valid += (k == 0 ? "" : ", ") + std::string(names[k]);
    }
    refuse("unknown " + std::string(what) + " '" + shortened(words_[place]) + "' (" + valid + ")");
  }

  void limit(std::size_t count, std::size_t most, const char* what) const {
    if (count >= most) refuse("more than " + std::to_string(most) + " " + what);
  }

  // --- Sections

  void section() {
    expect("section", 4);
    Section section;
    section.name = section_names[choice(1, section_names, "section")];
    if (begin_ >= end_) refuse("the file has no room for a section");
    section.offset = whole(2, begin_, end_ - 1, "its offset");
    if (section.offset % page != 0) refuse("its offset is not a multiple of " + std::to_string(page));
    section.size = whole(3, 1, end_ - section.offset, "its size");
    section.lanes = static_cast<int>(whole(4, 1, most_lanes, "its lanes"));
    if (most_lanes % section.lanes != 0) refuse("its lanes are no power of two");
    for (const Section& other : manifest_.sections) {
      if (other.name == section.name) refuse("the section '" + section.name + "' is there twice");
      if (section.offset < other.offset + other.size && other.offset < section.offset + section.size)
        refuse("it overlaps section '" + other.name + "'");
    }
    manifest_.sections.push_back(std::move(section));
    next();
  }

  // --- Models

  void model() {
    expect("model", 1);
    limit(manifest_.models.size(), most_models, "models");
    ModelEntry model;
    Description& d = model.description;
    d.name = name(1);
    if (!model_names_.insert(d.name).second) refuse("the model '" + d.name + "' is there twice");
    model.entries.resize(manifest_.sections.size());
    next();
    expect("output", 1);
    d.output_shape = shape(1, most_outputs);
    next();
    arguments(d);
    blocks(d);
    slots(d);
    planes(d);
    expect("uniforms", 1);
    d.uniforms = number(1, most_uniforms, "uniforms");
    next();
    while (keyword() == "entry") entry(model);
    expect("end", 1);
    for (std::size_t k = 0; k < manifest_.sections.size(); ++k)
      if (is_x64(manifest_.sections[k]))
        for (std::size_t f = 0; f < function_names.size(); ++f)
          if (model.entries[k].offsets[f] == Entries::none)
            refuse(std::string("the model has no '") + function_names[f] + "' in section '" +
                   manifest_.sections[k].name + "'");
    if (words_[1] != d.name) refuse("expected 'end " + d.name + "'");
    next();
    manifest_.models.push_back(std::move(model));
  }

  void arguments(Description& d) {
    std::set<std::string> names;
    bool has_domain = false;
    while (keyword() == "argument") {
      expect("argument", 4);
      limit(d.arguments.size(), most_arguments, "arguments");
      Argument argument;
      argument.name = name(1);
      if (!names.insert(argument.name).second) refuse("the argument '" + argument.name + "' is there twice");
      std::array<const char*, kinds.size()> kind_names{};
      for (std::size_t k = 0; k < kinds.size(); ++k) kind_names[k] = kinds[k].first;
      argument.kind = kinds[choice(2, kind_names, "kind")].second;
      argument.shape = shape(3, most_numbers);
      argument.first = number(4, most_numbers, "its place");
      if (!takes_numbers(argument.kind)) {
        if (std::exchange(has_domain, true)) refuse("a model has one pixel or item");
        if (argument.first != 0) refuse("its place is not 0");
      }
      if (!takes_shape(argument.kind) && !argument.shape.empty()) refuse("its shape is not '-'");
      d.arguments.push_back(std::move(argument));
      next();
    }
    check_places(d);
  }

  // Arguments of a kind lie side by side from 0 on, and none on another.
  void check_places(const Description& d) const {
    std::vector<std::tuple<Storage, int, int, const Argument*>> places;
    for (const Argument& argument : d.arguments) {
      const auto [storage, size] = place_of(argument);
      if (storage != Storage::none) places.emplace_back(storage, argument.first, size, &argument);
    }
    std::sort(places.begin(), places.end());
    Storage storage = Storage::none;
    int end = 0;
    for (const auto& [kind, first, size, argument] : places) {
      if (std::exchange(storage, kind) != kind) end = 0;
      if (first != end)
        refuse("the place of argument '" + argument->name + "' is " + std::to_string(first) + ", must be " +
               std::to_string(end));
      end += size;
      if (end > most_numbers) refuse("arguments have more than " + std::to_string(most_numbers) + " numbers");
    }
    bool free_tables = false;
    for (const auto& [kind, first, size, argument] : places) {
      if (kind != Storage::tables) continue;
      const bool free = argument->kind == ArgumentKind::free_table;
      if (free_tables && !free)
        refuse("the place of argument '" + argument->name + "' is behind that of a free_table");
      free_tables = free;
    }
  }

  void blocks(Description& d) {
    while (keyword() == "block") {
      expect("block", 1);
      limit(d.blocks.size(), most_blocks, "blocks");
      const int argument = index(1, d.arguments.size(), "its argument");
      if (d.arguments[static_cast<std::size_t>(argument)].kind != ArgumentKind::free_table)
        refuse("its argument is no free_table");
      d.blocks.push_back({argument});
      next();
    }
  }

  void slots(Description& d) {
    std::set<std::tuple<int, int, int>> known;
    while (keyword() == "slot") {
      expect("slot", 3);
      limit(d.slots.size(), most_slots, "slots");
      Slot slot;
      slot.argument = index(1, d.arguments.size(), "its argument");
      const Argument& argument = d.arguments[static_cast<std::size_t>(slot.argument)];
      if (!has_slots(argument.kind)) refuse(std::string("a ") + name_of(argument.kind) + " has no slots");
      slot.component = index(2, static_cast<std::size_t>(columns_of(argument)), "its component");
      if (words_[3] != "-1") slot.block = index(3, d.blocks.size(), "its block");
      if ((slot.block >= 0) != (argument.kind == ArgumentKind::free_table))
        refuse("slots of a free_table have a block, and no others");
      if (slot.block >= 0 && d.blocks[static_cast<std::size_t>(slot.block)].argument != slot.argument)
        refuse("its block is of another argument");
      if (!known.insert({slot.argument, slot.component, slot.block}).second)
        refuse("the slot is there twice");
      d.slots.push_back(slot);
      next();
    }
  }

  void planes(Description& d) {
    const auto outputs = static_cast<std::size_t>(size_of(d.output_shape));
    while (keyword() == "plane") {
      expect("plane", 2);
      limit(d.planes.size(), most_planes, "planes");
      const Plane plane{index(1, outputs, "its output"), index(2, d.slots.size(), "its slot")};
      if (!d.planes.empty() &&
          std::pair(plane.output, plane.slot) <= std::pair(d.planes.back().output, d.planes.back().slot))
        refuse("planes do not ascend");
      d.planes.push_back(plane);
      next();
    }
  }

  void entry(ModelEntry& model) {
    expect("entry", 3);
    std::vector<std::string> names;
    for (const Section& section : manifest_.sections) names.push_back(section.name);
    const std::size_t section = choice(1, names, "section");
    std::size_t& offset = model.entries[section].offsets[choice(2, function_names, "function")];
    if (offset != Entries::none) refuse("the entry is there twice");
    offset = whole(3, 0, manifest_.sections[section].size - 1, "its offset");
    next();
  }

  std::string_view text_;
  const std::size_t begin_, end_;
  const std::string& file_;
  Manifest manifest_;
  std::set<std::string> model_names_;
  std::string_view line_;
  std::array<std::string_view, 5> words_;
  std::size_t count_ = 0, number_ = 0;
  bool at_end_ = false;
};

}  // namespace

Manifest parse_manifest(std::string_view text, std::size_t begin, std::size_t end, const std::string& file) {
  return Parser(text, begin, end, file).parse();
}

int size_of(const std::vector<int>& shape) {
  int size = 1;
  for (const int axis : shape) size *= axis;
  return size;
}

const char* name_of(ArgumentKind kind) {
  for (const auto& [name, value] : kinds)
    if (value == kind) return name;
  return "";
}

}  // namespace diffrt::module
