// The threads of a ThreadPool, in one process.
#pragma once

#include <atomic>
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

  // As many of them as the system starts.
  explicit ThreadTeam(int threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }
  // Whether its threads are in this process, and not in one that this was forked from.
  bool is_here() const { return generation_ == process_generation(); }

  // False, and nothing is done, where another loop is running.
  bool run(int count, int grain, Body body, void* data);

 private:
  void work(int thread);
  void take_grains(int thread);

  const int generation_ = process_generation();
  std::vector<std::thread> workers_;
  std::mutex busy_;  // one loop at a time

  // The loop at hand, published by the increment of loops_.
  Body body_ = nullptr;
  void* data_ = nullptr;
  int grain_ = 1;
  struct alignas(64) Part {
    std::atomic<int> next{0};
    int end = 0;
  };
  std::unique_ptr<Part[]> parts_;  // per thread
  std::atomic<int> running_{0};
  std::atomic<std::uint64_t> loops_{0};
  std::atomic<bool> stop_{false};

  std::mutex sleep_mutex_;
  std::condition_variable wake_;
  std::atomic<int> sleepers_{0};
};

}  // namespace diffrt::runtime
