// Exceptions. Each names the argument, what it got, and the likely fix; a refused call leaves everything as
// it was.
#pragma once

#include <stdexcept>

namespace diffrt {

// A value that cannot be used: a radius of zero, a theta of the wrong length, an unknown free name.
class ArgumentError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

// A device, or an instruction set, that was asked for and is not there.
class DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace diffrt
