#include "diffrt/module.hpp"

#include <algorithm>
#include <cstring>

#include "diffrt/errors.hpp"
#include "module/layout.hpp"
#include "module/loaded.hpp"
#include "runtime/isa.hpp"
#include "scene/validation.hpp"

namespace diffrt::module {
namespace {

// Of a section for x86-64, its level: 3 of "x64_v3"; else 0.
int level_of(const Section& section) {
  return section.name.compare(0, 5, "x64_v") == 0 ? section.name[5] - '0' : 0;
}

// The highest that runs here; nullptr: none does.
const Section* choose(const std::vector<Section>& sections, int level) {
  const Section* best = nullptr;
  for (const Section& s : sections)
    if (level_of(s) > 0 && level_of(s) <= level && (best == nullptr || level_of(s) > level_of(*best)))
      best = &s;
  return best;
}

std::string listing(const std::vector<Section>& sections) {
  std::string names;
  for (const Section& section : sections) names += (names.empty() ? "" : ", ") + section.name;
  return names;
}

Function function_at(const unsigned char* address) {
  Function function = nullptr;
  static_assert(sizeof function == sizeof address);
  std::memcpy(&function, &address, sizeof function);
  return function;
}

}  // namespace

const Functions& cpu_functions(const LoadedModel& model) {
  if (model.cpu.rows == nullptr) throw DeviceError(model.cpu_missing);
  return model.cpu;
}

std::shared_ptr<const LoadedModule> load(File file, int descriptor, const std::string& path) {
  auto loaded = std::make_shared<LoadedModule>();
  loaded->path = path;
  loaded->file = std::move(file);
  const std::string& active = runtime::active_level().name;  // "x86-64-v3"
  Manifest& manifest = loaded->file.manifest;
  const Section* const section = choose(manifest.sections, active.back() - '0');
  std::string missing;
  if (section != nullptr) {
    const Span<const unsigned char> code = Span(loaded->file.bytes).subspan(section->offset, section->size);
    loaded->image = std::make_unique<const Image>(code, descriptor, section->offset, path);
    loaded->target = section->name;
  } else {
    missing = path + ": has code for " + listing(manifest.sections) + ", and this processor runs " + active +
              "; compile the models with --targets x64, or unset DIFFRT_ISA if it is set";
  }
  for (ModelEntry& entry : manifest.models) {
    LoadedModel model;
    model.description = std::move(entry.description);
    model.cpu_missing = missing;
    if (section != nullptr) {
      const auto& offsets =
          entry.entries[static_cast<std::size_t>(section - manifest.sections.data())].offsets;
      const unsigned char* const code = loaded->image->data();
      model.cpu = {function_at(code + offsets[0]), function_at(code + offsets[1]),
                   function_at(code + offsets[2]), section->lanes};
    }
    model.devices = std::make_unique<DeviceCodes>(model.description.name, path, listing(manifest.sections));
    for (std::size_t k = 0; k < manifest.sections.size(); ++k) {
      const Section& part = manifest.sections[k];
      if (level_of(part) > 0) continue;
      model.devices->add(part.name, Span(loaded->file.bytes).subspan(part.offset, part.size),
                         entry.entries[k].offsets);
    }
    loaded->models.push_back(std::move(model));
  }
  manifest.models.clear();
  return loaded;
}

}  // namespace diffrt::module

namespace diffrt {

const std::string& Model::name() const { return loaded_->description.name; }
const std::vector<int>& Model::output_shape() const { return loaded_->description.output_shape; }

std::vector<ModelArgument> Model::arguments() const {
  std::vector<ModelArgument> arguments;
  for (const module::Argument& a : loaded_->description.arguments)
    arguments.push_back({a.name, module::name_of(a.kind), a.shape});
  return arguments;
}

const ModelConstants& Model::constants() const {
  static const ModelConstants none;
  return constants_ == nullptr ? none : *constants_;
}

Model Model::with_constants(const ModelConstants& constants) const {
  ModelConstants all = this->constants();
  std::vector<std::string> names;
  for (const module::Argument& a : loaded_->description.arguments)
    if (a.kind == module::ArgumentKind::constant) names.push_back(a.name);
  for (const auto& [name, numbers] : constants) {
    const auto& arguments = loaded_->description.arguments;
    const auto a = std::find_if(arguments.begin(), arguments.end(),
                                [&name = name](const module::Argument& a) { return a.name == name; });
    if (a == arguments.end() || a->kind != module::ArgumentKind::constant) {
      throw ArgumentError(this->name() + ": has no constant '" + name + "'." +
                          scene::suggestion(name, names) + " " +
                          (names.empty() ? "It has none" : "There are " + scene::joined(names)));
    }
    const auto count = static_cast<std::size_t>(module::numbers_of(a->shape));
    if (numbers.size() != count)
      throw ArgumentError(name + ": has " + std::to_string(numbers.size()) + " numbers, expected " +
                          std::to_string(count));
    const auto known = std::find_if(all.begin(), all.end(),
                                    [&name = name](const auto& entry) { return entry.first == name; });
    if (known != all.end()) {
      known->second = numbers;
    } else {
      all.emplace_back(name, numbers);
    }
  }
  Model result(loaded_);
  result.constants_ = std::make_shared<const ModelConstants>(std::move(all));
  return result;
}

Module Module::load(const std::string& path) {
  const module::Descriptor descriptor = module::open_file(path);
  return Module(module::load(module::read_file(descriptor, path), descriptor.number(), path));
}

Module Module::from_bytes(Span<const unsigned char> bytes, const std::string& name) {
  return Module(module::load(module::check_file({bytes.begin(), bytes.end()}, name), -1, name));
}

const std::string& Module::path() const { return loaded_->path; }

std::vector<std::string> Module::model_names() const {
  std::vector<std::string> names;
  for (const module::LoadedModel& model : loaded_->models) names.push_back(model.description.name);
  return names;
}

Model Module::model(const std::string& name) const {
  std::string names;
  for (const module::LoadedModel& model : loaded_->models) {
    if (model.description.name == name) return Model({loaded_, &model});
    names += (names.empty() ? "" : ", ") + model.description.name;
  }
  throw ArgumentError(path() + ": has no model '" + name + "'. It has: " + names);
}

const std::string& Module::producer() const { return loaded_->file.manifest.producer; }

std::vector<std::string> Module::targets() const {
  std::vector<std::string> names;
  for (const module::Section& section : loaded_->file.manifest.sections) names.push_back(section.name);
  return names;
}

const std::string& Module::target() const { return loaded_->target; }
Span<const unsigned char> Module::bytes() const { return loaded_->file.bytes; }

}  // namespace diffrt
