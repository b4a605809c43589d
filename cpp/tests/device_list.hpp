// The devices that tests of the runtime run on: Vulkan's first, and the fake CUDA driver's, or the real one's
// with DIFFRT_TEST_CUDA=real in the environment.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "fake_cuda/fake_cuda.hpp"
#include "runtime/device.hpp"

namespace diffrt::tests {

// Runs a test on each, with the name captured. Tells once on stderr what is not there. Afterwards the device
// is closed; what the fake driver complains of fails the test.
void on_every_device(const std::function<void(std::shared_ptr<runtime::Device>)>& test);

// An environment variable, as it was afterwards.
class Environment {
 public:
  Environment(const char* name, const std::string& value);
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::string name_, before_;
  bool was_set_ = false;
};

// While this lives, "cuda" is the fake driver, fresh, with the test kernel. At the end it must have been used
// rightly, and all given back, unless the test says otherwise.
class FakeCudaSession {
 public:
  FakeCudaSession();
  ~FakeCudaSession();
  FakeCuda* operator->() const { return &fake_; }
  FakeCuda& get() const { return fake_; }
  void expect_leaks() { check_leaks_ = false; }

 private:
  FakeCuda& fake_;
  Environment library_;
  bool check_leaks_ = true;
};

}  // namespace diffrt::tests
