#include "runtime/thread_team.hpp"

#include <algorithm>
#include <chrono>
#include <system_error>

#include <immintrin.h>

namespace diffrt::runtime {
namespace {

// How long a worker stays awake for the next loop. Longer than the gaps inside one evaluation, shorter than a
// time slice.
constexpr auto spin_time = std::chrono::microseconds(60);

}  // namespace

ThreadTeam::ThreadTeam(int threads) : parts_(std::make_unique<Part[]>(static_cast<std::size_t>(threads))) {
  workers_.reserve(static_cast<std::size_t>(threads - 1));
  try {
    for (int thread = 1; thread < threads; ++thread) workers_.emplace_back([this, thread] { work(thread); });
  } catch (const std::system_error&) {  // a limit of the process or the system
  }
}

ThreadTeam::~ThreadTeam() {
  {
    const std::lock_guard<std::mutex> lock(sleep_mutex_);
    stop_ = true;
    loops_.fetch_add(1);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadTeam::take_grains(int thread) {
  for (int k = 0; k < threads(); ++k) {
    Part& part = parts_[static_cast<std::size_t>((thread + k) % threads())];
    for (;;) {
      const int begin = part.next.fetch_add(grain_, std::memory_order_relaxed);
      if (begin >= part.end) break;
      body_(data_, begin, std::min(begin + grain_, part.end), thread);
    }
  }
}

bool ThreadTeam::run(int count, int grain, Body body, void* data) {
  const std::unique_lock<std::mutex> lock(busy_, std::try_to_lock);
  if (!lock.owns_lock()) return false;
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
  loops_.fetch_add(1);
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
  return true;
}

void ThreadTeam::work(int thread) {
  std::uint64_t seen = 0;
  for (;;) {
    const auto until = std::chrono::steady_clock::now() + spin_time;
    for (int spins = 0; loops_.load(std::memory_order_acquire) == seen; ++spins) {
      if (spins % 64 == 63 && std::chrono::steady_clock::now() > until) {
        std::unique_lock<std::mutex> lock(sleep_mutex_);
        sleepers_.fetch_add(1);
        wake_.wait(lock, [&] { return loops_.load() != seen; });
        sleepers_.fetch_sub(1);
        break;
      }
      _mm_pause();
    }
    ++seen;  // run() waits for every worker, so no loop is ever skipped
    if (stop_) return;
    take_grains(thread);
    running_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace diffrt::runtime
