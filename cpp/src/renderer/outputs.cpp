#include "renderer/outputs.hpp"

#include <cmath>
#include <iterator>
#include <limits>
#include <string>

#include "diffrt/errors.hpp"
#include "diffrt_kernels.hpp"

namespace diffrt {
namespace {

struct OutputTraits {
  Output output;
  const char* name;
  int kernel_index, channels;
  bool missing_by_default;  // whether a ray that misses has no value
};

constexpr OutputTraits output_traits[] = {
    {Output::distance, "distance", kernels::output_distance, kernels::channels_distance, true},
    {Output::depth, "depth", kernels::output_depth, kernels::channels_depth, true},
    {Output::mask, "mask", kernels::output_mask, kernels::channels_mask, false},
    {Output::normal, "normal", kernels::output_normal, kernels::channels_normal, false},
    {Output::shade, "shade", kernels::output_shade, kernels::channels_shade, false},
};
constexpr bool outputs_match_kernels() {
  for (const OutputTraits& t : output_traits) {
    if (t.kernel_index != static_cast<int>(t.output)) return false;
  }
  return true;
}
static_assert(outputs_match_kernels(), "enum Output must list the outputs in the kernels' order");

const OutputTraits& traits(Output output) {
  const auto index = static_cast<std::size_t>(output);
  if (index >= std::size(output_traits))
    throw ArgumentError("outputs: " + std::to_string(static_cast<int>(output)) + " is none of enum Output");
  return output_traits[index];
}

}  // namespace

const char* name(Output output) { return traits(output).name; }
int channels(Output output) { return traits(output).channels; }

namespace renderer {
namespace {

const module::PointwiseForm& output_form() {
  static const module::PointwiseForm form{
      "an output",
      {{"z", 1}, {"normal", 3}, {"direction", 3}},
      module::Pointwise::most_outputs,
      "An output is a model of an Item that takes any of z, normal[3] and direction[3], each a PerItemFree, "
      "and "
      "Constants, and returns one number, or up to 4: def output(item: Item, z: PerItemFree, normal: "
      "PerItemFree[3], direction: PerItemFree[3])"};
  return form;
}

}  // namespace

std::vector<OutputChannels> make_outputs(const RendererOptions& options) {
  if (options.outputs.empty())
    throw ArgumentError("outputs: is empty; name at least one of distance, depth, mask, normal, shade");
  if (!options.background.empty() && options.background.size() != options.outputs.size()) {
    throw ArgumentError("background: has " + std::to_string(options.background.size()) + " entries for " +
                        std::to_string(options.outputs.size()) + " outputs; give one for each, or none");
  }
  std::vector<OutputChannels> result;
  int first = 0;
  for (std::size_t i = 0; i < options.outputs.size(); ++i) {
    const Model* const model = std::get_if<Model>(&options.outputs[i]);
    OutputChannels channels;
    bool missing = false;
    if (model != nullptr) {
      channels.model = std::make_shared<const module::Pointwise>(*model, output_form(),
                                                                 "outputs: '" + model->name() + "'");
      channels.count = channels.model->outputs();
    } else {
      const OutputTraits& t = traits(std::get<Output>(options.outputs[i]));
      channels.output = t.output, channels.count = t.channels, missing = t.missing_by_default;
    }
    std::optional<double> background;
    if (!options.background.empty()) {
      background = options.background[i];
    } else if (!missing) {
      background = 0;
    }
    if (background && !std::isfinite(static_cast<float>(*background))) {
      throw ArgumentError(
          "background: must be a finite number, or none for rays that miss to be NaN and carry no residual");
    }
    for (const OutputChannels& other : result) {
      if (model == nullptr && other.model == nullptr && other.output == channels.output)
        throw ArgumentError(std::string("outputs: '") + name(channels.output) + "' is given twice");
    }
    channels.background =
        background ? static_cast<float>(*background) : std::numeric_limits<float>::quiet_NaN();
    channels.first = first, first += channels.count;
    result.push_back(std::move(channels));
  }
  return result;
}

}  // namespace renderer
}  // namespace diffrt
