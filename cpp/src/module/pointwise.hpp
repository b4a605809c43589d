// A model of an Item as a function of a few numbers: what rules and losses of one's own are.
#pragma once

#include <string>
#include <vector>

#include "diffrt/module.hpp"
#include "module/loaded.hpp"
#include "runtime/buffer.hpp"

namespace diffrt::module {

// What such a model may take and has to give.
struct PointwiseForm {
  struct Input {
    const char* name;  // of an argument, which is PerItemFree
    int size;          // numbers
  };

  const char* role;  // "a boundary rule"
  std::vector<Input> inputs;
  int most_outputs;         // 1: it returns one number
  const char* description;  // the rest of the sentence: a boundary rule is ...
};

// May be used from many threads at a time.
class Pointwise {
 public:
  static constexpr int block = 256;  // items at a time
  static constexpr int most_inputs = 8, most_outputs = 4;

  // Planes of numbers on their way in and out.
  struct Block {
    alignas(runtime::alignment) float inputs[most_inputs][block],
        out[most_outputs * (1 + most_inputs)][block];
  };

  // `where` begins messages: "rules: 'ball'". Throws ArgumentError for a model that is not of the form, or
  // DeviceError, if there is no code for this processor.
  Pointwise(const Model& model, const PointwiseForm& form, const std::string& where);

  const std::string& name() const { return model_->description.name; }
  int outputs() const { return outputs_; }
  // Whether it takes one of the numbers of the form's inputs, which are counted through.
  bool takes(int k) const { return places_[static_cast<std::size_t>(k)] < taken_; }

  // Where that number is to be written, whether or not it is taken.
  float* input(Block& numbers, int k) const { return numbers.inputs[places_[static_cast<std::size_t>(k)]]; }
  // Values and partials of the first `count` items, of what was written.
  void evaluate(Block& numbers, int count) const;
  const float* value(const Block& numbers, int output = 0) const { return numbers.out[output]; }
  // Whether an output depends on one of those numbers; and its partials by it.
  bool depends(int k, int output = 0) const {
    return planes_[static_cast<std::size_t>(output * most_inputs + k)] >= 0;
  }
  const float* partial(const Block& numbers, int k, int output = 0) const {
    const int plane = planes_[static_cast<std::size_t>(output * most_inputs + k)];
    return plane < 0 ? zeros : numbers.out[plane];
  }

  // Whether it is the same function.
  bool operator==(const Pointwise& other) const {
    return model_ == other.model_ && constants() == other.constants();
  }
  // For code that runs elsewhere.
  const LoadedModel& loaded() const { return *model_; }
  std::vector<float> constants() const { return {constants_.data(), constants_.data() + constants_.size()}; }
  std::vector<float> uniforms() const { return {uniforms_.data(), uniforms_.data() + uniforms_.size()}; }
  int taken() const { return taken_; }
  int place(int k) const { return places_[static_cast<std::size_t>(k)]; }
  int plane(int k) const { return planes_[static_cast<std::size_t>(k)]; }  // of the first output
  int partials() const { return static_cast<int>(model_->description.planes.size()); }

 private:
  const std::shared_ptr<const LoadedModel> model_;  // keeps the code
  Functions functions_;
  runtime::Buffer<float> constants_;
  mutable runtime::Buffer<float> uniforms_;  // written once
  // Of each of the form's numbers, the model's plane, or one beyond those that it takes; and of its partials,
  // by output, their plane, or -1.
  std::vector<int> places_, planes_;
  int taken_ = 0, outputs_ = 1;

  static const float zeros[block];
};

}  // namespace diffrt::module
