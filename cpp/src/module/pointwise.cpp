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

const float Pointwise::zeros[block] = {};

Pointwise::Pointwise(const Model& model, const PointwiseForm& form, const std::string& where)
    : model_(model.loaded()), places_(most_inputs, -1), planes_(most_outputs * most_inputs, -1) {
  const Description& description = model_->description;
  const auto refuse = [&](const std::string& why) {
    throw ArgumentError(where + ": the model " + description.name + " is not " + form.role + ": " + why +
                        ". " + form.description);
  };
  constants_.resize(1);
  // Of the model's arguments, the first of the form's numbers.
  std::vector<int> numbers(description.arguments.size(), -1);
  for (std::size_t i = 0; i < description.arguments.size(); ++i) {
    const Argument& a = description.arguments[i];
    const int size = numbers_of(a.shape);
    if (a.kind == ArgumentKind::item) continue;
    if (a.kind == ArgumentKind::constant) {
      constants_.resize(std::max(constants_.size(), static_cast<std::size_t>(a.first + size)));
      continue;
    }
    if (a.kind != ArgumentKind::per_item_free)
      refuse("its argument " + a.name + " is of kind " + name_of(a.kind));
    int first = 0;
    for (const PointwiseForm::Input& input : form.inputs) {
      if (a.name == input.name) numbers[i] = first;
      if (a.name == input.name && (size != input.size || a.shape.size() != (size > 1 ? 1 : 0)))
        refuse("its argument " + a.name + " must be " +
               (input.size == 1 ? "one number" : std::to_string(input.size) + " numbers"));
      first += input.size;
    }
    if (numbers[i] < 0) refuse("there is nothing that its argument " + a.name + " could be given");
    for (int k = 0; k < size; ++k) places_[static_cast<std::size_t>(numbers[i] + k)] = a.first + k;
    taken_ = std::max(taken_, a.first + size);
  }
  outputs_ = numbers_of(description.output_shape);
  if (description.output_shape.size() > (form.most_outputs > 1 ? 1 : 0) || outputs_ > form.most_outputs)
    refuse(form.most_outputs == 1 ? "it returns an array, not one number"
                                  : "it returns more than " + std::to_string(form.most_outputs) + " numbers");
  // No compiler of models writes such a file.
  if (taken_ > most_inputs || description.planes.size() > static_cast<std::size_t>(outputs_ * taken_))
    refuse("it has more inputs than arguments");
  int spare = taken_;
  for (int& place : places_) place = place < 0 ? std::min(spare++, most_inputs - 1) : place;
  for (std::size_t p = 0; p < description.planes.size(); ++p) {
    const Plane& plane = description.planes[p];
    const Slot& slot = description.slots[static_cast<std::size_t>(plane.slot)];
    const int number = numbers[static_cast<std::size_t>(slot.argument)] + slot.component;
    planes_[static_cast<std::size_t>(plane.output * most_inputs + number)] = outputs_ + static_cast<int>(p);
  }
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
  for (int k = 0; k < taken_; ++k) std::fill(numbers.inputs[k] + count, numbers.inputs[k] + whole, 0.0f);
  Arguments a{};
  a.packets = block / functions_.lanes, a.end = whole / functions_.lanes, a.width = block;
  a.stride = a.input_stride = block;
  a.constants = constants_.data(), a.uniforms = uniforms_.data();
  a.inputs = numbers.inputs[0], a.out = numbers.out[0];
  functions_.rows(&a);
}

}  // namespace diffrt::module
