#include <doctest/doctest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "forked.hpp"
#include "runtime/fork.hpp"
#include "runtime/thread_pool.hpp"

using diffrt::runtime::ThreadPool;
namespace tests = diffrt::tests;

TEST_CASE("parallel_for covers every index once, whatever the counts") {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    CHECK(pool.threads() == threads);
    for (const int count : {0, 1, 2, 7, 64, 1000}) {
      for (const int grain : {0, 1, 3, 64, 5000}) {
        std::vector<std::atomic<int>> seen(static_cast<std::size_t>(count));
        std::atomic<bool> thread_valid{true};
        pool.parallel_for(count, grain, [&](int begin, int end, int thread) {
          if (thread < 0 || thread >= threads || begin >= end) thread_valid = false;
          for (int i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
        });
        CHECK(thread_valid);
        for (const std::atomic<int>& n : seen) CHECK(n == 1);
      }
    }
  }
}

TEST_CASE("short loops, one after another and after a pause") {
  ThreadPool pool(4);
  std::atomic<long> sum{0};
  for (int round = 0; round < 2000; ++round) {
    pool.parallel_for(16, 1, [&](int begin, int end, int) { sum += end - begin; });
    if (round % 500 == 0) usleep(2000);  // long enough for the workers to fall asleep
  }
  CHECK(sum == 2000 * 16);
}

TEST_CASE("a loop inside a loop runs serially") {
  ThreadPool pool(2);
  std::atomic<int> sum{0};
  pool.parallel_for(8, 1, [&](int, int, int) {
    pool.parallel_for(8, 1, [&](int begin, int end, int) { sum += end - begin; });
  });
  CHECK(sum == 64);
}

namespace {

void spin_for(std::chrono::microseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < until) continue;
}

// A thread that a signal has stopped, as a system does that has other things to run.
std::atomic<bool> stopped{false}, go_on{false};
void stop_here(int) {
  stopped = true;
  while (!go_on) continue;
}

// The threads of this process, as the system calls them.
std::set<int> thread_ids() {
  std::set<int> ids;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task"))
    ids.insert(std::stoi(entry.path().filename().string()));
  return ids;
}

void wait_until_asleep(int id) {
  const std::string path = "/proc/self/task/" + std::to_string(id) + "/stat";
  for (std::string stat; stat.find(") S ") == std::string::npos; usleep(100)) {
    std::ifstream file(path);
    std::getline(file, stat);
  }
}

// The worker of a pool of two; it is asleep when this returns.
pthread_t worker_of(ThreadPool& pool) {
  std::atomic<bool> found{false};
  pthread_t worker{};
  long id = 0;
  while (!found) {
    pool.parallel_for(8, 1, [&](int, int, int thread) {
      usleep(500);
      if (thread == 1 && !found.exchange(true)) worker = pthread_self(), id = syscall(SYS_gettid);
    });
  }
  wait_until_asleep(static_cast<int>(id));
  return worker;
}

}  // namespace

