#include "runtime/kernel_code.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "diffrt/errors.hpp"
#include "runtime/shared_library.hpp"

namespace diffrt::runtime {
namespace {

// zlib's `uncompress`, whose interface has not changed since 1995: to, room in it, from, bytes there.
using Uncompress = int (*)(unsigned char*, unsigned long*, const unsigned char*, unsigned long);

Uncompress find_uncompress() {
  try {
    const SharedLibrary zlib("libz.so.1", "DIFFRT_ZLIB_LIBRARY");
    if (void* function = zlib.symbol("uncompress")) return reinterpret_cast<Uncompress>(function);
    throw DeviceError(zlib.name() + " has no 'uncompress'");
  } catch (const DeviceError& error) {
    throw DeviceError(
        std::string("Kernels for GPUs are compressed, and zlib, which expands them, is missing: ") +
        error.what() + ". Install it (Debian: apt-get install zlib1g), or use device=\"cpu\".");
  }
}

}  // namespace

std::vector<unsigned char> expand(const KernelCode& kernel) {
  std::vector<unsigned char> code(kernel.size + 1);
  if (kernel.compressed_size == 0) {
    std::copy_n(kernel.code, kernel.size, code.begin());
    return code;
  }
  unsigned long size = kernel.size;
  if (find_uncompress()(code.data(), &size, kernel.code, kernel.compressed_size) != 0 || size != kernel.size)
    throw std::logic_error(std::string("the code of the kernel '") + kernel.name + "' is damaged");
  return code;
}

}  // namespace diffrt::runtime
