#include "runtime/thread_pool.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <mutex>
#include <new>
#include <string>
#include <thread>

#include "diffrt/errors.hpp"
#include "runtime/thread_team.hpp"

namespace diffrt::runtime {
namespace {

struct SharedPools {
  std::mutex mutex;
  std::map<int, std::weak_ptr<ThreadPool>> by_threads;
};
PerProcess<SharedPools> shared_pools;

}  // namespace

ThreadPool::ThreadPool(int threads) : threads_(std::max(1, threads)) {
  if (threads_ == 1) return;
  auto team = std::make_unique<ThreadTeam>(threads_, awake_);
  if (team->threads() < threads_) {
    throw ArgumentError("threads: the system starts " + std::to_string(team->threads()) + " of " +
                        std::to_string(threads_) +
                        "; ask for fewer, or raise its limits (ulimit -u, ulimit -v)");
  }
  team_ = team.release();
}

ThreadPool::~ThreadPool() {
  ThreadTeam* const team = team_;
  if (team != nullptr && team->is_here()) delete team;
}

ThreadTeam* ThreadPool::team() noexcept {
  ThreadTeam* team = team_.load(std::memory_order_acquire);
  if (team == nullptr || team->is_here()) return team;
  try {
    auto own = std::make_unique<ThreadTeam>(threads_, awake_);  // with fewer threads, it is slower
    if (team_.compare_exchange_strong(team, own.get(), std::memory_order_acq_rel)) team = own.release();
    return team;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void ThreadPool::run(int count, int grain, Body body, void* data) {
  if (count <= 0) return;
  grain = std::max(grain, 1);
  ThreadTeam* const mine = count > grain ? team() : nullptr;
  if (mine == nullptr || !mine->run(count, grain, body, data)) body(data, 0, count, 0);
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
  if (threads < 0)
    throw ArgumentError("threads: must be 0 (all processors) or more, got " + std::to_string(threads));
  if (threads > 1024) throw ArgumentError("threads: at most 1024, got " + std::to_string(threads));
  if (threads == 0) threads = available_processors();
  SharedPools& pools = shared_pools.get();
  const std::lock_guard<std::mutex> lock(pools.mutex);
  std::weak_ptr<ThreadPool>& slot = pools.by_threads[threads];
  std::shared_ptr<ThreadPool> pool = slot.lock();
  if (pool == nullptr) slot = pool = std::make_shared<ThreadPool>(threads);
  return pool;
}

}  // namespace diffrt::runtime
