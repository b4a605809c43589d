// A pool of threads for short parallel loops: a few microseconds of work must be worth splitting.
//
// Workers spin for a moment after each loop, then sleep; they are woken for loops that take longer than that
// does. StayAwake makes the moment longer. The caller takes part, and does not wait for who has not begun
// when all is done. Each thread has a part of the range of its own, the same in every loop of that length, so
// that it finds in its cache what it wrote there last; when it is through it helps the others. Which thread
// does what is not fixed, so what is computed must not depend on it. In a child that fork() made a pool goes
// on with threads of the child's own.
#pragma once

#include <atomic>
#include <memory>
#include <type_traits>

namespace diffrt::runtime {

class ThreadTeam;

class ThreadPool {
 public:
  // `threads` in all, the caller's among them. Throws ArgumentError if the system starts fewer.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  // Calls function(begin, end, thread) for consecutive grains of [0, count), thread in [0, threads()). Serial
  // where another loop is running in this pool, or its workers rest (thread_team.cpp). `function` must not
  // throw.
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
  friend class StayAwake;

  void run(int count, int grain, Body body, void* data);
  // This process's threads.
  ThreadTeam* team() noexcept;

  const int threads_;
  std::atomic<int> awake_{0};  // StayAwakes that there are
  std::atomic<ThreadTeam*> team_{nullptr};
};

// While there is one, workers stay awake for some milliseconds between loops: for a caller whose serial work
// is about as long as its loops.
class StayAwake {
 public:
  explicit StayAwake(std::shared_ptr<ThreadPool> pool) : pool_(std::move(pool)) { ++pool_->awake_; }
  ~StayAwake() { --pool_->awake_; }
  StayAwake(const StayAwake&) = delete;
  StayAwake& operator=(const StayAwake&) = delete;

 private:
  const std::shared_ptr<ThreadPool> pool_;
};

// Processors this process may run on.
int available_processors();

// The pool of that many threads, shared by all that ask for the same number; 0: as many as there are
// processors. Throws ArgumentError for a number that users cannot mean.
std::shared_ptr<ThreadPool> shared_pool(int threads);

}  // namespace diffrt::runtime
