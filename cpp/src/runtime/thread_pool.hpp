// A pool of threads for short parallel loops: a few microseconds of work must be worth splitting.
//
// Workers spin for a moment after each loop, then sleep. The caller takes part. Each thread has a part of the
// range of its own, the same in every loop of that length, so that it finds in its cache what it wrote there
// last; when it is through it helps the others. Which thread does what is not fixed, so what is computed must
// not depend on it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace diffrt::runtime {

class ThreadPool {
 public:
  // `threads` in all, the caller's among them.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls function(begin, end, thread) for consecutive grains of [0, count), thread in [0, threads()). Serial
  // where another loop is running in this pool, or after fork(), which leaves the workers behind. `function`
  // must not throw.
  template <class F>
  void parallel_for(int count, int grain, F&& function) {
    using Function = std::remove_reference_t<F>;
    run(
        count, grain,
        [](void* f, int begin, int end, int thread) { (*static_cast<Function*>(f))(begin, end, thread); },
        const_cast<void*>(static_cast<const void*>(&function)));
  }

 private:
  using Body = void (*)(void*, int, int, int);

  void run(int count, int grain, Body body, void* data);
  void work(int thread);
  void take_grains(int thread);

  std::vector<std::thread> workers_;
  std::mutex busy_;  // one loop at a time

  // The loop at hand, published by the increment of generation_.
  Body body_ = nullptr;
  void* data_ = nullptr;
  int grain_ = 1;
  struct alignas(64) Part {
    std::atomic<int> next{0};
    int end = 0;
  };
  std::unique_ptr<Part[]> parts_;  // per thread
  std::atomic<int> running_{0};
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<bool> stop_{false};

  std::mutex sleep_mutex_;
  std::condition_variable wake_;
  std::atomic<int> sleepers_{0};
  long process_ = 0;
};

// Processors this process may run on.
int available_processors();

// The pool of that many threads, shared by all that ask for the same number.
std::shared_ptr<ThreadPool> shared_pool(int threads);

}  // namespace diffrt::runtime
