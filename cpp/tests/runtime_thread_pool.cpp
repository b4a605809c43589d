#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <numeric>
#include <vector>

#include "runtime/thread_pool.hpp"

using diffrt::runtime::ThreadPool;

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

TEST_CASE("after fork the child goes on alone") {
  const auto pool = diffrt::runtime::shared_pool(3);
  std::atomic<int> sum{0};
  pool->parallel_for(100, 1, [&](int begin, int end, int) { sum += end - begin; });
  const pid_t child = fork();
  if (child == 0) {
    alarm(10);  // a child that waits for threads it does not have ends by the signal
    std::atomic<int> mine{0};
    pool->parallel_for(100, 1, [&](int begin, int end, int) { mine += end - begin; });
    _exit(mine == 100 ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("pools are shared by number of threads") {
  const bool same = diffrt::runtime::shared_pool(2) == diffrt::runtime::shared_pool(2);
  const bool other = diffrt::runtime::shared_pool(2) == diffrt::runtime::shared_pool(3);
  CHECK(same);
  CHECK(!other);
  CHECK(diffrt::runtime::available_processors() >= 1);
}
