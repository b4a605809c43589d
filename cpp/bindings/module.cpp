// The Python extension: conversion between Python's values and the C++ library's, and nothing else.
#include "bindings.hpp"

PYBIND11_MODULE(_core, module) {
  module.doc() = "The C++ core of diffrt_aot. Use the names in diffrt_aot instead.";
  diffrt::bindings::bind_device_array(module);
  diffrt::bindings::bind_errors(module);
  diffrt::bindings::bind_foreign_array(module);
  diffrt::bindings::bind_info(module);
  diffrt::bindings::bind_jacobian(module);
  diffrt::bindings::bind_renderer(module);
}
