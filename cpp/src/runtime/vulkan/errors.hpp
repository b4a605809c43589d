// What a VkResult says, in words.
#pragma once

#include <string>

#include "runtime/vulkan/api.hpp"

namespace diffrt::runtime::vulkan {

// "VK_ERROR_DEVICE_LOST"
std::string result_text(VkResult result);

}  // namespace diffrt::runtime::vulkan
