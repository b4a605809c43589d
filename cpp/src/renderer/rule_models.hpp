// Boundary rules that are models.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "diffrt/renderer.hpp"
#include "module/pointwise.hpp"

namespace diffrt::renderer {

class RuleModels {
 public:
  // What a model is given, and gives: value, and partials by them.
  enum Input { area, inside, outside };

  // Throws ArgumentError for a model that is no rule.
  explicit RuleModels(const RendererOptions& options);

  // Each once.
  const std::vector<std::unique_ptr<const module::Pointwise>>& all() const { return all_; }
  // That of a shape; null: it has none.
  const module::Pointwise* of(const std::string& shape) const {
    const auto found = by_shape_.find(shape);
    return found == by_shape_.end() ? nullptr : found->second;
  }

 private:
  std::vector<std::unique_ptr<const module::Pointwise>> all_;
  std::unordered_map<std::string, const module::Pointwise*> by_shape_;
};

}  // namespace diffrt::renderer
