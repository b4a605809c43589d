// A lock on which threads wait for their turn: fork() does not leave it locked, and Ctrl-C ends the wait.
//
// It is one number, which says in which process it was taken; who waits does so in a place that all such
// locks of a process share. So a child that fork() made finds it free, and is told if a thread that it does
// not have held it: what the lock guards is half changed then.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "runtime/fork.hpp"

namespace diffrt::bindings {

class Turns {
 public:
  // False if a thread of a parent process held it when that was forked. Calls waiting() from time to time,
  // which may throw; then it is not taken.
  template <class F>
  bool take(F&& waiting) {
    const int here = runtime::process_generation();
    int holder = holder_.load(std::memory_order_relaxed);
    for (;;) {
      if (holder == here) {
        wait();
        waiting();
        holder = holder_.load(std::memory_order_relaxed);
      } else if (holder_.compare_exchange_weak(holder, here, std::memory_order_acquire)) {
        return holder == nobody;
      }
    }
  }

  // Whether a thread holds it that fork() left behind in a parent process.
  bool left_behind() const {
    const int holder = holder_.load();
    return holder != nobody && holder != runtime::process_generation();
  }

  void give() {
    holder_.store(nobody);
    Waiters& all = waiters.get();
    if (all.count.load() == 0) return;
    { const std::lock_guard<std::mutex> lock(all.mutex); }
    all.changed.notify_all();
  }

 private:
  static constexpr int nobody = -1;
  static constexpr auto patience = std::chrono::milliseconds(50);

  struct Waiters {
    std::atomic<int> count{0};
    std::mutex mutex;
    std::condition_variable changed;
  };
  static inline runtime::PerProcess<Waiters> waiters;

  // Until it is free, or for a while.
  void wait() {
    const int here = runtime::process_generation();
    Waiters& all = waiters.get();
    std::unique_lock<std::mutex> lock(all.mutex);
    all.count.fetch_add(1);
    all.changed.wait_for(lock, patience, [&] { return holder_.load() != here; });
    all.count.fetch_sub(1);
  }

  std::atomic<int> holder_{nobody};
};

}  // namespace diffrt::bindings
