// A test's part in a child that fork() makes.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

namespace diffrt::tests {

// ThreadSanitizer knows no threads that start in a child of a process that had several: "dup thread with used
// id".
#ifdef __SANITIZE_THREAD__
inline constexpr bool cannot_fork = true;
#else
inline constexpr bool cannot_fork = false;
#endif

// AddressSanitizer's allocator has locks of its own, which a child may find locked.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool cannot_fork_amid_threads = true;
#else
inline constexpr bool cannot_fork_amid_threads = false;
#endif

// Whether work() is true there. A child that hangs ends by a signal; what it finds goes to stderr.
template <class F>
bool true_in_child(F&& work) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(30);
    bool right = false;
    try {
      right = work();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "in the child: %s\n", error.what());
    }
    _exit(right ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace diffrt::tests
