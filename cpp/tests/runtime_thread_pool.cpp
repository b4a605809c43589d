#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
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
