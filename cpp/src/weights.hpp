// What is said of a weight that cannot be one.
#pragma once

#include <cmath>
#include <string>

#include "diffrt/errors.hpp"

namespace diffrt {

inline bool is_weight(float value) { return !(value < 0) && !std::isinf(value); }  // NaN drops a pixel

// `index`: (row, column) or (row, column, channel) of a channel >= 0.
[[noreturn]] inline void refuse_weight(float value, int row, int column, int channel) {
  std::string index = std::to_string(row) + ", " + std::to_string(column);
  if (channel >= 0) index += ", " + std::to_string(channel);
  const std::string kind = value < 0 ? "negative" : "infinite in single precision";
  throw ArgumentError("weights: some are " + kind + ", as at index (" + index +
                      "); weights are finite and >= 0, and 0 or NaN drops a pixel");
}

}  // namespace diffrt
