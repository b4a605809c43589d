// The interpreter's lock, let go and taken back, also while the process ends.
//
// A process that ends does not wait for daemon threads: the first that asks for the interpreter's lock then
// is ended on the spot, up to Python 3.13 by unwinding its stack, which std::terminate() ends the process for
// where it meets what may not throw, and destructors are such. Here such a thread stops for good instead, as
// Python 3.14 has it, where it stands: until the process is over, which takes a moment.
#pragma once

#include <Python.h>
#include <cxxabi.h>
#include <unistd.h>

namespace diffrt::bindings {

[[noreturn]] inline void stop_for_good() {
  for (;;) pause();
}

// Calls what may ask for the interpreter's lock. C alone: what C++ would destroy on the way needs the lock.
template <class F>
auto stopping_at_exit(F&& function) -> decltype(function()) {
  try {
    return function();
  } catch (abi::__forced_unwind&) {
    stop_for_good();
  }
}

// Without the lock while it is there.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() {
    stopping_at_exit([this] { PyEval_RestoreThread(state_); });
  }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* const state_;
};

// With it, within a WithoutGil.
class WithGil {
 public:
  WithGil() : state_(stopping_at_exit([] { return PyGILState_Ensure(); })) {}
  ~WithGil() { PyGILState_Release(state_); }
  WithGil(const WithGil&) = delete;
  WithGil& operator=(const WithGil&) = delete;

 private:
  const PyGILState_STATE state_;
};

}  // namespace diffrt::bindings
