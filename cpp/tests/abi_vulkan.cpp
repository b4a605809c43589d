// Our declarations of Vulkan against those of the system's header, where there is one (libvulkan-dev).
#if __has_include(<vulkan/vulkan_core.h>)
#define VK_NO_PROTOTYPES
#include <vulkan/vulkan_core.h>

#include <cstddef>

#include "runtime/vulkan/api.hpp"

namespace ours = diffrt::runtime::vulkan;

#define SAME_SIZE(type) \
  static_assert(sizeof(ours::type) == sizeof(::type) && alignof(ours::type) == alignof(::type))
#define SAME_FIELD(type, field)                                           \
  static_assert(offsetof(ours::type, field) == offsetof(::type, field) && \
                sizeof(ours::type::field) == sizeof(::type::field))
#define SAME_VALUE(name) static_assert(static_cast<long>(ours::name) == static_cast<long>(::name))

SAME_SIZE(VkApplicationInfo);
SAME_FIELD(VkApplicationInfo, apiVersion);
SAME_SIZE(VkInstanceCreateInfo);
SAME_FIELD(VkInstanceCreateInfo, pApplicationInfo);
SAME_SIZE(VkPhysicalDeviceLimits);
SAME_FIELD(VkPhysicalDeviceLimits, maxUniformBufferRange);
SAME_FIELD(VkPhysicalDeviceLimits, maxStorageBufferRange);
SAME_FIELD(VkPhysicalDeviceLimits, maxPerStageDescriptorStorageBuffers);
SAME_FIELD(VkPhysicalDeviceLimits, maxComputeWorkGroupCount);
SAME_FIELD(VkPhysicalDeviceLimits, maxComputeWorkGroupInvocations);
SAME_FIELD(VkPhysicalDeviceLimits, maxComputeWorkGroupSize);
SAME_FIELD(VkPhysicalDeviceLimits, minUniformBufferOffsetAlignment);
SAME_FIELD(VkPhysicalDeviceLimits, minStorageBufferOffsetAlignment);
SAME_FIELD(VkPhysicalDeviceLimits, timestampPeriod);
SAME_SIZE(VkPhysicalDeviceProperties);
SAME_FIELD(VkPhysicalDeviceProperties, deviceType);
SAME_FIELD(VkPhysicalDeviceProperties, deviceName);
SAME_FIELD(VkPhysicalDeviceProperties, limits);
SAME_SIZE(VkPhysicalDeviceProperties2);
SAME_SIZE(VkPhysicalDeviceDriverProperties);
SAME_FIELD(VkPhysicalDeviceDriverProperties, driverInfo);
SAME_SIZE(VkPhysicalDeviceFloatControlsProperties);
SAME_FIELD(VkPhysicalDeviceFloatControlsProperties, shaderSignedZeroInfNanPreserveFloat32);
SAME_SIZE(VkExtensionProperties);
SAME_SIZE(VkPhysicalDeviceMemoryProperties);
SAME_FIELD(VkPhysicalDeviceMemoryProperties, memoryHeaps);
SAME_SIZE(VkQueueFamilyProperties);
SAME_SIZE(VkDeviceQueueCreateInfo);
SAME_SIZE(VkDeviceCreateInfo);
SAME_FIELD(VkDeviceCreateInfo, pQueueCreateInfos);
SAME_SIZE(VkBufferCreateInfo);
SAME_FIELD(VkBufferCreateInfo, usage);
SAME_SIZE(VkMemoryRequirements);
SAME_SIZE(VkMemoryAllocateInfo);
SAME_SIZE(VkShaderModuleCreateInfo);
SAME_FIELD(VkShaderModuleCreateInfo, pCode);
SAME_SIZE(VkPipelineCacheCreateInfo);
SAME_SIZE(VkPipelineShaderStageCreateInfo);
SAME_FIELD(VkPipelineShaderStageCreateInfo, pName);
SAME_SIZE(VkComputePipelineCreateInfo);
SAME_FIELD(VkComputePipelineCreateInfo, layout);
SAME_SIZE(VkDescriptorSetLayoutBinding);
SAME_SIZE(VkDescriptorSetLayoutCreateInfo);
SAME_SIZE(VkPipelineLayoutCreateInfo);
SAME_SIZE(VkDescriptorPoolSize);
SAME_SIZE(VkDescriptorPoolCreateInfo);
SAME_SIZE(VkDescriptorSetAllocateInfo);
SAME_SIZE(VkDescriptorBufferInfo);
SAME_SIZE(VkWriteDescriptorSet);
SAME_FIELD(VkWriteDescriptorSet, pBufferInfo);
SAME_SIZE(VkCommandPoolCreateInfo);
SAME_SIZE(VkCommandBufferAllocateInfo);
SAME_SIZE(VkCommandBufferBeginInfo);
SAME_SIZE(VkMemoryBarrier);
SAME_SIZE(VkBufferCopy);
SAME_SIZE(VkSubmitInfo);
SAME_FIELD(VkSubmitInfo, pCommandBuffers);
SAME_SIZE(VkFenceCreateInfo);
SAME_SIZE(VkQueryPoolCreateInfo);
SAME_FIELD(VkQueryPoolCreateInfo, queryCount);

