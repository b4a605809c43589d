#include "runtime/isa.hpp"

#include <cpuid.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "diffrt/errors.hpp"

namespace diffrt::runtime {
namespace {

// The levels of the x86-64 psABI, section 3.1.1. __builtin_cpu_supports also asks the operating system for
// the registers.
bool has_v2() {
  return __builtin_cpu_supports("sse3") && __builtin_cpu_supports("ssse3") &&
         __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("sse4.2") &&
         __builtin_cpu_supports("popcnt");
}

bool has_v3() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool basic = __get_cpuid(1, &a, &b, &c, &d) != 0;
  const bool f16c = basic && (c & (1u << 29)) != 0, movbe = basic && (c & (1u << 22)) != 0;
  const bool lzcnt = __get_cpuid(0x80000001u, &a, &b, &c, &d) != 0 && (c & (1u << 5)) != 0;
  return has_v2() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && f16c && movbe && lzcnt;
}

bool has_v4() {
  return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

IsaLevel choose() {
  const std::vector<IsaLevel> levels = supported_levels();
  if (levels.empty())
    throw DeviceError("this processor lacks x86-64-v2 (SSE4.2, POPCNT), which the kernels need");
  const char* forced = std::getenv("DIFFRT_ISA");
  if (forced == nullptr || *forced == '\0') return levels.back();
  std::string names;
  for (const IsaLevel& level : levels) {
    if (level.name == forced || level.name == std::string("x86-64-") + forced) return level;
    names += (names.empty() ? "" : ", ") + level.name.substr(7);
  }
  throw DeviceError(std::string("DIFFRT_ISA=") + forced + ": this machine runs " + names +
                    ". Set one of these, or unset DIFFRT_ISA to take the highest.");
}

}  // namespace

std::vector<IsaLevel> supported_levels() {
  __builtin_cpu_init();
  std::vector<IsaLevel> levels;
  if (has_v2()) levels.push_back({"x86-64-v2", &kernels::table_v2});
  if (has_v3()) levels.push_back({"x86-64-v3", &kernels::table_v3});
  if (has_v4()) levels.push_back({"x86-64-v4", &kernels::table_v4});
  return levels;
}

const IsaLevel& active_level() {
  static std::atomic<const IsaLevel*> level{nullptr};  // without a lock, which fork() might leave locked
  const IsaLevel* known = level.load(std::memory_order_acquire);
  if (known == nullptr) {
    const auto* const chosen = new IsaLevel(choose());
    if (level.compare_exchange_strong(known, chosen)) return *chosen;
    delete chosen;  // another thread was first
  }
  return *known;
}

std::string processor_name() {
  unsigned words[12] = {};
  for (unsigned k = 0; k < 3; ++k) {
    unsigned* const w = words + 4 * k;
    if (__get_cpuid(0x80000002u + k, &w[0], &w[1], &w[2], &w[3]) == 0) return "x86-64";
  }
  char text[sizeof words + 1] = {};
  std::memcpy(text, words, sizeof words);
  const std::string name = text;
  const std::size_t first = name.find_first_not_of(' ');
  return first == std::string::npos ? "x86-64" : name.substr(first, name.find_last_not_of(' ') - first + 1);
}

}  // namespace diffrt::runtime
