#include "runtime/thread_team.hpp"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <system_error>

#include <immintrin.h>

namespace diffrt::runtime {
namespace {

// How long a worker stays awake for the next loop. Longer than the gaps inside one evaluation, shorter than a
// time slice.
constexpr auto spin_time = std::chrono::microseconds(60);
// The same where it is asked to. Others that want the processor get it: who spins yields.
constexpr auto long_spin_time = std::chrono::milliseconds(3);
// How long a caller stays awake for the last grains of others. A worker that takes longer was sent away from
// its processor; a caller that sleeps leaves it its own.
constexpr auto patience = std::chrono::microseconds(60);
// Where a loop took twice as long as its caller was at work, because a worker had been sent away, the next
// ones go without workers for so many times as long as it was waited: fewer than one loop in so many is late.
constexpr int rest_factor = 100;
constexpr auto longest_rest = std::chrono::milliseconds(300);
// Waking takes no longer than this, lest what happened once, on a busy machine, is never tried again.
constexpr std::int64_t longest_waking = 200'000;  // [ns]

// The parts of state_.
constexpr std::uint64_t inside = 0xFFFF, open = 0x10000, awaited = 0x20000;
constexpr int loop_shift = 18;

// Calls done() until it is true, or for so long. Returns whether it is true.
template <class F>
bool spin(std::chrono::nanoseconds time, F&& done) {
  const auto until = std::chrono::steady_clock::now() + time;
  for (int spins = 0; !done(); ++spins) {
    if (spins % 64 == 63) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::yield();  // who is waited for may have been put on this processor
    }
    _mm_pause();
  }
  return true;
}

// How long this thread has been at work [ns].
std::int64_t processor_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// A thread that sleeps is not to be woken on this processor. What it was allowed before is in `allowed`;
// false: nothing was changed.
bool keep_off_this_processor(pthread_t thread, cpu_set_t& allowed) {
  if (pthread_getaffinity_np(thread, sizeof allowed, &allowed) != 0) return false;
  cpu_set_t others = allowed;
  CPU_CLR(static_cast<std::size_t>(std::max(sched_getcpu(), 0)), &others);
  return CPU_COUNT(&others) > 0 && pthread_setaffinity_np(thread, sizeof others, &others) == 0;
}

}  // namespace

ThreadTeam::ThreadTeam(int threads, const std::atomic<int>& awake)
    : awake_(awake),
      parts_(std::make_unique<Part[]>(static_cast<std::size_t>(threads))),
      sleepers_(std::make_unique<Sleeper[]>(static_cast<std::size_t>(threads))) {
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
  }
  for (int thread = 1; thread < threads(); ++thread)
    sleepers_[static_cast<std::size_t>(thread)].wake.notify_one();
  for (std::thread& worker : workers_) worker.join();
}

bool ThreadTeam::run(int count, int grain, Body body, void* data) {
  const std::unique_lock<std::mutex> lock(busy_, std::try_to_lock);
  const auto begin = Clock::now();
  if (!lock.owns_lock() || begin < rest_until_) return false;
  body_ = body;
  data_ = data;
  count_ = count;
  grain_ = grain;
  for (int t = 0; t < threads(); ++t) {
    Part& part = parts_[static_cast<std::size_t>(t)];
    const auto boundary = [&](int k) {
      return static_cast<int>(static_cast<std::int64_t>(count) * k / threads());
    };
    part.next.store(boundary(t), std::memory_order_relaxed);
    part.end = boundary(t + 1);
  }
  if (begin - idle_since_ > spin_time) busy_since_.store(begin, std::memory_order_relaxed);
  const std::uint64_t loop = (state_.load(std::memory_order_relaxed) >> loop_shift) + 1;
  state_.store(loop << loop_shift | open, std::memory_order_release);
  take_grains(0);
  const auto through = idle_since_ = Clock::now();
  if ((state_.fetch_and(~open, std::memory_order_acquire) & inside) == 0) return true;
  away_.store(0, std::memory_order_relaxed);
  wait_for_workers();
  idle_since_ = Clock::now();
  const Clock::duration away = std::chrono::nanoseconds(away_.load(std::memory_order_relaxed)),
                        lost = std::min(idle_since_ - through, away);
  if (lost > through - begin)
    rest_until_ = idle_since_ + std::min<Clock::duration>(rest_factor * lost, longest_rest);
  return true;
}

void ThreadTeam::wait_for_workers() {
  const auto all_left = [&] { return (state_.load(std::memory_order_acquire) & inside) == 0; };
  if (spin(patience, all_left)) return;
  std::unique_lock<std::mutex> lock(sleep_mutex_);
  state_.fetch_or(awaited);
  left_.wait(lock, all_left);
}