TEST_CASE("a loop does not wait for a worker that comes late, which then skips it") {
  ThreadPool pool(2);
  const pthread_t worker = worker_of(pool);
  struct sigaction action = {}, before = {};
  action.sa_handler = stop_here;
  REQUIRE(sigaction(SIGUSR2, &action, &before) == 0);
  stopped = go_on = false;
  REQUIRE(pthread_kill(worker, SIGUSR2) == 0);
  for (int k = 0; k < 10'000 && !stopped; ++k) usleep(1000);
  REQUIRE(stopped);

  std::thread patience([] {  // without it a loop that waits would do so for ever
    for (int k = 0; k < 5000 && !go_on; ++k) usleep(1000);
    go_on = true;
  });
  std::atomic<bool> closed{false}, late{false};
  std::atomic<int> sum{0};
  pool.parallel_for(40, 1, [&](int begin, int end, int) {
    if (closed) late = true;
    usleep(200);  // long enough for the worker to be called
    sum += end - begin;
  });
  closed = true;
  CHECK(!go_on);
  CHECK(sum == 40);
  go_on = true;
  patience.join();
  CHECK(pthread_equal(worker_of(pool), worker) != 0);  // it takes part in later ones
  CHECK(!late);
  CHECK(sum == 40);
  sigaction(SIGUSR2, &before, nullptr);
}

TEST_CASE("workers that sleep are not woken for less than waking takes") {
  constexpr int rounds = 40;
  int shared = 0;
  for (int round = 0; round < rounds; ++round) {
    const std::set<int> before = thread_ids();
    ThreadPool pool(2);
    for (const int id : thread_ids()) {
      if (before.count(id) == 0) wait_until_asleep(id);
    }
    std::atomic<bool> by_others{false};
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(8, 1, [&](int, int, int thread) {
      spin_for(std::chrono::microseconds(10));
      if (thread != 0) by_others = true;
    });
    // Where this thread is kept from running for a while, the rest may be worth it.
    const bool quick = std::chrono::steady_clock::now() - start < std::chrono::microseconds(150);
    shared += quick && by_others ? 1 : 0;
  }
  CHECK(shared < rounds / 4);
}

namespace {

void stay_on(pthread_t thread, int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  pthread_setaffinity_np(thread, sizeof set, &set);
}

// Loops of which the worker's part takes longer by far.
void unequal_loops(ThreadPool& pool, int loops, std::chrono::microseconds time) {
  for (int loop = 0; loop < loops; ++loop) {
    pool.parallel_for(
        4, 1, [&](int, int, int thread) { thread == 0 ? static_cast<void>(usleep(300)) : spin_for(time); });
  }
}

// Whether a worker takes part in any of some loops, which end before a rest does.
bool helped(ThreadPool& pool) {
  std::atomic<bool> by_others{false};
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(60);
  while (!by_others && std::chrono::steady_clock::now() < until) {
    pool.parallel_for(8, 1, [&](int, int, int thread) {
      usleep(500);
      if (thread != 0) by_others = true;
    });
  }
  return by_others;
}

}  // namespace

TEST_CASE("a worker sent away from its processor rests for a while") {
  cpu_set_t all;
  REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
  int processor = CPU_SETSIZE;
  while (!CPU_ISSET(--processor, &all)) continue;
  ThreadPool pool(2);
  stay_on(worker_of(pool), processor);
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) continue;
  });
  stay_on(busy.native_handle(), processor);
  bool rested = false;
  for (int tries = 0; tries < 10 && !rested; ++tries) {  // the caller may be sent away, too
    unequal_loops(pool, 5, std::chrono::milliseconds(10));
    rested = !helped(pool);
  }
  stop = true;
  busy.join();
  CHECK(rested);
  worker_of(pool);  // returns when it has taken part again
}

TEST_CASE("a worker that slept is woken on another processor than the caller's") {
  cpu_set_t all;
  REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
  if (CPU_COUNT(&all) < 2) return;
  ThreadPool pool(2);
  int here = 0;
  while (!CPU_ISSET(here, &all)) ++here;
  stay_on(pthread_self(), here);
  constexpr int rounds = 60;
  int woken_here = 0;
  for (int round = 0; round < rounds; ++round) {
    const pthread_t worker = worker_of(pool);
    usleep(2000);               // long enough for a virtual machine to give its processor away
    const auto is_free = [&] {  // to be moved
      cpu_set_t allowed;
      return pthread_getaffinity_np(worker, sizeof allowed, &allowed) == 0 && CPU_EQUAL(&allowed, &all);
    };
    std::atomic<int> there{-1};
    while (there < 0) {
      pool.parallel_for(200, 1, [&](int, int, int thread) {
        spin_for(std::chrono::microseconds(20));
        int none = -1;
        if (thread == 1) there.compare_exchange_strong(none, sched_getcpu());
      });
    }
    woken_here += there == here ? 1 : 0;
    // It may have been called once more, and not be awake yet.
    for (int k = 0; k < 5000 && !is_free(); ++k) usleep(1000);
    CHECK(is_free());
  }
  pthread_setaffinity_np(pthread_self(), sizeof all, &all);
  CHECK(woken_here <= rounds / 20);  // a busy machine may have moved it there since
}

TEST_CASE("a worker that is slow does not rest") {
  int stayed = 0, takes_part = 0;
  for (int tries = 0; tries < 100 && stayed < 3; ++tries) {
    ThreadPool pool(2);
    clockid_t clock{};
    REQUIRE(pthread_getcpuclockid(worker_of(pool), &clock) == 0);
    const auto at_work = [&] {
      timespec time{};
      clock_gettime(clock, &time);
      return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
    };
    std::atomic<bool> sent_away{false};
    pool.parallel_for(4, 1, [&](int, int, int thread) {
      if (thread == 0) return static_cast<void>(usleep(300));
      const auto before = at_work();
      spin_for(std::chrono::milliseconds(5));
      if (at_work() - before < std::chrono::microseconds(4800)) sent_away = true;  // on a busy machine
    });
    if (sent_away) continue;
    ++stayed;
    takes_part += helped(pool) ? 1 : 0;
  }
  CHECK(takes_part * 2 >= stayed);
}