SAME_VALUE(VK_ERROR_OUT_OF_HOST_MEMORY);
SAME_VALUE(VK_ERROR_OUT_OF_DEVICE_MEMORY);
SAME_VALUE(VK_ERROR_DEVICE_LOST);
SAME_VALUE(VK_ERROR_INCOMPATIBLE_DRIVER);
SAME_VALUE(VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO);
SAME_VALUE(VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO);
SAME_VALUE(VK_STRUCTURE_TYPE_SUBMIT_INFO);
SAME_VALUE(VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO);
SAME_VALUE(VK_STRUCTURE_TYPE_FENCE_CREATE_INFO);
SAME_VALUE(VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO);
SAME_VALUE(VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO);
SAME_VALUE(VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO);
SAME_VALUE(VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO);
SAME_VALUE(VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO);
SAME_VALUE(VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO);
SAME_VALUE(VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO);
SAME_VALUE(VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO);
SAME_VALUE(VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO);
SAME_VALUE(VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO);
SAME_VALUE(VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET);
SAME_VALUE(VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO);
SAME_VALUE(VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO);
SAME_VALUE(VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO);
SAME_VALUE(VK_STRUCTURE_TYPE_MEMORY_BARRIER);
SAME_VALUE(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2);
SAME_VALUE(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES);
SAME_VALUE(VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FLOAT_CONTROLS_PROPERTIES);
SAME_VALUE(VK_PHYSICAL_DEVICE_TYPE_CPU);
SAME_VALUE(VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER);
SAME_VALUE(VK_DESCRIPTOR_TYPE_STORAGE_BUFFER);
SAME_VALUE(VK_PIPELINE_BIND_POINT_COMPUTE);
SAME_VALUE(VK_QUERY_TYPE_TIMESTAMP);
SAME_VALUE(VK_QUEUE_GRAPHICS_BIT);
SAME_VALUE(VK_QUEUE_COMPUTE_BIT);
SAME_VALUE(VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
SAME_VALUE(VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT);
SAME_VALUE(VK_MEMORY_PROPERTY_HOST_COHERENT_BIT);
SAME_VALUE(VK_MEMORY_PROPERTY_HOST_CACHED_BIT);
SAME_VALUE(VK_MEMORY_HEAP_DEVICE_LOCAL_BIT);
SAME_VALUE(VK_BUFFER_USAGE_TRANSFER_SRC_BIT);
SAME_VALUE(VK_BUFFER_USAGE_TRANSFER_DST_BIT);
SAME_VALUE(VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT);
SAME_VALUE(VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
SAME_VALUE(VK_SHADER_STAGE_COMPUTE_BIT);
SAME_VALUE(VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT);
SAME_VALUE(VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT);
SAME_VALUE(VK_PIPELINE_STAGE_TRANSFER_BIT);
SAME_VALUE(VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT);
SAME_VALUE(VK_PIPELINE_STAGE_HOST_BIT);
SAME_VALUE(VK_ACCESS_UNIFORM_READ_BIT);
SAME_VALUE(VK_ACCESS_SHADER_READ_BIT);
SAME_VALUE(VK_ACCESS_SHADER_WRITE_BIT);
SAME_VALUE(VK_ACCESS_TRANSFER_READ_BIT);
SAME_VALUE(VK_ACCESS_TRANSFER_WRITE_BIT);
SAME_VALUE(VK_ACCESS_HOST_READ_BIT);
SAME_VALUE(VK_QUERY_RESULT_64_BIT);
SAME_VALUE(VK_QUERY_RESULT_WAIT_BIT);
static_assert(ours::vulkan_version(1, 1) == VK_API_VERSION_1_1);

// Functions take as many arguments as the header's, of as many bytes in all.
template <class T>
struct Shape;
template <class Result, class... A>
struct Shape<Result (*)(A...)> {
  static constexpr std::size_t count = sizeof...(A), bytes = (sizeof(A) + ... + 0);
};
#define SAME_FUNCTION(name, result, arguments)                                     \
  static_assert(Shape<result(*) arguments>::count == Shape<::PFN_##name>::count && \
                Shape<result(*) arguments>::bytes == Shape<::PFN_##name>::bytes);
namespace diffrt::runtime::vulkan {
DIFFRT_VULKAN_GLOBAL_FUNCTIONS(SAME_FUNCTION)
DIFFRT_VULKAN_INSTANCE_FUNCTIONS(SAME_FUNCTION)
DIFFRT_VULKAN_DEVICE_FUNCTIONS(SAME_FUNCTION)
}  // namespace diffrt::runtime::vulkan

#endif
