// Image arguments as Python gives them: NumPy's arrays, and arrays of other libraries on the device.
#pragma once

#include <functional>

#include "bindings.hpp"

namespace diffrt::bindings {

// An array on a CUDA device, held until this goes, with the interpreter's lock.
struct ForeignArray {
  std::uint64_t address = 0;
  std::vector<std::int64_t> shape, strides;  // [bytes]
  std::string dtype;                         // as NumPy calls it
  std::function<void()> release;

  ForeignArray() = default;
  ForeignArray(const ForeignArray&) = delete;
  ForeignArray& operator=(const ForeignArray&) = delete;
  ~ForeignArray() {
    if (release) release();
  }
};

// What is observed, and its weights or None, as Python handed them over: views of them, which live as long.
// Throws ArgumentError that names the argument.
Observation observation_of(const Renderer& renderer, const py::object& observed, const py::object& weights);

}  // namespace diffrt::bindings
