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
  const char* role;                 // "a boundary rule"
  std::vector<const char*> inputs;  // names of arguments, each PerItemFree
  const char* description;          // the rest of the sentence: a boundary rule is ...
};

// May be used from many threads at a time.
class Pointwise {
 public:
  static constexpr int block = 256, most_inputs = 4;  // items at a time

  // Planes of numbers on their way in and out.
  class Block {
   public:
    float* input(int k) { return inputs_[k]; }  // of the form's inputs
    const float* value() const { return out_[0]; }
    const float* partial(int k) const { return out_[k + 1]; }  // by the form's inputs

   private:
    friend class Pointwise;
    alignas(runtime::alignment) float inputs_[most_inputs][block], out_[1 + most_inputs][block];
  };

  // `where` begins messages: "rules: 'ball'". Throws ArgumentError for a model that is not of the form, or
  // DeviceError, if there is no code for this processor.
  Pointwise(const Model& model, const PointwiseForm& form, const std::string& where);

  // Values and partials of the first `count` items of a block.
  void evaluate(Block& block, int count) const;

 private:
  const std::shared_ptr<const LoadedModel> model_;  // keeps the code
  Functions functions_;
  runtime::Buffer<float> constants_;
  mutable runtime::Buffer<float> uniforms_;  // written once
  std::vector<int> inputs_;                  // of the model's planes: which of the form's
  std::vector<int> partials_;                // likewise, of its planes of partials
  int form_inputs_ = 0;
};

}  // namespace diffrt::module