TEST_CASE("many callers of one pool: each loop covers its range") {
  ThreadPool pool(3);
  std::atomic<bool> right{true};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      std::vector<std::atomic<int>> seen(64);
      for (int round = 1; round <= 500; ++round) {
        pool.parallel_for(64, 1 + caller, [&](int begin, int end, int) {
          for (int i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
        });
        for (const std::atomic<int>& n : seen) right = right && n == round;
        if (round % 100 == caller) usleep(500);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(right);
}

namespace {

// Whether a loop covers its range; the threads that took part are counted.
bool covers(ThreadPool& pool, std::set<int>* took_part = nullptr) {
  std::atomic<int> sum{0};
  std::mutex mutex;
  pool.parallel_for(100, 1, [&](int begin, int end, int thread) {
    sum += end - begin;
    if (took_part == nullptr) return;
    usleep(1000);  // leaves something to the others
    const std::lock_guard<std::mutex> lock(mutex);
    took_part->insert(thread);
  });
  return sum == 100;
}

}  // namespace

TEST_CASE("after fork the child goes on with threads of its own" * doctest::skip(tests::cannot_fork)) {
  for (const int threads : {1, 2, 5}) {
    CAPTURE(threads);
    auto pool = std::make_unique<ThreadPool>(threads);
    CHECK(covers(*pool));
    usleep(2000);  // long enough for the workers to fall asleep
    const auto goes_on = [&] {
      std::set<int> took_part;
      return covers(*pool, &took_part) && (took_part.size() > 1 || threads == 1);
    };
    CHECK(tests::true_in_child(goes_on));
    CHECK(tests::true_in_child([&] { return tests::true_in_child(goes_on) && goes_on(); }));
    CHECK(tests::true_in_child([&] { return goes_on() && tests::true_in_child(goes_on); }));
    CHECK(tests::true_in_child([&] {
      pool.reset();
      return covers(*diffrt::runtime::shared_pool(threads));
    }));
    CHECK(goes_on());
  }
}

TEST_CASE("a fork during other threads' loops, and while they make pools" *
          doctest::skip(tests::cannot_fork_amid_threads)) {
  ThreadPool pool(3);
  std::atomic<bool> stop{false};
  std::thread loops([&] {
    while (!stop) covers(pool);
  });
  std::thread makes([&] {
    while (!stop) covers(*diffrt::runtime::shared_pool(4));
  });
  for (int k = 0; k < 30; ++k) {
    CHECK(tests::true_in_child([&] { return covers(pool) && covers(*diffrt::runtime::shared_pool(4)); }));
  }
  stop = true;
  loops.join(), makes.join();
}

TEST_CASE("threads of one process share a pool's new threads after fork" *
          doctest::skip(tests::cannot_fork)) {
  ThreadPool pool(3);
  CHECK(covers(pool));
  CHECK(tests::true_in_child([&] {
    std::atomic<bool> right{true};
    std::vector<std::thread> users;
    for (int k = 0; k < 4; ++k) {
      users.emplace_back([&] {
        if (!covers(pool)) right = false;
      });
    }
    for (std::thread& user : users) user.join();
    return right.load();
  }));
}

namespace {
diffrt::runtime::PerProcess<std::atomic<int>> counter;
diffrt::runtime::UsedBy first_user, user;
}  // namespace

TEST_CASE("after fork: what each process has one of, and what one process alone may use" *
          doctest::skip(tests::cannot_fork)) {
  counter.get() = 7;
  CHECK(user.this_process());
  CHECK(user.this_process());
  CHECK(counter.get() == 7);
  CHECK(tests::true_in_child([] {
    const bool fresh = counter.get() == 0, mine = first_user.this_process();
    counter.get() = 8;
    return fresh && mine && !user.this_process() &&
           tests::true_in_child([] { return counter.get() == 0 && !first_user.this_process(); }) &&
           counter.get() == 8;
  }));
  CHECK(counter.get() == 7);
  CHECK(first_user.this_process());
}

TEST_CASE("pools are shared by number of threads") {
  const bool same = diffrt::runtime::shared_pool(2) == diffrt::runtime::shared_pool(2);
  const bool other = diffrt::runtime::shared_pool(2) == diffrt::runtime::shared_pool(3);
  CHECK(same);
  CHECK(!other);
  CHECK(diffrt::runtime::available_processors() >= 1);
}
