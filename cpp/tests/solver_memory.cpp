// Promises about resources: nothing is allocated between steps, and runs repeat to the last bit.
#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "solver_problem.hpp"

// Counts every allocation of the test program (Eigen calls malloc, not operator new). Sanitizers have a
// malloc of their own.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define DIFFRT_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DIFFRT_SANITIZED 1
#endif
#if defined(__GLIBC__) && !defined(DIFFRT_SANITIZED)
#define DIFFRT_COUNTS_ALLOCATIONS 1
namespace {
std::atomic<long> allocations{0};
}
extern "C" void* __libc_malloc(std::size_t size);
extern "C" void* malloc(std::size_t size) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(size);
}
#endif

namespace {

using diffrt::Method;
using diffrt::Prior;
using diffrt::SolveOptions;
using diffrt::SolveResult;
using diffrt::Span;
using diffrt::StepRecord;
using diffrt::test::make_problem;
using Numbers = std::vector<double>;

// n parameters in a chain of Rosenbrock valleys.
auto chain(std::size_t n) {
  return make_problem(n, 2 * (n - 1), [n](const auto& x, auto& r) {
    for (std::size_t i = 0; i + 1 < n; ++i) {
      r[2 * i] = 10.0 * (x[i + 1] - x[i] * x[i]);
      r[2 * i + 1] = 1.0 - x[i];
    }
  });
}

}  // namespace

#ifdef DIFFRT_COUNTS_ALLOCATIONS
TEST_CASE("No step after the first allocates memory") {
  const long start = allocations.load();
  std::free(std::malloc(1000));
  REQUIRE(allocations.load() > start);  // the counter works

  for (std::size_t n : {2, 6, 60}) {
    for (Method method : {Method::levenberg_marquardt, Method::gauss_newton}) {
      auto problem = chain(n);
      std::vector<long> counts;
      counts.reserve(1000);
      SolveOptions options;
      options.method = method;
      options.max_steps = 30;
      options.lower = Numbers(n, -100.0);
      options.priors = {Prior{0, 1, 10}};
      options.callback = [&](const StepRecord&, Span<const double>) {
        counts.push_back(allocations.load());
        return true;
      };
      solve(problem, Numbers(n, 0.5), options);
      CAPTURE(n);
      REQUIRE(counts.size() >= 3);
      for (std::size_t k = 2; k < counts.size(); ++k) CHECK(counts[k] == counts[1]);
    }
  }
}

TEST_CASE("A solver that is started again allocates nothing either") {
  auto problem = chain(6);
  diffrt::LeastSquaresSolver solver;
  const Numbers start(6, 0.5);
  solver.start(problem, start);
  while (solver.step()) {
  }
  const long before = allocations.load();
  for (int frame = 0; frame < 5; ++frame) {
    solver.start(problem, start);
    while (solver.step()) {
    }
  }
  CHECK(allocations.load() == before);
}
#endif

TEST_CASE("Runs repeat to the last bit") {
  for (std::size_t n : {3, 40}) {
    auto problem = chain(n);
    SolveOptions options = diffrt::test::tight();
    const SolveResult first = solve(problem, Numbers(n, -0.5), options);
    const SolveResult second = solve(problem, Numbers(n, -0.5), options);
    CHECK(first.theta == second.theta);
    CHECK(first.H == second.H);
    CHECK(first.covariance == second.covariance);
    REQUIRE(first.history.size() == second.history.size());
    for (std::size_t k = 0; k < first.history.size(); ++k) {
      CHECK(first.history[k].cost == second.history[k].cost);
      CHECK(first.history[k].lambda == second.history[k].lambda);
    }
  }
}
