#include "runtime/thread_pool.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <map>

#include <immintrin.h>

namespace diffrt::runtime {
namespace {

// How long a worker stays awake for the next loop. Longer than the gaps inside one evaluation, shorter than a
// time slice.
constexpr auto spin_time = std::chrono::microseconds(60);

}  // namespace

ThreadPool::ThreadPool(int threads)
    : parts_(std::make_unique<Part[]>(static_cast<std::size_t>(std::max(1, threads)))), process_(getpid()) {
  workers_.reserve(static_cast<std::size_t>(std::max(0, threads - 1)));
  for (int thread = 1; thread < threads; ++thread) workers_.emplace_back([this, thread] { work(thread); });
}

ThreadPool::~ThreadPool() {
  if (getpid() != process_) {  // a forked child has no such threads: neither wake nor join
    for (std::thread& worker : workers_) worker.detach();
    return;
  }
  {
    const std::lock_guard<std::mutex> lock(sleep_mutex_);
    stop_ = true;
    generation_.fetch_add(1);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::take_grains(int thread) {
  for (int k = 0; k < threads(); ++k) {
    Part& part = parts_[static_cast<std::size_t>((thread + k) % threads())];
    for (;;) {
      const int begin = part.next.fetch_add(grain_, std::memory_order_relaxed);
      if (begin >= part.end) break;
      body_(data_, begin, std::min(begin + grain_, part.end), thread);
    }
  }
}

void ThreadPool::run(int count, int grain, Body body, void* data) {
  if (count <= 0) return;
  grain = std::max(grain, 1);
  std::unique_lock<std::mutex> lock(busy_, std::try_to_lock);
  if (workers_.empty() || count <= grain || !lock.owns_lock() || getpid() != process_) {
    body(data, 0, count, 0);
    return;
  }
  body_ = body;
  data_ = data;
  grain_ = grain;
  for (int t = 0; t < threads(); ++t) {
    Part& part = parts_[static_cast<std::size_t>(t)];
    const auto boundary = [&](int k) {
      return static_cast<int>(static_cast<std::int64_t>(count) * k / threads());
    };
    part.next.store(boundary(t), std::memory_order_relaxed);
    part.end = boundary(t + 1);
  }
  running_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  generation_.fetch_add(1);
  if (sleepers_.load() > 0) {
    { const std::lock_guard<std::mutex> sleep_lock(sleep_mutex_); }
    wake_.notify_all();
  }
  take_grains(0);
  for (int spins = 0; running_.load(std::memory_order_acquire) > 0; ++spins) {
    if (spins < 4000) {
      _mm_pause();
    } else {
      std::this_thread::yield();  // more threads than processors: let the last one finish
    }
  }
}

void ThreadPool::work(int thread) {
  std::uint64_t seen = 0;
  for (;;) {
    const auto until = std::chrono::steady_clock::now() + spin_time;
    for (int spins = 0; generation_.load(std::memory_order_acquire) == seen; ++spins) {
      if (spins % 64 == 63 && std::chrono::steady_clock::now() > until) {
        std::unique_lock<std::mutex> lock(sleep_mutex_);
        sleepers_.fetch_add(1);
        wake_.wait(lock, [&] { return generation_.load() != seen; });
        sleepers_.fetch_sub(1);
        break;
      }
      _mm_pause();
    }
    ++seen;  // run() waits for every worker, so no generation is ever skipped
    if (stop_) return;
    take_grains(thread);
    running_.fetch_sub(1, std::memory_order_release);
  }
}

int available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int processors = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) processors = CPU_COUNT(&set);
  // A container may have many processors and a small share of their time ("quota period", or "max"): threads
  // beyond it would spin while the others wait for their turn.
  std::ifstream cgroup("/sys/fs/cgroup/cpu.max");
  double quota = 0, period = 0;
  if (cgroup >> quota >> period && quota > 0 && period > 0) {
    processors = std::min(processors, std::max(1, static_cast<int>(std::ceil(quota / period))));
  }
  return processors;
}

std::shared_ptr<ThreadPool> shared_pool(int threads) {
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<ThreadPool>> pools;
  const std::lock_guard<std::mutex> lock(mutex);
  std::weak_ptr<ThreadPool>& slot = pools[threads];
  std::shared_ptr<ThreadPool> pool = slot.lock();
  if (pool == nullptr) slot = pool = std::make_shared<ThreadPool>(threads);
  return pool;
}

}  // namespace diffrt::runtime
