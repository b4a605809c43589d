// A Vulkan driver that accepts everything and runs nothing, so that Taichi compiles for Vulkan on a machine
// with no GPU, no driver and no Vulkan headers. Built as libvulkan.so.1 by kernels/aot/stubs.py.
//
// It answers as a bare Vulkan 1.1 device would: no 64-bit numbers, no float atomics, no optional feature. So
// the SPIR-V asks for nothing that some device lacks. Structures are those of the Vulkan specification, cut
// down to what is used.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

using Handle = std::uintptr_t;
using Function = void (*)();

constexpr int success = 0;
constexpr std::uint32_t version_1_1 = 1u << 22 | 1u << 12;
constexpr std::size_t mapped_bytes = std::size_t{256} << 20;

struct ChainHeader {
  std::uint32_t type;
  const void* next;
};
struct ExtensionProperties {
  char name[256];
  std::uint32_t version;
};
struct QueueFamilyProperties {
  std::uint32_t flags, count, timestamp_bits, granularity[3];
};
struct Features {
  std::uint32_t enabled[55];
};
struct Features2 {
  ChainHeader header;
  Features features;
};
struct Limits {
  std::uint32_t before_storage_range[7];
  std::uint32_t storage_buffer_range;
  std::uint32_t push_constants;
  std::uint32_t memory_allocations;
  std::uint32_t sampler_allocations;
  std::uint64_t image_granularity;
  unsigned char before_storage_alignment[272];
  std::uint64_t storage_buffer_alignment;
  unsigned char before_timestamp_period[88];
  float timestamp_period;
  unsigned char before_atom_size[68];
  std::uint64_t atom_size;
};
static_assert(offsetof(Limits, storage_buffer_range) == 28 && offsetof(Limits, image_granularity) == 48);
static_assert(offsetof(Limits, storage_buffer_alignment) == 328 && offsetof(Limits, timestamp_period) == 424);
static_assert(offsetof(Limits, atom_size) == 496 && sizeof(Limits) == 504);
struct DeviceProperties {
  std::uint32_t api_version, driver_version, vendor, device, type;
  char name[256];
  unsigned char cache_uuid[16];
  Limits limits;
  std::uint32_t sparse[5];
};
static_assert(offsetof(DeviceProperties, limits) == 296 && sizeof(DeviceProperties) == 824);
struct DeviceProperties2 {
  ChainHeader header;
  DeviceProperties properties;
};
struct MemoryProperties {
  std::uint32_t type_count;
  struct {
    std::uint32_t flags, heap;
  } types[32];
  std::uint32_t heap_count;
  struct {
    std::uint64_t size;
    std::uint32_t flags;
  } heaps[16];
};
static_assert(sizeof(MemoryProperties) == 520);
struct MemoryProperties2 {
  ChainHeader header;
  MemoryProperties properties;
};
struct MemoryRequirements {
  std::uint64_t size, alignment;
  std::uint32_t types;
};
struct MemoryRequirements2 {
  ChainHeader header;
  MemoryRequirements requirements;
};
struct CommandBufferAllocateInfo {
  ChainHeader header;
  std::uint64_t pool;
  std::uint32_t level, count;
};
struct DescriptorSetAllocateInfo {
  ChainHeader header;
  std::uint64_t pool;
  std::uint32_t count;
  const void* layouts;
};

Handle new_handle() {
  static Handle next = 0x1000;
  return next += 16;
}

int accept() { return success; }

int create(const void*, const void*, Handle* out) { return *out = new_handle(), success; }
int create_of_device(void*, const void*, const void*, Handle* out) { return *out = new_handle(), success; }
int create_pipelines(void*, Handle, std::uint32_t count, const void*, const void*, Handle* out) {
  for (std::uint32_t k = 0; k < count; ++k) out[k] = new_handle();
  return success;
}

int instance_version(std::uint32_t* version) { return *version = version_1_1, success; }
int instance_extensions(const char*, std::uint32_t* count, void*) { return *count = 0, success; }
int instance_layers(std::uint32_t* count, void*) { return *count = 0, success; }

