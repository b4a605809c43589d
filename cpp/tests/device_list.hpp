// The devices that tests of the runtime run on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/device.hpp"

namespace diffrt::tests {

// Every device of every driver found; what is not there is told once on stderr.
std::vector<std::string> device_names();
std::shared_ptr<runtime::Device> open(const std::string& name);

}  // namespace diffrt::tests
