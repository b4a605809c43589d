#include "module/inputs.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

#include "diffrt/errors.hpp"
#include "memory.hpp"
#include "scene/validation.hpp"

namespace diffrt::module {
namespace {

constexpr std::size_t most_items = std::numeric_limits<std::int32_t>::max() / 2;
// An index beyond it reads nothing, whatever the table. It becomes one that does not, either, though it be
// multiplied by a table's few hundred numbers in a row: they are int32.
constexpr std::int64_t largest_index = static_cast<std::int64_t>(most_items),
                       nothing = -(std::int64_t{1} << 22);

bool is_domain(ArgumentKind kind) { return kind == ArgumentKind::pixel || kind == ArgumentKind::item; }
bool is_per_item(ArgumentKind kind) {
  return kind == ArgumentKind::per_item || kind == ArgumentKind::per_item_free ||
         kind == ArgumentKind::per_item_index;
}

std::string shape_text(const std::vector<std::size_t>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

// Calls body(pointer to the numbers, of their own type).
template <class F>
void over_type(const ModelArray& array, F&& body) {
  switch (array.type) {
    case ModelArray::Type::float32:
      return body(static_cast<const float*>(array.data));
    case ModelArray::Type::float64:
      return body(static_cast<const double*>(array.data));
    case ModelArray::Type::int32:
      return body(static_cast<const std::int32_t*>(array.data));
    default:
      return body(static_cast<const std::int64_t*>(array.data));
  }
}

void copy_numbers(const ModelArray& array, float* to) {
  over_type(array, [&](const auto* from) {
    for (std::size_t i = 0; i < array.size; ++i) to[i] = static_cast<float>(from[i]);
  });
}

template <class T>
void make_zeros(runtime::Buffer<T>& buffer, std::size_t size, const char* what) {
  try {
    buffer.resize(size + row_multiple);
  } catch (const std::bad_alloc&) {
    throw MemoryError(std::string(what) + " takes " + megabytes(size * sizeof(T)) +
                      ", and there is no memory for it");
  }
  std::memset(buffer.data(), 0, buffer.size() * sizeof(T));
}

}  // namespace

void Inputs::refuse(const Argument& a, const std::string& why) const {
  throw ArgumentError(a.name + ": " + why);
}

std::vector<std::size_t> Inputs::item_shape(const Argument& a) const {
  std::vector<std::size_t> shape;
  if (domain_.image) shape.push_back(static_cast<std::size_t>(domain_.height));
  shape.push_back(static_cast<std::size_t>(domain_.width));
  for (const int n : a.shape) shape.push_back(static_cast<std::size_t>(n));
  return shape;
}

std::string Inputs::wanted(const Argument& a) const {
  if (is_per_item(a.kind)) return "an array of shape " + shape_text(item_shape(a));
  if (a.kind == ArgumentKind::image) return "an array of shape (height, width)";
  std::string shape = a.kind == ArgumentKind::table ? "rows" : "";
  for (const int n : a.shape) shape += (shape.empty() ? "" : ", ") + std::to_string(n);
  if (shape.empty()) return "a number";
  return "an array of shape (" + shape + (shape.find(',') == std::string::npos ? ",)" : ")");
}

Inputs::Inputs(const Description& description, const ModelData& data)
    : description_(description), rows_(description.arguments.size(), 0) {
  bool image = true;
  std::vector<std::string> names;
  std::size_t parameters = 0, constants = 0, inputs = 0, indices = 0, tables = 0;
  for (const Argument& a : description.arguments) {
    if (a.kind == ArgumentKind::item) image = false;
    if (!is_domain(a.kind) && !is_parameter(a.kind)) names.push_back(a.name);
    const auto count = static_cast<std::size_t>(numbers_of(a.shape)),
               first = static_cast<std::size_t>(a.first);
    const auto place = [&](std::size_t& size, std::size_t n) { size = std::max(size, first + n); };
    if (a.kind == ArgumentKind::free) place(parameters, count);
    if (a.kind == ArgumentKind::pose) place(parameters, 12);
    if (a.kind == ArgumentKind::constant) place(constants, count);
    if (a.kind == ArgumentKind::per_item || a.kind == ArgumentKind::per_item_free) place(inputs, count);
    if (a.kind == ArgumentKind::per_item_index) place(indices, count);
    if (a.kind == ArgumentKind::table || a.kind == ArgumentKind::image || a.kind == ArgumentKind::free_table)
      place(tables, 1);
  }
  const std::vector<std::size_t>& shape = data.shape();
  if (shape.size() != (image ? 2u : 1u)) {
    throw ArgumentError("shape: must be " + std::string(image ? "(height, width)" : "(n,)") + ", got " +
                        shape_text(shape));
  }
  std::size_t items = 1;
  for (const std::size_t n : shape) {
    if (n > most_items || items * std::max(n, std::size_t{1}) > most_items)
      throw ArgumentError("shape: " + shape_text(shape) + " has too many items: at most " +
                          std::to_string(most_items));
    items *= std::max(n, std::size_t{1});
  }
  domain_ = Domain(image ? static_cast<int>(shape[0]) : 1, static_cast<int>(shape.back()), image);
  const auto is_name = [&](const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const ModelData::Entry& entry : data.entries()) {
    if (is_name(entry.name)) continue;
    const std::string there = names.empty() ? "it takes no data" : "there are " + scene::joined(names);
    throw ArgumentError(description.name + ": has no argument '" + entry.name + "' that takes data." +
                        scene::suggestion(entry.name, names) + " " + there);
  }
  for (const auto& [name, rows] : data.rows()) {
    const auto table = std::find_if(description.arguments.begin(), description.arguments.end(),
                                    [&name = name](const Argument& a) { return a.name == name; });
    if (table == description.arguments.end() || table->kind != ArgumentKind::free_table)
      throw ArgumentError(name + ": is no table of parameters of " + description.name +
                          ", so its rows are not counted");
    rows_[static_cast<std::size_t>(table - description.arguments.begin())] = rows;
  }
  // Before there is room for so many items.
  for (const Argument& a : description.arguments)
    if (is_per_item(a.kind)) check_per_item(a, given(data, a));
  make_zeros(parameters_, parameters, "parameters"), make_zeros(constants_, constants, "constants");
  const auto stride = static_cast<std::size_t>(domain_.plane_stride());
  make_zeros(inputs_, inputs * stride, "what is given for each item");
  make_zeros(indices_, indices * stride, "what is given for each item");
  make_zeros(uniforms_, static_cast<std::size_t>(description.uniforms), "what is computed once");
  tables_.resize(tables), pointers_.resize(tables + 1, nullptr), sizes_.resize(2 * tables + 1, 0);
  for (std::size_t k = 0; k < description.arguments.size(); ++k) take(k, description.arguments[k], data);
}

ModelArray Inputs::given(const ModelData& data, const Argument& a) const {
  for (const ModelData::Entry& entry : data.entries()) {
    if (entry.name != a.name) continue;
    const ModelArray array = entry.numbers();
    if (array.size > 0 && array.data == nullptr)
      refuse(a, "its pointer is null, though its size is " + std::to_string(array.size));
    return array;
  }
  throw ArgumentError(description_.name + ": argument " + a.name + " is missing: " + wanted(a));
}

void Inputs::check_shape(const Argument& a, const ModelArray& array, std::size_t size,
                         const std::vector<std::size_t>& shape, const std::string& meaning) const {
  if (!array.shape.empty() && array.shape != shape) {
    refuse(a, "must have shape " + shape_text(shape) + meaning + ", got " + shape_text(array.shape));
  }
  if (array.size != size) {
    refuse(a, "has " + std::to_string(array.size) + " numbers, expected " + std::to_string(size) + meaning);
  }
}

void Inputs::check_per_item(const Argument& a, const ModelArray& array) const {
  const auto count = static_cast<std::size_t>(domain_.items() * numbers_of(a.shape));
  const std::string each =
      a.shape.empty() ? "one number" : shape_text(std::vector<std::size_t>(a.shape.begin(), a.shape.end()));
  check_shape(a, array, count, item_shape(a), " (" + each + " of each item)");
}

void Inputs::take(std::size_t argument, const Argument& a, const ModelData& data) {
  const auto count = static_cast<std::size_t>(numbers_of(a.shape));
  std::vector<std::size_t> own(a.shape.begin(), a.shape.end());
  switch (a.kind) {
    case ArgumentKind::constant: {
      const ModelArray array = given(data, a);
      check_shape(a, array, count, own, "");
      return copy_numbers(array, constants_.data() + a.first);
    }
    case ArgumentKind::per_item:
    case ArgumentKind::per_item_free:
    case ArgumentKind::per_item_index:
      return fill_planes(a, given(data, a));
    case ArgumentKind::table: {
      const ModelArray array = given(data, a);
      const std::size_t rows = array.size / count;
      own.insert(own.begin(), array.shape.empty() ? rows : array.shape[0]);
      if (!array.shape.empty() && array.shape != own)
        refuse(a, "must be " + wanted(a) + ", got " + shape_text(array.shape));
      if (array.size % count != 0)
        refuse(a, "has " + std::to_string(array.size) + " numbers, which are no whole rows of " +
                      std::to_string(count));
      make_table(a, rows, count);
      return copy_numbers(array, pointers_[static_cast<std::size_t>(a.first)]);
    }
    case ArgumentKind::image: {
      const ModelArray array = given(data, a);
      if (array.shape.size() != 2) {
        refuse(a, array.shape.empty() ? "its height and width are to be given"
                                      : "must have shape (height, width), got " + shape_text(array.shape) +
                                            "; pass one channel");
      }
      if (array.shape[0] * array.shape[1] != array.size)
        refuse(a, "has " + std::to_string(array.size) + " numbers, expected " + shape_text(array.shape));
      make_table(a, array.shape[0], array.shape[1]);
      return copy_numbers(array, pointers_[static_cast<std::size_t>(a.first)]);
    }
    case ArgumentKind::free_table:
      return make_table(a, rows_[argument], count);
    default:
      return;
  }
}

void Inputs::make_table(const Argument& a, std::size_t rows, std::size_t row) {
  const auto place = static_cast<std::size_t>(a.first);
  if (rows > most_items || row > most_items || rows * row > most_items)
    refuse(a, "has too many numbers: at most " + std::to_string(most_items));
  make_zeros(tables_[place], rows * row, a.name.c_str());
  pointers_[place] = tables_[place].data();
  sizes_[2 * place] = static_cast<std::int32_t>(rows), sizes_[2 * place + 1] = static_cast<std::int32_t>(row);
}

void Inputs::fill_planes(const Argument& a, const ModelArray& array) {
  const auto count = static_cast<Index>(numbers_of(a.shape));
  const Range all{0, domain_.slots()};
  if (a.kind != ArgumentKind::per_item_index) {
    over_type(array, [&](const auto* from) {
      domain_.over_rows(all, [&](Index at, Index, Index, Index items) {
        for (Index k = 0; k < count; ++k) {
          float* const to = inputs_.data() + (a.first + k) * domain_.plane_stride() + at;
          for (Index i = 0; i < items; ++i) to[i] = static_cast<float>(from[i * count + k]);
        }
        from += items * count;
      });
    });
    return;
  }
  if (array.type == ModelArray::Type::float32 || array.type == ModelArray::Type::float64)
    refuse(a, "must hold whole numbers: pass an array of integers");
  over_type(array, [&](const auto* from) {
    domain_.over_rows(all, [&](Index at, Index, Index, Index items) {
      for (Index k = 0; k < count; ++k) {
        std::int32_t* const to = indices_.data() + (a.first + k) * domain_.plane_stride() + at;
        for (Index i = 0; i < items; ++i) {
          const auto index = static_cast<std::int64_t>(from[i * count + k]);
          const bool near = index >= -largest_index && index <= largest_index;
          to[i] = static_cast<std::int32_t>(near ? index : nothing);
        }
      }
      from += items * count;
    });
  });
}

Inputs::Arrays Inputs::arrays() const {
  const auto all = [](const auto& buffer) { return Span(buffer.data(), buffer.size()); };
  Arrays arrays;
  arrays.parameters = all(parameters_), arrays.constants = all(constants_), arrays.inputs = all(inputs_);
  arrays.indices = all(indices_), arrays.sizes = Span(sizes_.data(), sizes_.size());
  for (std::size_t k = 0; k < tables_.size(); ++k) {
    const auto numbers =
        static_cast<std::size_t>(sizes_[2 * k]) * static_cast<std::size_t>(sizes_[2 * k + 1]);
    arrays.tables.push_back({tables_[k].data(), numbers});
  }
  arrays.fixed_tables = tables_.size();
  for (const Argument& a : description_.arguments)
    if (a.kind == ArgumentKind::free_table) --arrays.fixed_tables;
  arrays.uniforms = Span(uniforms_.data(), static_cast<std::size_t>(description_.uniforms));
  return arrays;
}

Arguments Inputs::arguments(int lanes) {
  Arguments a{};
  a.packets = static_cast<std::int32_t>(domain_.padded / lanes), a.width = domain_.width;
  a.input_stride = domain_.plane_stride();
  a.parameters = parameters_.data(), a.constants = constants_.data(), a.inputs = inputs_.data();
  a.indices = indices_.data(), a.tables = pointers_.data(), a.sizes = sizes_.data();
  a.uniforms = uniforms_.data();
  return a;
}

}  // namespace diffrt::module
