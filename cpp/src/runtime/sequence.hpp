// A recorded list of launches, copies and fills that a GPU replays: one CUDA graph, one Vulkan command
// buffer.
//
//   auto sequence = device.make_sequence();
//   sequence->copy(theta_device, theta_pinned);
//   const auto prepare = sequence->launch(device.kernels().prepare_vertices, arguments, Bounds::range(0,
//   count)); { auto group = sequence->parallel(); sequence->launch(...); sequence->launch(...); }
//   sequence->copy(H_pinned, H_device);
//   sequence->finish();
//   for (;;) { write theta_pinned.host(); sequence->run(); sequence->wait(); read H_pinned.host(); }
//
// Each entry begins when those before it have ended, and sees what they wrote; entries of one parallel group
// do not wait for each other. Sequences of one device run in the order of their run() (on CUDA: where they
// are given the same stream). All memory that is named stays alive as long as the sequence.
//
// Arguments lie in the device's memory, written at finish(). What changes between runs goes there by
// update(), which the next run() sends along. run, wait and update allocate nothing.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "runtime/device.hpp"

namespace diffrt::runtime {

// The range a kernel runs over.
struct Bounds {
  int begin = 0, end = 0;           // where the host knows them
  DeviceArray<std::int32_t> place;  // where a kernel writes them: at the code's begin_offset and end_offset
  int most = 0;                     // threads to start: if there are more to do, some do several

  static Bounds range(int begin, int end) { return {begin, end, {}, end - begin}; }
  // For bounds that update() changes: `most` as large as they may become.
  static Bounds range(int begin, int end, int most) { return {begin, end, {}, most}; }
  static Bounds on_device(DeviceArray<std::int32_t> place, int most) { return {0, 0, place, most}; }
  bool is_on_device() const { return place.size > 0; }
};

class Sequence {
 public:
  using Launch = std::size_t;  // which of the launches, from 0
  virtual ~Sequence() = default;
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  // Recording. The arguments' arrays are device arrays (array() of them). Throws std::logic_error for arrays
  // that are none of this device's.
  template <class Arguments>
  Launch launch(kernels::DeviceKernel<Arguments> kernel, const Arguments& arguments, const Bounds& bounds) {
    return launch(*kernel.code, arguments, bounds);
  }
  // Any code, which must outlive the device.
  template <class Arguments>
  Launch launch(const KernelCode& code, Arguments arguments, const Bounds& bounds) {
    arguments.begin = bounds.begin, arguments.end = bounds.end;
    return add_launch(code, &arguments, sizeof arguments, bounds);
  }
  // From upload memory to the device's, from the device's to download memory, or within the device.
  template <class T>
  void copy(DeviceArray<T> to, DeviceArray<T> from) {
    add_copy(to.address, to.size * sizeof(T), from.address, from.size * sizeof(T));
  }
  // All elements become `value`.
  template <class T>
  void fill(DeviceArray<T> to, T value) {
    static_assert(sizeof(T) == 4);
    std::uint32_t word;
    std::memcpy(&word, &value, 4);
    add_fill(to.address, to.size, word);
  }
  // This launch, the first of all, copies what argument_words() says: run() then sends no other's arguments.
  void send_by(Launch launch);
  // Until the result goes out of scope, entries do not wait for each other.
  class Group {
   public:
    explicit Group(Sequence& sequence) : sequence_(sequence) { sequence_.begin_group(); }
    ~Group() { sequence_.in_group_ = false; }
    Group(const Group&) = delete;
    Group& operator=(const Group&) = delete;

   private:
    Sequence& sequence_;
  };
  [[nodiscard]] Group parallel() { return Group(*this); }
  // Before finish(): seconds() will tell how long the device took.
  void measure() { measured_ = true; }
  // Ends recording.
  void finish();

  // Replaying. The launch gets these arguments, its bounds stay; or it gets new bounds. Waits if it runs.
  template <class Arguments>
  void update(Launch launch, Arguments arguments) {
    arguments.begin = launches_.at(launch).begin, arguments.end = launches_.at(launch).end;
    update_arguments(launch, &arguments, sizeof arguments);
  }
  void update_bounds(Launch launch, int begin, int end);
  // Starts all of it. Waits first for its last run, where the device cannot queue it.
  void run(Stream stream = 0);
  // Until the last run has ended, and the host sees what it wrote.
  void wait();
  // Of the last run, on the device, after wait().
  double seconds();

