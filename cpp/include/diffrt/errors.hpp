// Exceptions. Each names the argument, what it got, and the likely fix; a refused call leaves everything as
// it was.
#pragma once

#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "diffrt/export.hpp"

namespace diffrt {

// A value that cannot be used: a radius of zero, a theta of the wrong length, an unknown free name.
class DIFFRT_API ArgumentError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

// A file of compiled models that cannot be used: damaged, made for another version, no such file at all.
class DIFFRT_API ModuleError : public ArgumentError {
 public:
  using ArgumentError::ArgumentError;
};

// What was asked for takes more memory than there is: how much, and what for.
class DIFFRT_API MemoryError : public std::bad_alloc {
 public:
  explicit MemoryError(std::string message) : message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

// A device, or an instruction set, that was asked for and is not there, or a device that failed. The library
// goes on working on the CPU, and on other devices.
class DIFFRT_API DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The device has not enough memory left for this. What was there before stays usable.
class DIFFRT_API DeviceMemoryError : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

// The device stopped: a kernel that failed or took too long, a driver that was reset. What was made on it is
// no longer of use; a new renderer opens it anew.
class DIFFRT_API DeviceLostError : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

}  // namespace diffrt
