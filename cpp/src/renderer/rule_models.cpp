#include "renderer/rule_models.hpp"

namespace diffrt::renderer {
namespace {

const module::PointwiseForm& form() {
  static const module::PointwiseForm rule{
      "a boundary rule",
      {{"area", 1}, {"inside", 1}, {"outside", 1}},
      1,
      "A rule is a model of an Item that takes any of area, inside and outside, each a PerItemFree, and "
      "Constants, and returns one number: def rule(item: Item, area: PerItemFree, inside: PerItemFree, "
      "outside: PerItemFree)"};
  return rule;
}

}  // namespace

RuleModels::RuleModels(const RendererOptions& options) {
  std::vector<const Model*> known;
  for (const auto& [shape, rule] : options.rules) {
    const Model* const model = std::get_if<Model>(&rule);
    if (model == nullptr) continue;
    std::size_t k = 0;
    while (k < known.size() &&
           (known[k]->loaded() != model->loaded() || known[k]->constants() != model->constants()))
      ++k;
    if (k == known.size()) {
      known.push_back(model);
      all_.push_back(std::make_unique<const module::Pointwise>(*model, form(), "rules: '" + shape + "'"));
    }
    by_shape_.emplace(shape, all_[k].get());
  }
}

}  // namespace diffrt::renderer
