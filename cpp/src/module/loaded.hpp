// A module and a model as they are in memory.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "module/description.hpp"
#include "module/device_code.hpp"
#include "module/file.hpp"
#include "module/image.hpp"

namespace diffrt::module {

struct LoadedModel {
  Description description;
  Functions cpu;            // null where the file has no code that this processor runs
  std::string cpu_missing;  // and why
  std::unique_ptr<DeviceCodes> devices;
};

struct LoadedModule {
  std::string path;
  File file;  // without its models
  std::unique_ptr<const Image> image;
  std::string target;  // the image's
  std::vector<LoadedModel> models;
};

// Throws DeviceError if there is none.
const Functions& cpu_functions(const LoadedModel& model);

// descriptor -1: the bytes came from elsewhere.
std::shared_ptr<const LoadedModule> load(File file, int descriptor, const std::string& path);

}  // namespace diffrt::module
