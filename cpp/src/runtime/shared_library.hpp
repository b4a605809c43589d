// A driver's library, found at run time: the library works where there is none.
#pragma once

#include <string>

namespace diffrt::runtime {

class SharedLibrary {
 public:
  // Looks for `name` as the system does; the environment variable `override_name`, if set, names another
  // file. Throws DeviceError that says what was looked for. Never unloaded: drivers do not survive it.
  SharedLibrary(const char* name, const char* override_name);

  const std::string& name() const { return name_; }
  // nullptr if it has no such symbol.
  void* symbol(const char* name) const;

 private:
  std::string name_;
  void* handle_ = nullptr;
};

}  // namespace diffrt::runtime
