#include "runtime/devices.hpp"

#include <map>
#include <mutex>

#include "runtime/vulkan/device.hpp"

namespace diffrt::runtime {
namespace {

constexpr const char* valid_names = "Valid: cpu, cuda, cuda:N, vulkan, vulkan:N, auto.";

// Open devices by name. Never destroyed: at the end of the process drivers may be gone before their users.
struct OpenDevices {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<Device>> by_name;
};
OpenDevices& open_devices() {
  static OpenDevices* const devices = new OpenDevices;
  return *devices;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::shared_ptr<Device> make_vulkan(int index) {
  std::shared_ptr<vulkan::Instance> instance;
  try {
    instance = vulkan::Instance::open();
  } catch (const DeviceError& error) {
    throw DeviceError("device: no Vulkan device: " + std::string(error.what()));
  }
  const std::vector<vulkan::PhysicalDevice>& devices = instance->devices();
  if (static_cast<std::size_t>(index) >= devices.size()) {
    std::vector<std::string> names;
    for (const vulkan::PhysicalDevice& device : devices)
      names.push_back(device.details.device + " (" + device.details.name + ")");
    throw DeviceError("device: there is no vulkan:" + std::to_string(index) + "; found " + joined(names) +
                      ".");
  }
  const vulkan::PhysicalDevice& device = devices[static_cast<std::size_t>(index)];
  if (!device.problem.empty()) {
    throw DeviceError("device: " + device.details.device + " (" + device.details.name +
                      ") cannot be used: " + device.problem);
  }
  return std::make_shared<vulkan::VulkanDevice>(instance, static_cast<std::size_t>(index));
}

}  // namespace

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
  if (choice.kind == DeviceKind::cpu) return nullptr;
  const std::string full =
      (choice.kind == DeviceKind::cuda ? "cuda:" : "vulkan:") + std::to_string(choice.index);
  OpenDevices& open = open_devices();
  const std::lock_guard<std::mutex> lock(open.mutex);
  std::shared_ptr<Device>& device = open.by_name[full];
  if (device == nullptr || device->lost()) device = make_vulkan(choice.index);
  return device;
}

void close_unused_devices() {
  std::vector<std::shared_ptr<Device>> unused;  // destroyed after the lock is gone
  OpenDevices& open = open_devices();
  const std::lock_guard<std::mutex> lock(open.mutex);
  for (auto i = open.by_name.begin(); i != open.by_name.end();) {
    if (i->second == nullptr || i->second.use_count() == 1) {
      unused.push_back(std::move(i->second));
      i = open.by_name.erase(i);
    } else {
      ++i;
    }
  }
}

}  // namespace diffrt::runtime