int physical_devices(void*, std::uint32_t* count, Handle* devices) {
  static const Handle only = new_handle();
  if (devices != nullptr) devices[0] = only;
  return *count = 1, success;
}
void queue_families(void*, std::uint32_t* count, QueueFamilyProperties* families) {
  *count = 1;
  if (families != nullptr) families[0] = {7, 1, 64, {1, 1, 1}};  // graphics, compute, transfer
}
void features(void*, Features* out) { *out = {}; }
void features2(void*, Features2* out) { out->features = {}; }
void properties(void*, DeviceProperties* out) {
  *out = {};
  out->api_version = version_1_1;
  out->type = 2;  // a GPU of its own
  std::strcpy(out->name, "cross-compile");
  out->limits.storage_buffer_range = 1u << 31;
  out->limits.memory_allocations = 4096;
  out->limits.image_granularity = 1;
  out->limits.storage_buffer_alignment = 16;
  out->limits.timestamp_period = 1;
  out->limits.atom_size = 64;
}
void properties2(void* device, DeviceProperties2* out) { properties(device, &out->properties); }
void memory(void*, MemoryProperties* out) {
  *out = {};
  out->type_count = 1;
  out->types[0].flags = 15;  // on the device, visible to the host, coherent, cached
  out->heap_count = 1;
  out->heaps[0].size = std::uint64_t{8} << 30;
  out->heaps[0].flags = 1;
}
void memory2(void* device, MemoryProperties2* out) { memory(device, &out->properties); }
int device_extensions(void*, const char*, std::uint32_t* count, ExtensionProperties* out) {
  *count = 1;
  if (out != nullptr) {
    *out = {};
    std::strcpy(out->name, "VK_KHR_storage_buffer_storage_class");
  }
  return success;
}

void queue(void*, std::uint32_t, std::uint32_t, Handle* out) { *out = new_handle(); }
int map(void*, Handle, std::uint64_t, std::uint64_t, std::uint32_t, void** out) {
  static void* const bytes = std::calloc(1, mapped_bytes);
  return *out = bytes, success;
}
void requirements(void*, Handle, MemoryRequirements* out) { *out = {std::uint64_t{64} << 20, 256, 1}; }
void requirements2(void*, const void*, MemoryRequirements2* out) {
  requirements(nullptr, 0, &out->requirements);
}
int command_buffers(void*, const CommandBufferAllocateInfo* info, Handle* out) {
  for (std::uint32_t k = 0; k < info->count; ++k) out[k] = new_handle();
  return success;
}
int descriptor_sets(void*, const DescriptorSetAllocateInfo* info, Handle* out) {
  for (std::uint32_t k = 0; k < info->count; ++k) out[k] = new_handle();
  return success;
}
int cache_data(void*, Handle, std::size_t* size, void*) { return *size = 0, success; }

struct Named {
  const char* name;
  Function function;
};

template <class F>
Named named(const char* name, F* function) {
  return {name, reinterpret_cast<Function>(function)};
}

}  // namespace

extern "C" Function vkGetInstanceProcAddr(void* instance, const char* name);

namespace {

Function of_device(void*, const char* name) { return vkGetInstanceProcAddr(nullptr, name); }

}  // namespace

extern "C" Function vkGetInstanceProcAddr(void*, const char* name) {
  static const Named table[] = {
      named("vkAllocateCommandBuffers", command_buffers),
      named("vkAllocateDescriptorSets", descriptor_sets),
      named("vkAllocateMemory", create_of_device),
      named("vkCreateComputePipelines", create_pipelines),
      named("vkCreateGraphicsPipelines", create_pipelines),
      named("vkCreateInstance", create),
      named("vkEnumerateDeviceExtensionProperties", device_extensions),
      named("vkEnumerateInstanceExtensionProperties", instance_extensions),
      named("vkEnumerateInstanceLayerProperties", instance_layers),
      named("vkEnumerateInstanceVersion", instance_version),
      named("vkEnumeratePhysicalDevices", physical_devices),
      named("vkGetBufferMemoryRequirements", requirements),
      named("vkGetBufferMemoryRequirements2", requirements2),
      named("vkGetBufferMemoryRequirements2KHR", requirements2),
      named("vkGetDeviceProcAddr", of_device),
      named("vkGetDeviceQueue", queue),
      named("vkGetImageMemoryRequirements", requirements),
      named("vkGetImageMemoryRequirements2", requirements2),
      named("vkGetInstanceProcAddr", vkGetInstanceProcAddr),
      named("vkGetPhysicalDeviceFeatures", features),
      named("vkGetPhysicalDeviceFeatures2", features2),
      named("vkGetPhysicalDeviceFeatures2KHR", features2),
      named("vkGetPhysicalDeviceMemoryProperties", memory),
      named("vkGetPhysicalDeviceMemoryProperties2", memory2),
      named("vkGetPhysicalDeviceMemoryProperties2KHR", memory2),
      named("vkGetPhysicalDeviceProperties", properties),
      named("vkGetPhysicalDeviceProperties2", properties2),
      named("vkGetPhysicalDeviceProperties2KHR", properties2),
      named("vkGetPhysicalDeviceQueueFamilyProperties", queue_families),
      named("vkGetPipelineCacheData", cache_data),
      named("vkMapMemory", map),
  };
  for (const Named& entry : table) {
    if (std::strcmp(entry.name, name) == 0) return entry.function;
  }
  // The others create something of a device, or nothing.
  return std::strncmp(name, "vkCreate", 8) == 0 ? reinterpret_cast<Function>(create_of_device)
                                                : reinterpret_cast<Function>(accept);
}
