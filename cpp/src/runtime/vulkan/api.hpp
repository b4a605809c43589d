// The part of Vulkan 1.1 that the runtime uses, as its binary interface is: names, layouts and numbers are
// those of the specification, so that no header has to be installed. Where one
// is, tests/vulkan_abi.cpp compares. Fields that nobody reads here are left out as `reserved`.
#pragma once

#include <cstddef>
#include <cstdint>

namespace diffrt::runtime::vulkan {

using VkFlags = std::uint32_t;
using VkBool32 = std::uint32_t;
using VkDeviceSize = std::uint64_t;
using VkInstance = struct VkInstance_T*;
using VkPhysicalDevice = struct VkPhysicalDevice_T*;
using VkDevice = struct VkDevice_T*;
using VkQueue = struct VkQueue_T*;
using VkCommandBuffer = struct VkCommandBuffer_T*;
using VkBuffer = struct VkBuffer_T*;
using VkDeviceMemory = struct VkDeviceMemory_T*;
using VkShaderModule = struct VkShaderModule_T*;
using VkPipeline = struct VkPipeline_T*;
using VkPipelineLayout = struct VkPipelineLayout_T*;
using VkPipelineCache = struct VkPipelineCache_T*;
using VkDescriptorSetLayout = struct VkDescriptorSetLayout_T*;
using VkDescriptorPool = struct VkDescriptorPool_T*;
using VkDescriptorSet = struct VkDescriptorSet_T*;
using VkCommandPool = struct VkCommandPool_T*;
using VkFence = struct VkFence_T*;
using VkQueryPool = struct VkQueryPool_T*;

enum VkResult : std::int32_t {
  VK_SUCCESS = 0,
  VK_NOT_READY = 1,
  VK_TIMEOUT = 2,
  VK_INCOMPLETE = 5,
  VK_ERROR_OUT_OF_HOST_MEMORY = -1,
  VK_ERROR_OUT_OF_DEVICE_MEMORY = -2,
  VK_ERROR_INITIALIZATION_FAILED = -3,
  VK_ERROR_DEVICE_LOST = -4,
  VK_ERROR_LAYER_NOT_PRESENT = -6,
  VK_ERROR_EXTENSION_NOT_PRESENT = -7,
  VK_ERROR_FEATURE_NOT_PRESENT = -8,
  VK_ERROR_INCOMPATIBLE_DRIVER = -9,
  VK_ERROR_TOO_MANY_OBJECTS = -10,
};

enum VkStructureType : std::int32_t {
  VK_STRUCTURE_TYPE_APPLICATION_INFO = 0,
  VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO = 1,
  VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO = 2,
  VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO = 3,
  VK_STRUCTURE_TYPE_SUBMIT_INFO = 4,
  VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO = 5,
  VK_STRUCTURE_TYPE_FENCE_CREATE_INFO = 8,
  VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO = 11,
  VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO = 12,
  VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO = 16,
  VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO = 17,
  VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO = 18,
  VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO = 29,
  VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO = 30,
  VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO = 32,
  VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO = 33,
  VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO = 34,
  VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET = 35,
  VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO = 39,
  VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO = 40,
  VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO = 42,
  VK_STRUCTURE_TYPE_MEMORY_BARRIER = 46,
  VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2 = 1000059001,
  VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES = 1000196000,
  VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FLOAT_CONTROLS_PROPERTIES = 1000197000,
};

enum VkPhysicalDeviceType : std::int32_t {
  VK_PHYSICAL_DEVICE_TYPE_OTHER = 0,
  VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU = 1,
  VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU = 2,
  VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU = 3,
  VK_PHYSICAL_DEVICE_TYPE_CPU = 4,
};
enum VkDescriptorType : std::int32_t {
  VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER = 6,
  VK_DESCRIPTOR_TYPE_STORAGE_BUFFER = 7,
};
enum VkPipelineBindPoint : std::int32_t { VK_PIPELINE_BIND_POINT_COMPUTE = 1 };
enum VkCommandBufferLevel : std::int32_t { VK_COMMAND_BUFFER_LEVEL_PRIMARY = 0 };
enum VkSharingMode : std::int32_t { VK_SHARING_MODE_EXCLUSIVE = 0 };
enum VkQueryType : std::int32_t { VK_QUERY_TYPE_TIMESTAMP = 2 };

inline constexpr VkFlags VK_QUEUE_GRAPHICS_BIT = 1, VK_QUEUE_COMPUTE_BIT = 2;
inline constexpr VkFlags VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT = 1, VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT = 2,
                         VK_MEMORY_PROPERTY_HOST_COHERENT_BIT = 4, VK_MEMORY_PROPERTY_HOST_CACHED_BIT = 8;
inline constexpr VkFlags VK_MEMORY_HEAP_DEVICE_LOCAL_BIT = 1;
inline constexpr VkFlags VK_BUFFER_USAGE_TRANSFER_SRC_BIT = 1, VK_BUFFER_USAGE_TRANSFER_DST_BIT = 2,
                         VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT = 0x10, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT = 0x20;
inline constexpr VkFlags VK_SHADER_STAGE_COMPUTE_BIT = 0x20;
inline constexpr VkFlags VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT = 1, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT = 0x800,
                         VK_PIPELINE_STAGE_TRANSFER_BIT = 0x1000,
                         VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT = 0x2000, VK_PIPELINE_STAGE_HOST_BIT = 0x4000;
inline constexpr VkFlags VK_ACCESS_UNIFORM_READ_BIT = 8, VK_ACCESS_SHADER_READ_BIT = 0x20,
                         VK_ACCESS_SHADER_WRITE_BIT = 0x40, VK_ACCESS_TRANSFER_READ_BIT = 0x800,
                         VK_ACCESS_TRANSFER_WRITE_BIT = 0x1000, VK_ACCESS_HOST_READ_BIT = 0x2000;
inline constexpr VkFlags VK_QUERY_RESULT_64_BIT = 1, VK_QUERY_RESULT_WAIT_BIT = 2;

constexpr std::uint32_t vulkan_version(std::uint32_t major, std::uint32_t minor) {
  return major << 22 | minor << 12;
}

struct VkApplicationInfo {
  VkStructureType sType;
  const void* pNext;
  const char* pApplicationName;
  std::uint32_t applicationVersion;
  const char* pEngineName;
  std::uint32_t engineVersion;
  std::uint32_t apiVersion;
};
struct VkInstanceCreateInfo {
  VkStructureType sType;
  const void* pNext;
  VkFlags flags;
  const VkApplicationInfo* pApplicationInfo;
  std::uint32_t enabledLayerCount;
  const char* const* ppEnabledLayerNames;
  std::uint32_t enabledExtensionCount;
  const char* const* ppEnabledExtensionNames;
};
struct VkPhysicalDeviceLimits {
  std::uint32_t reserved_0[6];
  std::uint32_t maxUniformBufferRange;
  std::uint32_t maxStorageBufferRange;
  std::uint32_t reserved_32[11];
  std::uint32_t maxPerStageDescriptorStorageBuffers;
  std::uint32_t reserved_80[35];
  std::uint32_t maxComputeWorkGroupCount[3];
  std::uint32_t maxComputeWorkGroupInvocations;
  std::uint32_t maxComputeWorkGroupSize[3];
  std::uint32_t reserved_248[18];
  VkDeviceSize minUniformBufferOffsetAlignment;
  VkDeviceSize minStorageBufferOffsetAlignment;
  std::uint32_t reserved_336[22];
  float timestampPeriod;
  VkDeviceSize reserved_432[9];
};
struct VkPhysicalDeviceProperties {
  std::uint32_t apiVersion;
  std::uint32_t driverVersion;
  std::uint32_t vendorID;
  std::uint32_t deviceID;
  VkPhysicalDeviceType deviceType;
  char deviceName[256];
  std::uint8_t pipelineCacheUUID[16];
  VkPhysicalDeviceLimits limits;
  VkBool32 sparseProperties[5];
};
struct VkPhysicalDeviceProperties2 {
  VkStructureType sType;
  void* pNext;
  VkPhysicalDeviceProperties properties;
};
struct VkPhysicalDeviceDriverProperties {
  VkStructureType sType;
  void* pNext;
  std::int32_t driverID;
  char driverName[256];
  char driverInfo[256];
  std::uint8_t conformanceVersion[4];
};
struct VkPhysicalDeviceFloatControlsProperties {
  VkStructureType sType;
  void* pNext;
  std::int32_t denormBehaviorIndependence;
  std::int32_t roundingModeIndependence;
  VkBool32 shaderSignedZeroInfNanPreserveFloat16;
  VkBool32 shaderSignedZeroInfNanPreserveFloat32;
  VkBool32 others[13];
};
struct VkExtensionProperties {
  char extensionName[256];
  std::uint32_t specVersion;
};
struct VkMemoryType {
  VkFlags propertyFlags;
  std::uint32_t heapIndex;
};
struct VkMemoryHeap {
  VkDeviceSize size;
  VkFlags flags;
};
struct VkPhysicalDeviceMemoryProperties {
  std::uint32_t memoryTypeCount;
  VkMemoryType memoryTypes[32];
  std::uint32_t memoryHeapCount;
  VkMemoryHeap memoryHeaps[16];
};
struct VkQueueFamilyProperties {
  VkFlags queueFlags;
  std::uint32_t queueCount;
  std::uint32_t timestampValidBits;
  std::uint32_t minImageTransferGranularity[3];
};
struct VkDeviceQueueCreateInfo {
  VkStructureType sType;
  const void* pNext;
  VkFlags flags;
  std::uint32_t queueFamilyIndex;
  std::uint32_t queueCount;
  const float* pQueuePriorities;
};
struct VkDeviceCreateInfo {
  VkStructureType sType;
  const void* pNext;
  VkFlags flags;
  std::uint32_t queueCreateInfoCount;
  const VkDeviceQueueCreateInfo* pQueueCreateInfos;
  std::uint32_t enabledLayerCount;
  const char* const* ppEnabledLayerNames;
  std::uint32_t enabledExtensionCount;
  const char* const* ppEnabledExtensionNames;
  const void* pEnabledFeatures;
};
struct VkBufferCreateInfo {
  VkStructureType sType;
  const void* pNext;
  VkFlags flags;
  VkDeviceSize size;
  VkFlags usage;
  VkSharingMode sharingMode;
  std::uint32_t queueFamilyIndexCount;
  const std::uint32_t* pQueueFamilyIndices;
};
struct VkMemoryRequirements {
  VkDeviceSize size;
  VkDeviceSize alignment;
  std::uint32_t memoryTypeBits;
};
struct VkMemoryAllocateInfo {
  VkStructureType sType;
  const void* pNext;
  VkDeviceSize allocationSize;
  std::uint32_t memoryTypeIndex;
};
struct VkShaderModuleCreateInfo {
  VkStructureType sType;
  const void* pNext;
  VkFlags flags;
  std::size_t codeSize;
  const std::uint32_t* pCode;
};
struct VkPipelineCacheCreateInfo {
  VkStructureType sType;
  const void* pNext;
  VkFlags flags;
  std::size_t initialDataSize;
  const void* pInitialData;
};
struct VkPipelineShaderStageCreateInfo {
  VkStructureType sType;
  const void* pNext;
  VkFlags flags;
  VkFlags stage;
  VkShaderModule module;
  const char* pName;
  const void* pSpecializationInfo;
};
struct VkComputePipelineCreateInfo {
  VkStructureType sType;
  const void* pNext;
  VkFlags flags;
  VkPipelineShaderStageCreateInfo stage;
  VkPipelineLayout layout;
  VkPipeline basePipelineHandle;
  std::int32_t basePipelineIndex;
};
struct VkDescriptorSetLayoutBinding {
  std::uint32_t binding;
  VkDescriptorType descriptorType;
  std::uint32_t descriptorCount;
  VkFlags stageFlags;
  const void* pImmutableSamplers;
};
struct VkDescriptorSetLayoutCreateInfo {
  VkStructureType sType;
  const void* pNext;
  VkFlags flags;
  std::uint32_t bindingCount;
  const VkDescriptorSetLayoutBinding* pBindings;
};
struct VkPipelineLayoutCreateInfo {
  VkStructureType sType;
  const void* pNext;
  VkFlags flags;
  std::uint32_t setLayoutCount;
  const VkDescriptorSetLayout* pSetLayouts;
  std::uint32_t pushConstantRangeCount;
  const void* pPushConstantRanges;
};
struct VkDescriptorPoolSize {
  VkDescriptorType type;
  std::uint32_t descriptorCount;
};
struct VkDescriptorPoolCreateInfo {
  VkStructureType sType;
  const void* pNext;
  VkFlags flags;
  std::uint32_t maxSets;
  std::uint32_t poolSizeCount;
  const VkDescriptorPoolSize* pPoolSizes;
};
struct VkDescriptorSetAllocateInfo {
  VkStructureType sType;
  const void* pNext;
  VkDescriptorPool descriptorPool;
  std::uint32_t descriptorSetCount;
  const VkDescriptorSetLayout* pSetLayouts;
};
struct VkDescriptorBufferInfo {
  VkBuffer buffer;
  VkDeviceSize offset;
  VkDeviceSize range;
};
struct VkWriteDescriptorSet {
  VkStructureType sType;
  const void* pNext;
  VkDescriptorSet dstSet;
  std::uint32_t dstBinding;
  std::uint32_t dstArrayElement;
  std::uint32_t descriptorCount;
  VkDescriptorType descriptorType;
  const void* pImageInfo;
  const VkDescriptorBufferInfo* pBufferInfo;
  const void* pTexelBufferView;
};
struct VkCommandPoolCreateInfo {
  VkStructureType sType;
  const void* pNext;
  VkFlags flags;
  std::uint32_t queueFamilyIndex;
};
struct VkCommandBufferAllocateInfo {
  VkStructureType sType;
  const void* pNext;
  VkCommandPool commandPool;
  VkCommandBufferLevel level;
  std::uint32_t commandBufferCount;
};
struct VkCommandBufferBeginInfo {
  VkStructureType sType;
  const void* pNext;
  VkFlags flags;
  const void* pInheritanceInfo;
};
struct VkMemoryBarrier {
  VkStructureType sType;
  const void* pNext;
  VkFlags srcAccessMask;
  VkFlags dstAccessMask;
};
struct VkBufferCopy {
  VkDeviceSize srcOffset;
  VkDeviceSize dstOffset;
  VkDeviceSize size;
};
struct VkSubmitInfo {
  VkStructureType sType;
  const void* pNext;
  std::uint32_t waitSemaphoreCount;
  const void* pWaitSemaphores;
  const VkFlags* pWaitDstStageMask;
  std::uint32_t commandBufferCount;
  const VkCommandBuffer* pCommandBuffers;
  std::uint32_t signalSemaphoreCount;
  const void* pSignalSemaphores;
};
struct VkFenceCreateInfo {
  VkStructureType sType;
  const void* pNext;
  VkFlags flags;
};
struct VkQueryPoolCreateInfo {
  VkStructureType sType;
  const void* pNext;
  VkFlags flags;
  VkQueryType queryType;
  std::uint32_t queryCount;
  VkFlags pipelineStatistics;
};

// --- Functions: X(name, result, arguments). Allocation callbacks are always null here.

using Callbacks = const void*;
using AnyFunction = void (*)();

#define DIFFRT_VULKAN_GLOBAL_FUNCTIONS(X)                   \
  X(vkEnumerateInstanceVersion, VkResult, (std::uint32_t*)) \
  X(vkCreateInstance, VkResult, (const VkInstanceCreateInfo*, Callbacks, VkInstance*))

#define DIFFRT_VULKAN_INSTANCE_FUNCTIONS(X)                                                           \
  X(vkDestroyInstance, void, (VkInstance, Callbacks))                                                 \
  X(vkEnumeratePhysicalDevices, VkResult, (VkInstance, std::uint32_t*, VkPhysicalDevice*))            \
  X(vkGetPhysicalDeviceProperties, void, (VkPhysicalDevice, VkPhysicalDeviceProperties*))             \
  X(vkGetPhysicalDeviceProperties2, void, (VkPhysicalDevice, VkPhysicalDeviceProperties2*))           \
  X(vkGetPhysicalDeviceMemoryProperties, void, (VkPhysicalDevice, VkPhysicalDeviceMemoryProperties*)) \
  X(vkGetPhysicalDeviceQueueFamilyProperties, void,                                                   \
    (VkPhysicalDevice, std::uint32_t*, VkQueueFamilyProperties*))                                     \
  X(vkEnumerateDeviceExtensionProperties, VkResult,                                                   \
    (VkPhysicalDevice, const char*, std::uint32_t*, VkExtensionProperties*))                          \
  X(vkCreateDevice, VkResult, (VkPhysicalDevice, const VkDeviceCreateInfo*, Callbacks, VkDevice*))    \
  X(vkGetDeviceProcAddr, AnyFunction, (VkDevice, const char*))

#define DIFFRT_VULKAN_DEVICE_FUNCTIONS(X)                                                                    \
  X(vkDestroyDevice, void, (VkDevice, Callbacks))                                                            \
  X(vkDeviceWaitIdle, VkResult, (VkDevice))                                                                  \
  X(vkGetDeviceQueue, void, (VkDevice, std::uint32_t, std::uint32_t, VkQueue*))                              \
  X(vkCreateBuffer, VkResult, (VkDevice, const VkBufferCreateInfo*, Callbacks, VkBuffer*))                   \
  X(vkDestroyBuffer, void, (VkDevice, VkBuffer, Callbacks))                                                  \
  X(vkGetBufferMemoryRequirements, void, (VkDevice, VkBuffer, VkMemoryRequirements*))                        \
  X(vkAllocateMemory, VkResult, (VkDevice, const VkMemoryAllocateInfo*, Callbacks, VkDeviceMemory*))         \
  X(vkFreeMemory, void, (VkDevice, VkDeviceMemory, Callbacks))                                               \
  X(vkMapMemory, VkResult, (VkDevice, VkDeviceMemory, VkDeviceSize, VkDeviceSize, VkFlags, void**))          \
  X(vkBindBufferMemory, VkResult, (VkDevice, VkBuffer, VkDeviceMemory, VkDeviceSize))                        \
  X(vkCreateShaderModule, VkResult, (VkDevice, const VkShaderModuleCreateInfo*, Callbacks, VkShaderModule*)) \
  X(vkDestroyShaderModule, void, (VkDevice, VkShaderModule, Callbacks))                                      \
  X(vkCreatePipelineCache, VkResult,                                                                         \
    (VkDevice, const VkPipelineCacheCreateInfo*, Callbacks, VkPipelineCache*))                               \
  X(vkDestroyPipelineCache, void, (VkDevice, VkPipelineCache, Callbacks))                                    \
  X(vkCreateComputePipelines, VkResult,                                                                      \
    (VkDevice, VkPipelineCache, std::uint32_t, const VkComputePipelineCreateInfo*, Callbacks, VkPipeline*))  \
  X(vkDestroyPipeline, void, (VkDevice, VkPipeline, Callbacks))                                              \
  X(vkCreatePipelineLayout, VkResult,                                                                        \
    (VkDevice, const VkPipelineLayoutCreateInfo*, Callbacks, VkPipelineLayout*))                             \
  X(vkDestroyPipelineLayout, void, (VkDevice, VkPipelineLayout, Callbacks))                                  \
  X(vkCreateDescriptorSetLayout, VkResult,                                                                   \
    (VkDevice, const VkDescriptorSetLayoutCreateInfo*, Callbacks, VkDescriptorSetLayout*))                   \
  X(vkDestroyDescriptorSetLayout, void, (VkDevice, VkDescriptorSetLayout, Callbacks))                        \
  X(vkCreateDescriptorPool, VkResult,                                                                        \
    (VkDevice, const VkDescriptorPoolCreateInfo*, Callbacks, VkDescriptorPool*))                             \
  X(vkDestroyDescriptorPool, void, (VkDevice, VkDescriptorPool, Callbacks))                                  \
  X(vkAllocateDescriptorSets, VkResult, (VkDevice, const VkDescriptorSetAllocateInfo*, VkDescriptorSet*))    \
  X(vkUpdateDescriptorSets, void,                                                                            \
    (VkDevice, std::uint32_t, const VkWriteDescriptorSet*, std::uint32_t, const void*))                      \
  X(vkCreateCommandPool, VkResult, (VkDevice, const VkCommandPoolCreateInfo*, Callbacks, VkCommandPool*))    \
  X(vkDestroyCommandPool, void, (VkDevice, VkCommandPool, Callbacks))                                        \
  X(vkResetCommandPool, VkResult, (VkDevice, VkCommandPool, VkFlags))                                        \
  X(vkAllocateCommandBuffers, VkResult, (VkDevice, const VkCommandBufferAllocateInfo*, VkCommandBuffer*))    \
  X(vkBeginCommandBuffer, VkResult, (VkCommandBuffer, const VkCommandBufferBeginInfo*))                      \
  X(vkEndCommandBuffer, VkResult, (VkCommandBuffer))                                                         \
  X(vkCmdBindPipeline, void, (VkCommandBuffer, VkPipelineBindPoint, VkPipeline))                             \
  X(vkCmdBindDescriptorSets, void,                                                                           \
    (VkCommandBuffer, VkPipelineBindPoint, VkPipelineLayout, std::uint32_t, std::uint32_t,                   \
     const VkDescriptorSet*, std::uint32_t, const std::uint32_t*))                                           \
  X(vkCmdDispatch, void, (VkCommandBuffer, std::uint32_t, std::uint32_t, std::uint32_t))                     \
  X(vkCmdCopyBuffer, void, (VkCommandBuffer, VkBuffer, VkBuffer, std::uint32_t, const VkBufferCopy*))        \
  X(vkCmdFillBuffer, void, (VkCommandBuffer, VkBuffer, VkDeviceSize, VkDeviceSize, std::uint32_t))           \
  X(vkCmdPipelineBarrier, void,                                                                              \
    (VkCommandBuffer, VkFlags, VkFlags, VkFlags, std::uint32_t, const VkMemoryBarrier*, std::uint32_t,       \
     const void*, std::uint32_t, const void*))                                                               \
  X(vkCreateQueryPool, VkResult, (VkDevice, const VkQueryPoolCreateInfo*, Callbacks, VkQueryPool*))          \
  X(vkDestroyQueryPool, void, (VkDevice, VkQueryPool, Callbacks))                                            \
  X(vkCmdResetQueryPool, void, (VkCommandBuffer, VkQueryPool, std::uint32_t, std::uint32_t))                 \
  X(vkCmdWriteTimestamp, void, (VkCommandBuffer, VkFlags, VkQueryPool, std::uint32_t))                       \
  X(vkGetQueryPoolResults, VkResult,                                                                         \
    (VkDevice, VkQueryPool, std::uint32_t, std::uint32_t, std::size_t, void*, VkDeviceSize, VkFlags))        \
  X(vkCreateFence, VkResult, (VkDevice, const VkFenceCreateInfo*, Callbacks, VkFence*))                      \
  X(vkDestroyFence, void, (VkDevice, VkFence, Callbacks))                                                    \
  X(vkResetFences, VkResult, (VkDevice, std::uint32_t, const VkFence*))                                      \
  X(vkWaitForFences, VkResult, (VkDevice, std::uint32_t, const VkFence*, VkBool32, std::uint64_t))           \
  X(vkQueueSubmit, VkResult, (VkQueue, std::uint32_t, const VkSubmitInfo*, VkFence))

#define DIFFRT_DECLARE(name, result, arguments) result(*name) arguments = nullptr;
struct GlobalFunctions {
  DIFFRT_VULKAN_GLOBAL_FUNCTIONS(DIFFRT_DECLARE)
};
struct InstanceFunctions {
  DIFFRT_VULKAN_INSTANCE_FUNCTIONS(DIFFRT_DECLARE)
};
struct DeviceFunctions {
  DIFFRT_VULKAN_DEVICE_FUNCTIONS(DIFFRT_DECLARE)
};
#undef DIFFRT_DECLARE

}  // namespace diffrt::runtime::vulkan
