// The Python extension: conversion between Python's values and the C++ library's, and nothing else.
#include "bindings.hpp"

// What PyInit__core calls in the main interpreter.
PYBIND11_MODULE(_core_of_main_interpreter, module) {
  module.doc() = "The C++ core of diffrt_aot. Use the names in diffrt_aot instead.";
  diffrt::bindings::bind_device_array(module);
  diffrt::bindings::bind_errors(module);
  diffrt::bindings::bind_foreign_array(module);
  diffrt::bindings::bind_info(module);
  diffrt::bindings::bind_jacobian(module);
  diffrt::bindings::bind_model_file(module);
  diffrt::bindings::bind_model(module);
  diffrt::bindings::bind_normal_matrix(module);
  diffrt::bindings::bind_renderer(module);
  diffrt::bindings::bind_uncertainty(module);
}

// In any other, pybind11 would wait for the interpreter's lock, which this thread has, for ever.
extern "C" PYBIND11_EXPORT PyObject* PyInit__core() {
  if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
    PyErr_SetString(PyExc_ImportError,
                    "diffrt_aot works in Python's main interpreter only, not in a subinterpreter; import it "
                    "there (mod_wsgi: WSGIApplicationGroup %{GLOBAL})");
    return nullptr;
  }
  return PyInit__core_of_main_interpreter();
}
