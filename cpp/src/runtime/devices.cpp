#include "runtime/devices.hpp"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <utility>

#include "runtime/cuda/device.hpp"
#include "runtime/fork.hpp"
#include "runtime/isa.hpp"
#include "runtime/vulkan/device.hpp"

namespace diffrt::runtime {
namespace {

constexpr const char* valid_names = "Valid: cpu, cuda, cuda:N, vulkan, vulkan:N, auto.";

// Open devices by name. Never destroyed: at the end of the process drivers may be gone before their users.
struct OpenDevices {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<Device>> by_name;
};
PerProcess<OpenDevices> open_devices;

// In a child that fork() made it is never destroyed.
template <class D, class... Arguments>
std::shared_ptr<Device> make_shared_device(Arguments&&... arguments) {
  return std::shared_ptr<Device>(new D(std::forward<Arguments>(arguments)...), [](Device* device) {
    if (!device->forked()) delete device;
  });
}

// While a thread looks for devices, drivers are loaded and let go. fork() leaves the loader's lists half
// changed then, and a child that loads anything crashes.
std::atomic<int> looking{0};
std::atomic<bool> left_loading{false};
const int watched = pthread_atfork(nullptr, nullptr, [] {
  if (looking.exchange(0) > 0) left_loading = true;
});
class Looking {
 public:
  Looking() { ++looking; }
  ~Looking() { --looking; }
  Looking(const Looking&) = delete;
  Looking& operator=(const Looking&) = delete;
};

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// What was found of a kind, and why not more.
struct Found {
  std::vector<DeviceDetails> usable;
  std::vector<MissingDevice> missing;
  std::shared_ptr<const cuda::Driver> driver;
  std::shared_ptr<vulkan::Instance> instance;
};

Found find_cuda() {
  Found found;
  try {
    found.driver = cuda::Driver::open();
    for (int i = 0; i < found.driver->device_count(); ++i) found.usable.push_back(found.driver->details(i));
  } catch (const DeviceError& error) {
    found.missing.push_back({"cuda", error.what()});
  }
  return found;
}

Found find_vulkan() {
  Found found;
  try {
    found.instance = vulkan::Instance::open();
    for (const vulkan::PhysicalDevice& device : found.instance->devices()) {
      if (device.problem.empty()) {
        found.usable.push_back(device.details);
      } else {
        found.missing.push_back({device.details.device, device.details.name + ": " + device.problem});
      }
    }
  } catch (const DeviceError& error) {
    found.missing.push_back({"vulkan", error.what()});
  }
  return found;
}

Found find(DeviceKind kind) {
  if (!left_loading) return kind == DeviceKind::cuda ? find_cuda() : find_vulkan();
  Found found;
  const std::string name = kind == DeviceKind::cuda ? "cuda" : "vulkan";
  found.missing.push_back({name, opened_before_fork("a driver").what()});
  return found;
}

// Explains that there is no such device.
DeviceError absent(const std::string& name, const Found& found) {
  for (const MissingDevice& missing : found.missing) {
    if (missing.device == name || found.usable.empty())
      return DeviceError("device: '" + name + "' is not available: " + missing.reason);
  }
  std::vector<std::string> names;
  for (const DeviceDetails& details : found.usable)
    names.push_back(details.device + " (" + details.name + ")");
  return DeviceError("device: there is no '" + name + "'; found " + joined(names));
}

std::shared_ptr<Device> make_device(DeviceKind kind, int index, const std::string& name) {
  const Found found = find(kind);
  const bool there = std::any_of(found.usable.begin(), found.usable.end(),
                                 [&](const DeviceDetails& details) { return details.device == name; });
  if (!there) throw absent(name, found);
  if (kind == DeviceKind::cuda) return make_shared_device<cuda::CudaDevice>(found.driver, index);
  return make_shared_device<vulkan::VulkanDevice>(found.instance, static_cast<std::size_t>(index));
}

std::shared_ptr<Device> open_one(DeviceKind kind, int index) {
  const std::string name = (kind == DeviceKind::cuda ? "cuda:" : "vulkan:") + std::to_string(index);
  OpenDevices& open = open_devices.get();
  const std::lock_guard<std::mutex> lock(open.mutex);
  const auto known = open.by_name.find(name);
  if (known != open.by_name.end()) {
    if (!known->second->lost()) return known->second;
    open.by_name.erase(known);  // and opened anew
  }
  return open.by_name[name] = make_device(kind, index, name);
}

std::shared_ptr<Device> open_best() {
  for (const DeviceKind kind : {DeviceKind::cuda, DeviceKind::vulkan}) {
    const Found found = find(kind);
    for (const DeviceDetails& details : found.usable) {
      if (details.software) continue;
      try {
        return open_one(kind, parse_device(details.device).index);
      } catch (const DeviceError&) {  // the next one may do
      }
    }
  }
  return nullptr;
}

DeviceDetails cpu_details() {
  DeviceDetails details;
  details.device = "cpu";
  details.name = processor_name();
  details.driver = active_level().name;
  details.memory =
      static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return details;
}

}  // namespace

std::vector<DeviceDetails> usable_devices() {
  const Looking looking;
  std::vector<DeviceDetails> devices = {cpu_details()};
  for (const DeviceKind kind : {DeviceKind::cuda, DeviceKind::vulkan}) {
    const Found found = find(kind);
    devices.insert(devices.end(), found.usable.begin(), found.usable.end());
  }
  return devices;
}

std::vector<MissingDevice> missing_devices() {
  const Looking looking;
  std::vector<MissingDevice> missing;
  for (const DeviceKind kind : {DeviceKind::cuda, DeviceKind::vulkan}) {
    const Found found = find(kind);
    missing.insert(missing.end(), found.missing.begin(), found.missing.end());
  }
  return missing;
}

DeviceChoice parse_device(const std::string& name) {
  if (name == "auto") return {true, DeviceKind::cpu, 0};
  if (name == "cpu") return {};
  const auto wrong = [&](const std::string& why) {
    return DeviceError("device: '" + name + "' " + why + ". " + valid_names);
  };
  const std::size_t colon = name.find(':');
  const std::string kind = name.substr(0, colon);
  DeviceChoice choice;
  if (kind == "cuda") {
    choice.kind = DeviceKind::cuda;
  } else if (kind == "vulkan") {
    choice.kind = DeviceKind::vulkan;
  } else if (kind == "cpu") {
    throw wrong("has an index; the CPU is one device, its threads are set by `threads`");
  } else {
    throw wrong("is not a device");
  }
  if (colon == std::string::npos) return choice;
  const std::string index = name.substr(colon + 1);
  if (index.empty() || index.size() > 4 || index.find_first_not_of("0123456789") != std::string::npos)
    throw wrong("has no index after the colon, which counts from 0");
  choice.index = std::stoi(index);
  return choice;
}

std::shared_ptr<Device> open_device(const std::string& name) {
  const DeviceChoice choice = parse_device(name);
  if (!choice.automatic && choice.kind == DeviceKind::cpu) return nullptr;
  const Looking looking;
  return choice.automatic ? open_best() : open_one(choice.kind, choice.index);
}

void close_unused_devices() {
  const Looking looking;
  std::vector<std::shared_ptr<Device>> unused;  // destroyed after the lock is gone
  OpenDevices& open = open_devices.get();
  const std::lock_guard<std::mutex> lock(open.mutex);
  for (auto i = open.by_name.begin(); i != open.by_name.end();) {
    if (i->second.use_count() == 1) {
      unused.push_back(std::move(i->second));
      i = open.by_name.erase(i);
    } else {
      ++i;
    }
  }
}

}  // namespace diffrt::runtime