  // Where update() writes arguments and where kernels read them; none before finish(), nor where that is the
  // same place.
  struct ArgumentWords {
    DeviceArray<std::int32_t> staged, arguments;
  };
  ArgumentWords argument_words() const;

  Device& device() const { return *device_; }
  std::size_t entries() const { return entries_.size(); }

 protected:
  struct BoundArray {
    const Argument* argument = nullptr;
    Address address = 0;
    std::size_t bytes = 0;
    std::shared_ptr<Allocation> allocation;  // null: the kernel is given no such array
  };
  struct LaunchEntry {
    const KernelCode* code = nullptr;
    std::size_t block = 0;   // of arguments: offset in blocks_
    std::size_t bounds = 0;  // there too, where they are the host's
    int begin = 0, end = 0;
    Address bounds_address = 0;  // where they are the device's
    std::shared_ptr<Allocation> bounds_allocation;
    std::uint32_t groups = 1, threads = 1;  // threads of a group
    std::vector<BoundArray> arrays;
  };
  struct CopyEntry {
    std::shared_ptr<Allocation> to, from;
    Address to_address = 0, from_address = 0;
    std::size_t bytes = 0;
  };
  struct FillEntry {
    std::shared_ptr<Allocation> to;
    Address address = 0;
    std::size_t count = 0;
    std::uint32_t word = 0;
  };
  struct Entry {
    std::variant<std::size_t, CopyEntry, FillEntry> what;  // a launch by its number
    int step = 0;                                          // entries of one step run side by side
  };

  Sequence(std::shared_ptr<Device> device, bool arrays_by_address, std::uint32_t most_groups);

  // How many threads of a launch make a group.
  virtual std::uint32_t group_size(const KernelCode& code, std::uint32_t) const { return code.block; }
  // Turns the entries into what the device replays.
  virtual void build() = 0;
  // The arrays of a launch have changed; arrays by address are in its argument block already.
  virtual void rebind(std::size_t launch) = 0;
  virtual void submit(Stream stream) = 0;
  virtual void wait_for_run() = 0;
  virtual double measured_seconds() = 0;
  // Of derived destructors, before they destroy what runs.
  void wait_in_destructor() noexcept;

  std::vector<Entry> entries_;
  std::vector<LaunchEntry> launches_;
  std::optional<Launch> sender_;  // of send_by
  bool measured_ = false, running_ = false;

  // Argument blocks and the host's bounds. blocks_ is what the host writes: a copy of argument_memory_ that
  // the next run sends, from dirty_begin_ to dirty_end_, or that memory itself.
  std::shared_ptr<Allocation> argument_memory_, argument_staging_;
  std::size_t dirty_begin_ = 0, dirty_end_ = 0;

 private:
  Launch add_launch(const KernelCode& code, const void* arguments, std::size_t size, const Bounds& bounds);
  void add_copy(Address to, std::size_t to_bytes, Address from, std::size_t from_bytes);
  void add_fill(Address to, std::size_t count, std::uint32_t word);
  void begin_group();
  int next_step();
  void check_recording() const;
  void update_arguments(Launch launch, const void* arguments, std::size_t size);
  BoundArray bind(const Argument& argument, const void* arguments);
  std::size_t add_block(std::size_t bytes);
  void make_argument_memory();
  void set_grid(LaunchEntry& launch, std::uint32_t most) const;
  void write_block(const LaunchEntry& launch, const void* arguments);
  void write_bounds(const LaunchEntry& launch);
  void touch(std::size_t begin, std::size_t end);
  unsigned char* blocks() { return built_ ? static_cast<unsigned char*>(mapped_) : recorded_.data(); }

  const std::shared_ptr<Device> device_;
  const bool arrays_by_address_;
  const std::uint32_t most_groups_;
  std::vector<unsigned char> recorded_;  // blocks, until they have memory of their own
  void* mapped_ = nullptr;
  bool built_ = false, in_group_ = false;
  int step_ = -1;
};

}  // namespace diffrt::runtime
