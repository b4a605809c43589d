#include "module/pointwise.hpp"

#include <algorithm>
#include <cstring>

#include "diffrt/errors.hpp"
#include "module/layout.hpp"
#include "module/manifest.hpp"

namespace diffrt::module {
namespace {

constexpr int multiple = 16;  // items that every kind of packet divides

}  // namespace

Pointwise::Pointwise(const Model& model, const PointwiseForm& form, const std::string& where)
    : model_(model.loaded()), form_inputs_(static_cast<int>(form.inputs.size())) {
  const Description& description = model_->description;
  const auto refuse = [&](const std::string& why) {
    throw ArgumentError(where + ": the model " + description.name + " is not " + form.role + ": " + why +
                        ". " + form.description);
  };
  constants_.resize(1);
  std::vector<int> places(description.arguments.size(), -1);
  for (std::size_t i = 0; i < description.arguments.size(); ++i) {
    const Argument& a = description.arguments[i];
    const auto name = std::find_if(form.inputs.begin(), form.inputs.end(),
                                   [&](const char* input) { return a.name == input; });
    switch (a.kind) {
      case ArgumentKind::item:
        break;
      case ArgumentKind::constant:
        constants_.resize(
            std::max(constants_.size(), static_cast<std::size_t>(a.first + numbers_of(a.shape))));
        break;
      case ArgumentKind::per_item_free:
        if (name == form.inputs.end())
          refuse("there is nothing that its argument " + a.name + " could be given");
        if (!a.shape.empty()) refuse("its argument " + a.name + " is an array, where there is one number");
        places[i] = static_cast<int>(name - form.inputs.begin());
        inputs_.resize(std::max(inputs_.size(), static_cast<std::size_t>(a.first) + 1));
        inputs_[static_cast<std::size_t>(a.first)] = places[i];
        break;
      default:
        refuse("its argument " + a.name + " is of kind " + name_of(a.kind));
    }
  }
  if (!description.output_shape.empty()) refuse("it returns an array, not one number");
  for (const Plane& plane : description.planes)
    partials_.push_back(
        places[static_cast<std::size_t>(description.slots[static_cast<std::size_t>(plane.slot)].argument)]);
  // No compiler of models writes another.
  if (inputs_.size() > form.inputs.size() || partials_.size() > form.inputs.size())
    refuse("it has more inputs than arguments");
  for (const Argument& a : description.arguments) {
    if (a.kind != ArgumentKind::constant) continue;
    const ModelConstants& given = model.constants();
    const auto numbers =
        std::find_if(given.begin(), given.end(), [&](const auto& entry) { return entry.first == a.name; });
    if (numbers == given.end())
      throw ArgumentError(where + ": the constant " + a.name + " of " + description.name +
                          " has no value; give it one by with_constants");
    std::transform(numbers->second.begin(), numbers->second.end(), constants_.data() + a.first,
                   [](double x) { return static_cast<float>(x); });
  }
  functions_ = cpu_functions(*model_);
  uniforms_.resize(static_cast<std::size_t>(std::max(description.uniforms, 1)));
  Arguments a{};
  a.constants = constants_.data(), a.uniforms = uniforms_.data();
  functions_.prepare(&a);
}

void Pointwise::evaluate(Block& numbers, int count) const {
  const int whole = (count + multiple - 1) / multiple * multiple;
  alignas(runtime::alignment) float inputs[most_inputs][block], out[1 + most_inputs][block];
  for (std::size_t k = 0; k < inputs_.size(); ++k) {
    std::copy_n(numbers.inputs_[inputs_[k]], count, inputs[k]);
    std::fill(inputs[k] + count, inputs[k] + whole, 0.0f);
  }
  Arguments a{};
  a.packets = block / functions_.lanes, a.end = whole / functions_.lanes, a.width = block;
  a.stride = a.input_stride = block;
  a.constants = constants_.data(), a.uniforms = uniforms_.data();
  a.inputs = inputs[0], a.out = out[0];
  functions_.rows(&a);
  std::copy_n(out[0], count, numbers.out_[0]);
  for (int k = 0; k < form_inputs_; ++k) std::fill_n(numbers.out_[1 + k], count, 0.0f);
  for (std::size_t plane = 0; plane < partials_.size(); ++plane)
    std::copy_n(out[1 + plane], count, numbers.out_[1 + partials_[plane]]);
}

}  // namespace diffrt::module
