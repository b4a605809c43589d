// Calls of a GPU's driver, which the end of the process must not take down under them: what a driver has, and
// its compiler, is destroyed then, whoever uses it.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#include "gil.hpp"
#include "runtime/fork.hpp"

namespace diffrt::bindings {

// To be made without the interpreter's lock. When the interpreter ends, those that run are waited for, and
// threads that come later stop, but for the one that ends it.
class DriverCall {
 public:
  DriverCall() {
    if (!begin()) stop_for_good();
  }
  ~DriverCall() { end(); }
  DriverCall(const DriverCall&) = delete;
  DriverCall& operator=(const DriverCall&) = delete;

  // False where a thread is to stop. Else end() is to follow.
  static bool begin() {
    State& state = states.get();
    ++state.running;
    if (!state.ending || state.last == std::this_thread::get_id()) return true;
    --state.running;
    return false;
  }
  static void end() { --states.get().running; }

  // By the thread that ends the interpreter. A driver that hangs does not make it hang for ever.
  static void finish_all() {
    State& state = states.get();
    state.last = std::this_thread::get_id();
    state.ending = true;
    for (int k = 0; k < 10000 && state.running > 0; ++k)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

 private:
  struct State {
    std::atomic<int> running{0};
    std::atomic<bool> ending{false};
    std::thread::id last;
  };
  static inline runtime::PerProcess<State> states;
};

}  // namespace diffrt::bindings
