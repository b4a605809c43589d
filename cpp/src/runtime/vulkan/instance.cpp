#include "runtime/vulkan/instance.hpp"

#include <algorithm>
#include <mutex>

#include "diffrt/errors.hpp"
#include "runtime/device.hpp"
#include "runtime/fork.hpp"
#include "runtime/vulkan/errors.hpp"

namespace diffrt::runtime::vulkan {
namespace {

using GetInstanceProcAddr = AnyFunction (*)(VkInstance, const char*);

constexpr const char* how_to_get_a_driver =
    "Install the GPU vendor's driver, or Mesa's (Debian, Ubuntu: apt-get install libvulkan1 "
    "mesa-vulkan-drivers).";

std::string version_text(std::uint32_t version) {
  return "Vulkan " + std::to_string(version >> 22 & 0x7f) + "." + std::to_string(version >> 12 & 0x3ff);
}

bool has_extension(const InstanceFunctions& vk, VkPhysicalDevice device, const char* name) {
  std::uint32_t count = 0;
  vk.vkEnumerateDeviceExtensionProperties(device, nullptr, &count, nullptr);
  std::vector<VkExtensionProperties> extensions(count);
  vk.vkEnumerateDeviceExtensionProperties(device, nullptr, &count, extensions.data());
  extensions.resize(count);
  return std::any_of(extensions.begin(), extensions.end(), [name](const VkExtensionProperties& extension) {
    return std::string(extension.extensionName) == name;
  });
}

struct Shared {
  std::mutex mutex;
  std::weak_ptr<Instance> instance;
};
PerProcess<Shared> shared_instance;
UsedBy opened_by;

}  // namespace

std::shared_ptr<Instance> Instance::open() {
  Shared& shared = shared_instance.get();
  const std::lock_guard<std::mutex> lock(shared.mutex);
  std::shared_ptr<Instance> instance = shared.instance.lock();
  if (instance == nullptr) shared.instance = instance = std::shared_ptr<Instance>(new Instance);
  return instance;
}

Instance::Instance() : library_("libvulkan.so.1", "DIFFRT_VULKAN_LIBRARY") {
  const auto get = reinterpret_cast<GetInstanceProcAddr>(library_.symbol("vkGetInstanceProcAddr"));
  if (get == nullptr)
    throw DeviceError(library_.name() + " has no vkGetInstanceProcAddr: not a Vulkan loader");
  if (!opened_by.this_process()) throw opened_before_fork("Vulkan");
  GlobalFunctions global;
#define DIFFRT_LOAD(name, result, arguments) \
  global.name = reinterpret_cast<result(*) arguments>(get(nullptr, #name));
  DIFFRT_VULKAN_GLOBAL_FUNCTIONS(DIFFRT_LOAD)
#undef DIFFRT_LOAD
  std::uint32_t loader_version = vulkan_version(1, 0);
  if (global.vkEnumerateInstanceVersion != nullptr) global.vkEnumerateInstanceVersion(&loader_version);
  if (loader_version < vulkan_version(1, 1) || global.vkCreateInstance == nullptr)
    throw DeviceError(library_.name() + " is of " + version_text(loader_version) +
                      "; 1.1 is needed. Update it.");

  const VkApplicationInfo application{
      VK_STRUCTURE_TYPE_APPLICATION_INFO, nullptr, "diffrt_aot", 0, "diffrt_aot", 0, vulkan_version(1, 1)};
  VkInstanceCreateInfo info{};
  info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
  info.pApplicationInfo = &application;
  const VkResult created = global.vkCreateInstance(&info, nullptr, &handle_);
  if (created != VK_SUCCESS) {
    throw DeviceError(library_.name() + " is there, but no Vulkan driver works (" + result_text(created) +
                      "). " + how_to_get_a_driver +
                      " VK_DRIVER_FILES, if set, must name a driver that is there.");
  }
#define DIFFRT_LOAD(name, result, arguments) \
  functions_.name = reinterpret_cast<result(*) arguments>(get(handle_, #name));
  DIFFRT_VULKAN_INSTANCE_FUNCTIONS(DIFFRT_LOAD)
#undef DIFFRT_LOAD

  try {
    std::uint32_t count = 0;
    VkResult result = functions_.vkEnumeratePhysicalDevices(handle_, &count, nullptr);
    std::vector<VkPhysicalDevice> handles(count);
    if (result == VK_SUCCESS && count > 0)
      result = functions_.vkEnumeratePhysicalDevices(handle_, &count, handles.data());
    if (result != VK_SUCCESS) throw DeviceError("Vulkan does not list its devices: " + result_text(result));
    if (count == 0) throw DeviceError(std::string("Vulkan finds no device. ") + how_to_get_a_driver);
    for (std::size_t i = 0; i < count; ++i) devices_.push_back(describe(handles[i], i));
  } catch (...) {
    functions_.vkDestroyInstance(handle_, nullptr);
    throw;
  }
}

Instance::~Instance() { functions_.vkDestroyInstance(handle_, nullptr); }

PhysicalDevice Instance::describe(VkPhysicalDevice handle, std::size_t index) const {
  PhysicalDevice device;
  device.handle = handle;
  VkPhysicalDeviceDriverProperties driver{};
  driver.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES;
  VkPhysicalDeviceFloatControlsProperties floats{};
  floats.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FLOAT_CONTROLS_PROPERTIES;
  functions_.vkGetPhysicalDeviceProperties(handle, &device.properties);
  const std::uint32_t version = device.properties.apiVersion;
  if (version >= vulkan_version(1, 1)) {
    VkPhysicalDeviceProperties2 properties{};
    properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
    if (has_extension(functions_, handle, float_controls)) properties.pNext = &floats;
    if (version >= vulkan_version(1, 2)) driver.pNext = properties.pNext, properties.pNext = &driver;
    functions_.vkGetPhysicalDeviceProperties2(handle, &properties);
  }
  functions_.vkGetPhysicalDeviceMemoryProperties(handle, &device.memory);

  DeviceDetails& details = device.details;
  details.device = "vulkan:" + std::to_string(index);
  details.name = device.properties.deviceName;
  details.driver = version_text(version);
  if (driver.driverInfo[0] != '\0') details.driver += std::string(", ") + driver.driverInfo;
  details.software = device.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
  for (std::uint32_t h = 0; h < device.memory.memoryHeapCount; ++h) {
    const VkMemoryHeap& heap = device.memory.memoryHeaps[h];
    if ((heap.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0)
      details.memory = std::max(details.memory, heap.size);
  }

  // A queue family for computing alone, where there is one: graphics do not wait for it, nor it for them.
  std::uint32_t count = 0;
  functions_.vkGetPhysicalDeviceQueueFamilyProperties(handle, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  functions_.vkGetPhysicalDeviceQueueFamilyProperties(handle, &count, families.data());
  bool found = false;
  for (std::uint32_t f = 0; f < count; ++f) {
    const VkFlags flags = families[f].queueFlags;
    if ((flags & VK_QUEUE_COMPUTE_BIT) == 0 || (found && (flags & VK_QUEUE_GRAPHICS_BIT) != 0)) continue;
    const bool first = !found;
    found = true;
    if (!first && (families[device.queue_family].queueFlags & VK_QUEUE_GRAPHICS_BIT) == 0) continue;
    device.queue_family = f;
    device.has_timestamps = families[f].timestampValidBits > 0;
  }

  const VkPhysicalDeviceLimits& limits = device.properties.limits;
  if (version < vulkan_version(1, 1)) {
    device.problem = "its driver is of " + version_text(version) + "; 1.1 is needed. Update it.";
  } else if (!found) {
    device.problem = "it has no queue for computing";
  } else if (floats.shaderSignedZeroInfNanPreserveFloat32 == 0) {
    device.problem = std::string("its driver does not promise to mind NaN (") + float_controls +
                     ", shaderSignedZeroInfNanPreserveFloat32). Update it.";
  } else if (limits.minStorageBufferOffsetAlignment > array_alignment ||
             limits.minUniformBufferOffsetAlignment > array_alignment) {
    device.problem = "it aligns buffers to more than " + std::to_string(array_alignment) + " bytes";
  }
  return device;
}

}  // namespace diffrt::runtime::vulkan