void ThreadTeam::take_grains(int thread) {
  const bool may_wake = asleep_.load(std::memory_order_relaxed) > 0;
  const auto start = may_wake ? Clock::now() : Clock::time_point();
  int done = 0;
  for (int k = 0; k < threads(); ++k) {
    Part& part = parts_[static_cast<std::size_t>((thread + k) % threads())];
    for (;;) {
      const int begin = part.next.fetch_add(grain_, std::memory_order_relaxed);
      if (begin >= part.end) break;
      const int end = std::min(begin + grain_, part.end);
      body_(data_, begin, end, thread);
      const int sleepers = may_wake ? asleep_.load(std::memory_order_relaxed) : 0;
      if (sleepers == 0) continue;
      done += end - begin;
      const int untouched = std::min(sleepers, threads() - 1 - k) * (count_ / threads());
      wake_if_it_pays(start, done, part.end - end + untouched);
    }
  }
}

void ThreadTeam::wake_if_it_pays(Clock::time_point start, int done, int left) {
  const auto now = Clock::now();
  const std::chrono::duration<double, std::nano> here = now - start,
                                                 busy = now - busy_since_.load(std::memory_order_relaxed);
  const auto waking = static_cast<double>(waking_.load(std::memory_order_relaxed));
  // It takes part of the caller's time, too, and halves what remains. Many short loops are as good as a long
  // one: a worker that is awake stays awake between them.
  if (here.count() * left < 3 * waking * done && busy.count() < 8 * waking) return;
  const std::unique_lock<std::mutex> lock(sleep_mutex_, std::try_to_lock);
  if (!lock.owns_lock() || asleep_.load(std::memory_order_relaxed) == 0) return;
  busy_since_.store(now, std::memory_order_relaxed);  // should it not help, it is not tried again at once
  int thread = 1;
  while (sleepers_[static_cast<std::size_t>(thread)].state != Sleeper::asleep) ++thread;
  Sleeper& sleeper = sleepers_[static_cast<std::size_t>(thread)];
  // In a virtual machine a processor that idles looks as if the host had taken it away, and Linux wakes
  // threads on that of the caller instead, where they wait for milliseconds until its time slice is over.
  sleeper.kept_off = keep_off_this_processor(workers_[static_cast<std::size_t>(thread - 1)].native_handle(),
                                             sleeper.allowed);
  sleeper.state = Sleeper::called;
  sleeper.called_at = now;
  asleep_.fetch_sub(1, std::memory_order_relaxed);
  sleeper.wake.notify_one();
}

void ThreadTeam::sleep(int thread) {
  Sleeper& sleeper = sleepers_[static_cast<std::size_t>(thread)];
  std::unique_lock<std::mutex> lock(sleep_mutex_);
  sleeper.state = Sleeper::asleep;
  asleep_.fetch_add(1, std::memory_order_relaxed);
  sleeper.wake.wait(lock, [&] { return sleeper.state == Sleeper::called || stop_; });
  if (stop_) return;
  sleeper.state = Sleeper::awake;
  if (sleeper.kept_off) pthread_setaffinity_np(pthread_self(), sizeof sleeper.allowed, &sleeper.allowed);
  const std::int64_t took = std::chrono::nanoseconds(Clock::now() - sleeper.called_at).count();
  const std::int64_t before = waking_.load(std::memory_order_relaxed);
  waking_.store(before + (std::min<std::int64_t>(took, longest_waking) - before) / 8,
                std::memory_order_relaxed);
}

bool ThreadTeam::enter(std::uint64_t& last_loop) {
  std::uint64_t state = state_.load(std::memory_order_relaxed);
  while ((state & open) != 0 && state >> loop_shift != last_loop) {
    if (!state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire, std::memory_order_relaxed))
      continue;
    last_loop = state >> loop_shift;
    return true;
  }
  return false;
}

void ThreadTeam::leave(const Presence& since) {
  if ((state_.load(std::memory_order_relaxed) & awaited) != 0) {
    const std::chrono::nanoseconds here = Clock::now() - since.time;
    const std::int64_t away = here.count() - (processor_time() - since.processor_time);
    std::int64_t most = away_.load(std::memory_order_relaxed);
    while (away > most && !away_.compare_exchange_weak(most, away, std::memory_order_relaxed)) continue;
  }
  const std::uint64_t state = state_.fetch_sub(1, std::memory_order_release);
  if ((state & awaited) == 0 || (state & inside) > 1) return;
  { const std::lock_guard<std::mutex> lock(sleep_mutex_); }
  left_.notify_one();
}

void ThreadTeam::work(int thread) {
  std::uint64_t last_loop = 0;
  for (;;) {
    bool entered = false;
    const std::chrono::nanoseconds time =
        awake_.load(std::memory_order_relaxed) > 0 ? long_spin_time : spin_time;
    if (!spin(time, [&] { return (entered = enter(last_loop)) || stop_.load(std::memory_order_relaxed); }))
      sleep(thread);
    if (stop_) return;
    if (!entered) continue;
    const Presence since{Clock::now(), processor_time()};
    take_grains(thread);
    leave(since);
  }
}

}  // namespace diffrt::runtime
