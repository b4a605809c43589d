#include "runtime/vulkan/errors.hpp"

namespace diffrt::runtime::vulkan {

std::string result_text(VkResult result) {
#define DIFFRT_CASE(name) \
  case name:              \
    return #name;
  switch (result) {
    DIFFRT_CASE(VK_SUCCESS)
    DIFFRT_CASE(VK_NOT_READY)
    DIFFRT_CASE(VK_TIMEOUT)
    DIFFRT_CASE(VK_INCOMPLETE)
    DIFFRT_CASE(VK_ERROR_OUT_OF_HOST_MEMORY)
    DIFFRT_CASE(VK_ERROR_OUT_OF_DEVICE_MEMORY)
    DIFFRT_CASE(VK_ERROR_INITIALIZATION_FAILED)
    DIFFRT_CASE(VK_ERROR_DEVICE_LOST)
    DIFFRT_CASE(VK_ERROR_LAYER_NOT_PRESENT)
    DIFFRT_CASE(VK_ERROR_EXTENSION_NOT_PRESENT)
    DIFFRT_CASE(VK_ERROR_FEATURE_NOT_PRESENT)
    DIFFRT_CASE(VK_ERROR_INCOMPATIBLE_DRIVER)
    DIFFRT_CASE(VK_ERROR_TOO_MANY_OBJECTS)
  }
#undef DIFFRT_CASE
  return "VkResult " + std::to_string(static_cast<int>(result));
}

}  // namespace diffrt::runtime::vulkan
