// The threads of a ThreadPool, in one process.
//
// A loop is open from when the caller publishes it until the caller finds no grain left. Workers that are
// awake meanwhile enter it; who comes later finds it closed and skips it, so that the caller waits for grains
// that are being worked on and never for a thread to wake. That a worker sleeps is therefore only a matter of
// time, and it is woken where that saves some: see wake_if_it_pays().
#pragma once

#include <sched.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/fork.hpp"

namespace diffrt::runtime {

class ThreadTeam {
 public:
  using Body = void (*)(void*, int, int, int);

  // As many of them as the system starts. Where `awake` is not 0, they stay awake for longer.
  ThreadTeam(int threads, const std::atomic<int>& awake);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }
  // Whether its threads are in this process, and not in one that this was forked from.
  bool is_here() const { return generation_ == process_generation(); }

  // False, and nothing is done, where another loop is running, or workers had better rest.
  bool run(int count, int grain, Body body, void* data);

 private:
  using Clock = std::chrono::steady_clock;

  void work(int thread);
  void take_grains(int thread);
  // Whether a loop is open that this thread has not been in; then it is inside.
  bool enter(std::uint64_t& last_loop);
  struct Presence {
    Clock::time_point time;
    std::int64_t processor_time;
  };
  void leave(const Presence& since);
  void wait_for_workers();
  // Returns when a loop may be open, or the team stops.
  void sleep(int thread);
  // After `done` indices since `start`, while about `left` remain that no other thread is at.
  void wake_if_it_pays(Clock::time_point start, int done, int left);

  const int generation_ = process_generation();
  const std::atomic<int>& awake_;
  std::vector<std::thread> workers_;
  std::mutex busy_;  // one loop at a time

  // The loop at hand, published by state_.
  Body body_ = nullptr;
  void* data_ = nullptr;
  int count_ = 0, grain_ = 1;
  struct alignas(64) Part {
    std::atomic<int> next{0};
    int end = 0;
  };
  std::unique_ptr<Part[]> parts_;  // per thread
  // The number of the loop, whether it is open, whether the caller sleeps until it is left, workers inside.
  alignas(64) std::atomic<std::uint64_t> state_{0};
  std::atomic<bool> stop_{false};

  // Loops follow each other, and no worker was called, since `busy_since_`; the last one ended at
  // `idle_since_`.
  std::atomic<Clock::time_point> busy_since_{};
  Clock::time_point idle_since_;
  Clock::time_point rest_until_;  // no worker is asked before
  // How long [ns] a worker was away from its processor, of those that the caller slept until they left.
  std::atomic<std::int64_t> away_{0};

  std::mutex sleep_mutex_;
  std::condition_variable left_;
  struct Sleeper {
    std::condition_variable wake;
    enum { awake, asleep, called } state = awake;
    Clock::time_point called_at;
    bool kept_off =
        false;  // of the caller's processor, and until it wakes; else it may be on those `allowed`
    cpu_set_t allowed;
  };
  std::unique_ptr<Sleeper[]> sleepers_;       // per thread
  std::atomic<int> asleep_{0};                // and not called yet
  std::atomic<std::int64_t> waking_{50'000};  // [ns] from a call to work, lately
};

}  // namespace diffrt::runtime
