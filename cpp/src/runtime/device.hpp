// A GPU: its memory, its kernels, and sequences of launches that run on it. May be used by several threads;
// each sequence by one at a time.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "diffrt/errors.hpp"
#include "diffrt/info.hpp"
#include "runtime/device_memory.hpp"
#include "runtime/kernel_code.hpp"

namespace diffrt::runtime {

class Sequence;

enum class DeviceKind { cpu, cuda, vulkan };

// A CUDA stream (CUstream) of the caller: 1 is the legacy default stream, 2 the thread's own; 0 takes the
// device's.
using Stream = std::uintptr_t;

class Device : public std::enable_shared_from_this<Device> {
 public:
  virtual ~Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  DeviceKind kind() const { return kind_; }
  // What to ask for ("cuda:0"), its name, its driver, its memory.
  const DeviceDetails& details() const { return details_; }

  // Throws DeviceMemoryError. Contents are undefined. Size 0 gives an allocation that may be named.
  std::shared_ptr<Allocation> allocate(std::size_t bytes, Memory memory);
  // Memory that another library allocated on this device, which must outlive the result. cuda only.
  std::shared_ptr<Allocation> adopt(Address address, std::size_t bytes);

  // All kernels, as they are for this kind of device.
  const kernels::DeviceTable& kernels() const;

  virtual std::unique_ptr<Sequence> make_sequence() = 0;
  // Compiles a kernel now. Otherwise the first sequence that launches it does.
  virtual void load(const KernelCode& kernel) = 0;
  // A kernel that will not be launched again, and of which there are no more sequences: its code may go.
  virtual void forget(const KernelCode& kernel) noexcept = 0;

  // The handle of a stream: of the device's own for 0.
  virtual Stream handle(Stream stream) const { return stream; }
  // What comes on `later` from now on waits for what there is on `earlier` by now. cuda only.
  virtual void order(Stream later, Stream earlier);
  // Until the device has done all that it was given by now, by whoever shares it.
  virtual void synchronize() {}

  // The allocation that holds all of [address, address + bytes). Throws std::logic_error if none does.
  std::shared_ptr<Allocation> find(Address address, std::size_t bytes);

  // After an error that the driver does not recover from. Every later call throws DeviceLostError.
  bool lost() const { return lost_; }
  void mark_lost() { lost_ = true; }
  void check_usable() const;
  // In a child that fork() made the driver must be left alone, also by destructors, and so must locks.
  bool forked() const;

 protected:
  Device(DeviceKind kind, DeviceDetails details);

  // Sets address, host and owner of an allocation whose bytes (more than 0) and memory are set.
  virtual void allocate_memory(Allocation& allocation) = 0;
  virtual void free_memory(Allocation& allocation) noexcept = 0;
  virtual void check_external(Address address, std::size_t bytes) = 0;

 private:
  friend struct Allocation;
  void add(const std::shared_ptr<Allocation>& allocation);
  void release(Allocation& allocation) noexcept;

  const DeviceKind kind_;
  const DeviceDetails details_;
  const int generation_;
  std::atomic<bool> lost_{false};
  std::mutex mutex_;
  std::multimap<Address, std::weak_ptr<Allocation>> allocations_;
};

// `what`: a device, or a driver.
DeviceError opened_before_fork(const std::string& what);

// "1.5 GB"
std::string bytes_text(std::uint64_t bytes);

}  // namespace diffrt::runtime
