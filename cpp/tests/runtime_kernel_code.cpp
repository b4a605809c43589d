// The code of kernels for GPUs is stored compressed, and expanded for the driver.
#include <doctest/doctest.h>

#include <cstring>
#include <stdexcept>
#include <string>

#include "device_list.hpp"
#include "diffrt/errors.hpp"
#include "diffrt_kernels.hpp"

using namespace diffrt;
using namespace diffrt::runtime;

namespace {

// "axb", forty times.
constexpr unsigned char stored[] = {0x78, 0xda, 0x4b, 0xac, 0x48, 0x4a, 0x1c,
                                    0x08, 0x04, 0x00, 0xa2, 0xb1, 0x31, 0x39};

KernelCode kernel_of(const unsigned char* code, std::size_t size, std::size_t compressed_size) {
  KernelCode kernel{};
  kernel.name = "axb", kernel.code = code, kernel.size = size, kernel.compressed_size = compressed_size;
  return kernel;
}

}  // namespace

TEST_CASE("code is expanded to its size, and a 0 follows") {
  const std::vector<unsigned char> code = expand(kernel_of(stored, 120, sizeof stored));
  REQUIRE(code.size() == 121);
  for (std::size_t i = 0; i < 120; ++i) CHECK(code[i] == "axb"[i % 3]);
  CHECK(code.back() == 0);
  const unsigned char plain[] = {'a', 'x', 'b', '!'};
  CHECK(std::strcmp(reinterpret_cast<const char*>(expand(kernel_of(plain, 3, 0)).data()), "axb") == 0);
}

TEST_CASE("every kernel of the library is what its driver reads") {
  for (std::size_t i = 0; i < kernels::all_cuda_kernels.count; ++i) {
    const KernelCode& kernel = kernels::all_cuda_kernels.data[i];
    const std::vector<unsigned char> code = expand(kernel);
    CAPTURE(kernel.name);
    CHECK(std::string(reinterpret_cast<const char*>(code.data())).size() == kernel.size);
    CHECK(std::memcmp(code.data(), ".version", 8) == 0);
  }
  for (std::size_t i = 0; i < kernels::all_vulkan_kernels.count; ++i) {
    const KernelCode& kernel = kernels::all_vulkan_kernels.data[i];
    std::uint32_t first = 0;
    std::memcpy(&first, expand(kernel).data(), 4);
    CAPTURE(kernel.name);
    CHECK(first == 0x07230203);
    CHECK(kernel.size % 4 == 0);
  }
}

TEST_CASE("damaged code is told, and so is a machine without zlib") {
  CHECK_THROWS_WITH_AS(expand(kernel_of(stored, 120, sizeof stored - 6)),
                       "the code of the kernel 'axb' is damaged", std::logic_error);
  CHECK_THROWS_WITH_AS(expand(kernel_of(stored, 119, sizeof stored)),
                       "the code of the kernel 'axb' is damaged", std::logic_error);
  CHECK_THROWS_WITH_AS(expand(kernel_of(stored, 121, sizeof stored)),
                       "the code of the kernel 'axb' is damaged", std::logic_error);
  const tests::Environment nowhere("DIFFRT_ZLIB_LIBRARY", "/nowhere/libz.so.1");
  CHECK_THROWS_WITH_AS(
      expand(kernel_of(stored, 120, sizeof stored)),
      doctest::Contains("zlib, which expands them, is missing: /nowhere/libz.so.1 not found. "
                        "Install it"),
      DeviceError);
}
