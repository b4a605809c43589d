// Module: compiled models, from a file that `diffrt-aot compile` wrote.
//
//   diffrt::Module module = diffrt::Module::load("models.dra");
//   diffrt::Model sphere = module.model("sphere");
//   for (const diffrt::ModelArgument& argument : sphere.arguments()) ...
//
// Such a file holds native code, which runs in this process with all its rights: load what you trust, as you
// would a shared library. It is checked first, for damage and for fitting this version; that keeps accidents
// out, not malice. Nothing of it runs before the model is called.
//
// Both are handles: copies share the code, which is there for as long as one of them is, and all that they
// offer may be called on any thread, and in a child of fork().
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "diffrt/export.hpp"
#include "diffrt/span.hpp"

namespace diffrt {

namespace module {
struct LoadedModel;  // internal
struct LoadedModule;
}  // namespace module

// What a model is given, as its author declared it.
struct ModelArgument {
  std::string name;
  std::string kind;        // pixel, item, free, pose, free_table, constant, per_item, per_item_free,
                           // per_item_index, table, image
  std::vector<int> shape;  // of one item, one row of a table; empty: one number
};

// By name, the numbers of arguments that are constants, row by row.
using ModelConstants = std::vector<std::pair<std::string, std::vector<double>>>;

class DIFFRT_API Model {
 public:
  explicit Model(std::shared_ptr<const module::LoadedModel> loaded) : loaded_(std::move(loaded)) {}

  // The same model with numbers for some of its constants, which then need not come with its data. A rule or
  // a loss of a renderer is a model that has them all:
  //
  //   options.rules = {{"ball", module.model("soften").with_constants({{"strength", {0.5}}})}};
  //
  // Throws ArgumentError, which names the constant.
  Model with_constants(const ModelConstants& constants) const;
  const ModelConstants& constants() const;  // that have been given

  const std::string& name() const;
  std::vector<ModelArgument> arguments() const;  // in the author's order
  const std::vector<int>& output_shape() const;  // of one item; empty: one number

  const std::shared_ptr<const module::LoadedModel>& loaded() const { return loaded_; }  // internal

 private:
  std::shared_ptr<const module::LoadedModel> loaded_;
  std::shared_ptr<const ModelConstants> constants_;  // null: none
};

class DIFFRT_API Module {
 public:
  // ModuleError: what is wrong with the file, and what to do about it.
  static Module load(const std::string& path);
  // The same of what was read elsewhere; `name` stands for the file in messages.
  static Module from_bytes(Span<const unsigned char> bytes, const std::string& name = "bytes");

  const std::string& path() const;               // or the name
  std::vector<std::string> model_names() const;  // in the file's order
  // ArgumentError lists the names that there are.
  Model model(const std::string& name) const;

  const std::string& producer() const;       // what wrote the file
  std::vector<std::string> targets() const;  // what it has code for: {"x64_v2", "x64_v3", "cuda"}
  const std::string& target() const;         // which of them the CPU runs; empty: none
  Span<const unsigned char> bytes() const;   // the file, as it was read

 private:
  explicit Module(std::shared_ptr<const module::LoadedModule> loaded) : loaded_(std::move(loaded)) {}
  std::shared_ptr<const module::LoadedModule> loaded_;
};

}  // namespace diffrt
