// fork(): what is left of a process in its child.
//
// A child has one thread, a copy of the one that called fork(). Locks that other threads held stay locked for
// ever, what they were changing stays half changed, and who waits for them waits in vain; destroying a
// condition variable on which they slept is enough. So what threads share is not used in a child, nor
// destroyed: a child makes its own, and leaves its parent's as it was.
#pragma once

#include <pthread.h>

#include <atomic>

namespace diffrt::runtime {

namespace fork_detail {
inline std::atomic<int> generation{0};
// Handlers are run in a child before anything else of it, by fork() alone: vfork(), posix_spawn() and their
// kin run other programs.
inline const int watched = pthread_atfork(nullptr, nullptr, [] { generation.fetch_add(1); });
}  // namespace fork_detail

// How many forks lie between this process and the one that loaded the library.
inline int process_generation() { return fork_detail::generation.load(std::memory_order_relaxed); }

// What can be used by one process, and not by its children.
class UsedBy {
 public:
  constexpr UsedBy() = default;
  // From now on it is. False if a process that this one was forked from has used it.
  bool this_process() {
    int first = nobody;
    const int generation = process_generation();
    return generation_.compare_exchange_strong(first, generation) || first == generation;
  }

 private:
  static constexpr int nobody = -1;
  std::atomic<int> generation_{nobody};
};

// Something of which each process has one, made by who first asks for it. No lock is needed to get it, and it
// is never destroyed: when a process ends, threads may still be at work.
template <class T>
class PerProcess {
 public:
  constexpr PerProcess() = default;  // for variables with static storage: without a guard, which is a lock
  PerProcess(const PerProcess&) = delete;
  PerProcess& operator=(const PerProcess&) = delete;

  T& get() {
    Made* made = made_.load(std::memory_order_acquire);
    const int generation = process_generation();
    if (made != nullptr && made->generation == generation) return made->value;
    auto* const fresh = new Made{generation, {}};
    if (made_.compare_exchange_strong(made, fresh, std::memory_order_acq_rel)) return fresh->value;
    delete fresh;  // another thread was first
    return made->value;
  }

 private:
  struct Made {
    const int generation;
    T value;
  };
  std::atomic<Made*> made_{nullptr};
};

}  // namespace diffrt::runtime
