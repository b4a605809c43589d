#include "runtime/shared_library.hpp"

#include <dlfcn.h>

#include <cstdlib>

#include "diffrt/errors.hpp"

namespace diffrt::runtime {

SharedLibrary::SharedLibrary(const char* name, const char* override_name) : name_(name) {
  const char* other = std::getenv(override_name);
  if (other != nullptr && *other != '\0') name_ = other;
  handle_ = dlopen(name_.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle_ != nullptr) return;
  const char* reason = dlerror();
  const std::string text = reason == nullptr ? "" : reason;
  // "libcuda.so.1: cannot open shared object file: No such file or directory"
  throw DeviceError(text.find("No such file") != std::string::npos ? name_ + " not found" : text);
}

void* SharedLibrary::symbol(const char* name) const { return dlsym(handle_, name); }

}  // namespace diffrt::runtime
