// How tests steer the fake CUDA driver, and ask it what it saw.
//
// The fake is a shared library with the driver's functions. It keeps the device's memory on the host, at
// addresses that the host cannot follow, and puts work off until somebody waits for it: who does not wait, or
// reuses what is still to be read, gets wrong results. It checks contexts, handles, sizes and the order of
// calls: wrong use is written down. Nodes of a graph run in an order as far from that of their making as
// their edges allow. Kernels are functions of the test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace diffrt::tests {

class FakeCuda {
 public:
  // A kernel: its argument block and its bounds, which the host can read here, and how many threads there
  // are.
  using Kernel = void (*)(FakeCuda& cuda, const unsigned char* block, const unsigned char* bounds,
                          unsigned threads);

  virtual ~FakeCuda() = default;
  // Forgets everything, live objects too. One device, of CUDA 12.4, without kernels.
  virtual void reset() = 0;
  virtual void set_devices(int count) = 0;
  virtual void set_driver_version(int version) = 0;
  virtual void set_kernel(const std::string& entry, Kernel kernel) = 0;
  // The nth call (1: the next) of a function answers with this error. After a sticky one, so do all others.
  virtual void fail(const std::string& function, int nth, int error, bool sticky = false) = 0;
  virtual void set_compiler_log(const std::string& log) = 0;

  // "" if the driver was used as its reference says, else a line for each mistake.
  virtual std::string mistakes() = 0;
  // "" if all was given back, else what was not.
  virtual std::string leaks() = 0;
  virtual long calls(const std::string& function) = 0;
  virtual long all_calls() = 0;
  // What the host may follow, for `bytes` at a device's address. Throws std::out_of_range if nothing is
  // there.
  virtual unsigned char* follow(std::uint64_t address, std::size_t bytes) = 0;
  // Memory as another library would have it, on one of the devices.
  virtual std::uint64_t allocate_elsewhere(std::size_t bytes, int device) = 0;
  virtual void free_elsewhere(std::uint64_t address) = 0;
  // A stream of another library, and what that puts there: a number to be written, or read, when it comes to
  // that.
  virtual std::uintptr_t create_stream_elsewhere() = 0;
  virtual void destroy_stream_elsewhere(std::uintptr_t stream) = 0;
  virtual void write_elsewhere(std::uintptr_t stream, std::uint64_t address, float value) = 0;
  virtual void read_elsewhere(std::uintptr_t stream, std::uint64_t address, float* to) = 0;
  // Makes a context of another library current, and says whether it still is.
  virtual void enter_other_context() = 0;
  virtual bool in_other_context() = 0;
  virtual void leave_other_context() = 0;
};

// What the library exports: FakeCuda* diffrt_fake_cuda().
inline constexpr const char* fake_cuda_symbol = "diffrt_fake_cuda";

}  // namespace diffrt::tests
