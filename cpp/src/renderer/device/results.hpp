// Memory of results that stay on the device: given out, and taken back when nobody holds it any more.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "diffrt/device_array.hpp"
#include "runtime/device.hpp"

namespace diffrt::renderer::gpu {

class Results;

// Whose kernels may still be reading when the last owner lets go.
class Readers {
 public:
  void add(runtime::Stream stream);
  // Whether work on `stream` comes after all of theirs.
  bool are_on(runtime::Stream stream) const { return stream_ == nobody || stream_ == stream; }

  Readers() = default;
  Readers(const Readers& other) : stream_(other.stream_.load()) {}
  Readers& operator=(const Readers& other) {
    stream_ = other.stream_.load();
    return *this;
  }

 private:
  static constexpr runtime::Stream nobody = ~runtime::Stream{0}, several = nobody - 1;
  std::atomic<runtime::Stream> stream_{nobody};
};

// The memory of one result. Its last owner gives it back.
class Result {
 public:
  // `readers`: of what was there before.
  Result(std::shared_ptr<Results> home, runtime::DeviceBuffer<unsigned char> memory, const Readers& readers);
  ~Result();
  Result(const Result&) = delete;
  Result& operator=(const Result&) = delete;

  runtime::Device& device() const;
  Results& home() const { return *home_; }
  runtime::Address address() const { return memory_.array().address; }
  template <class T>
  runtime::DeviceArray<T> array(std::size_t offset, std::size_t size) const {
    return {address() + offset, size};
  }
  void used_on(runtime::Stream stream) const { readers_.add(stream); }

  // Blocks. `bytes` from `offset` on, to the host.
  void fetch(std::size_t offset, std::size_t bytes, void* out) const;

 private:
  const std::shared_ptr<Results> home_;
  runtime::DeviceBuffer<unsigned char> memory_;
  mutable Readers readers_;
};

// Where a renderer's results come from. It outlives the renderer as long as there are any.
class Results : public std::enable_shared_from_this<Results> {
 public:
  explicit Results(std::shared_ptr<runtime::Device> device) : device_(std::move(device)) {}

  // Memory that nobody reads when what is put on `stream` from now on writes there. Throws DeviceMemoryError.
  std::shared_ptr<const Result> take(std::size_t bytes, runtime::Stream stream);
  // The renderer is gone: what comes back is freed.
  void close();

  const std::shared_ptr<runtime::Device>& device() const { return device_; }

 private:
  friend class Result;
  struct Idle {
    std::size_t bytes;
    runtime::DeviceBuffer<unsigned char> memory;
    Readers readers;
  };
  // What is put on `stream` from now on comes after all that they do.
  void wait_for(Readers& readers, runtime::Stream stream);
  void give_back(runtime::DeviceBuffer<unsigned char> memory, const Readers& readers) noexcept;

  const std::shared_ptr<runtime::Device> device_;
  std::mutex mutex_;  // of what follows
  bool open_ = true;
  std::vector<Idle> idle_;  // the oldest first
  std::mutex host_mutex_;
  runtime::DeviceBuffer<unsigned char> host_;  // what fetch() copies to
};

}  // namespace diffrt::renderer::gpu
