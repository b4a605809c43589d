#include "runtime/sequence.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace diffrt::runtime {
namespace {

std::size_t padded(std::size_t bytes) {
  return (bytes + array_alignment - 1) / array_alignment * array_alignment;
}

bool is_array(const Argument& argument) {
  return argument.type == ArgumentType::int32_array || argument.type == ArgumentType::float32_array;
}

// An array among a kernel's arguments on the CPU: kernels::Array<T>.
struct RawArray {
  std::int32_t size;
  void* data;
};
static_assert(sizeof(RawArray) == sizeof(kernels::Array<float>));

void check_size(const KernelCode& code, std::size_t size) {
  for (std::size_t i = 0; i < code.argument_count; ++i) {
    const Argument& argument = code.arguments[i];
    if (argument.offset + (is_array(argument) ? sizeof(RawArray) : 4) > size) {
      throw std::logic_error(std::string(code.name) + ": '" + argument.name +
                             "' lies beyond the arguments given: another kernel's?");
    }
  }
}

}  // namespace

Sequence::Sequence(std::shared_ptr<Device> device, bool arrays_by_address, std::uint32_t most_groups)
    : device_(std::move(device)), arrays_by_address_(arrays_by_address), most_groups_(most_groups) {}

void Sequence::check_recording() const {
  if (built_) throw std::logic_error("a sequence takes no more entries after finish()");
}

void Sequence::begin_group() {
  if (in_group_) throw std::logic_error("a parallel group holds no other");
  in_group_ = true;
  ++step_;
}

int Sequence::next_step() { return in_group_ ? step_ : ++step_; }

std::size_t Sequence::add_block(std::size_t bytes) {
  const std::size_t offset = recorded_.size();
  recorded_.resize(offset + padded(bytes));
  return offset;
}

Sequence::BoundArray Sequence::bind(const Argument& argument, const void* arguments) {
  RawArray raw;
  std::memcpy(&raw, static_cast<const unsigned char*>(arguments) + argument.offset, sizeof raw);
  BoundArray bound;
  bound.argument = &argument;
  bound.address = reinterpret_cast<Address>(raw.data);
  if (bound.address == 0) return bound;
  const std::size_t known = static_cast<std::size_t>(raw.size) * 4;
  bound.allocation = device_->find(bound.address, known);
  const std::size_t offset = bound.address - bound.allocation->address;
  bound.bytes = known > 0 ? known : bound.allocation->bytes - offset;
  if (bound.allocation->memory != Memory::external && offset % array_alignment != 0) {
    throw std::logic_error(std::string(argument.name) + ": a kernel's array must begin at a multiple of " +
                           std::to_string(array_alignment) + " bytes in its buffer, not at " +
                           std::to_string(offset));
  }
  return bound;
}

void Sequence::write_block(const LaunchEntry& launch, const void* arguments) {
  unsigned char* block = blocks() + launch.block;
  for (std::size_t i = 0; i < launch.code->argument_count; ++i) {
    const Argument& argument = launch.code->arguments[i];
    if (!is_array(argument)) {
      std::memcpy(block + argument.device_offset,
                  static_cast<const unsigned char*>(arguments) + argument.offset, 4);
    }
  }
  if (arrays_by_address_) {
    for (const BoundArray& bound : launch.arrays)
      std::memcpy(block + bound.argument->device_offset, &bound.address, sizeof bound.address);
  }
  touch(launch.block, launch.block + launch.code->argument_bytes);
}

void Sequence::write_bounds(const LaunchEntry& launch) {
  unsigned char* bounds = blocks() + launch.bounds;
  std::memcpy(bounds + launch.code->begin_offset, &launch.begin, 4);
  std::memcpy(bounds + launch.code->end_offset, &launch.end, 4);
  touch(launch.bounds, launch.bounds + std::max(launch.code->begin_offset, launch.code->end_offset) + 4);
}

void Sequence::touch(std::size_t begin, std::size_t end) {
  dirty_begin_ = dirty_end_ == 0 ? begin : std::min(dirty_begin_, begin);
  dirty_end_ = std::max(dirty_end_, end);
}

Sequence::Launch Sequence::add_launch(const KernelCode& code, const void* arguments, std::size_t size,
                                      const Bounds& bounds) {
  check_recording();
  check_size(code, size);
  device_->load(code);
  LaunchEntry launch;
  launch.code = &code;
  const std::size_t bounds_bytes = std::max(code.begin_offset, code.end_offset) + std::size_t{4};
  launch.begin = bounds.begin, launch.end = bounds.end;
  for (std::size_t i = 0; i < code.argument_count; ++i) {
    if (is_array(code.arguments[i])) launch.arrays.push_back(bind(code.arguments[i], arguments));
  }
  if (bounds.is_on_device()) {
    launch.bounds_address = bounds.place.address;
    launch.bounds_allocation = device_->find(launch.bounds_address, bounds_bytes);
    if ((launch.bounds_address - launch.bounds_allocation->address) % array_alignment != 0)
      throw std::logic_error(std::string(code.name) + ": bounds must begin at a multiple of " +
                             std::to_string(array_alignment) + " bytes in their buffer");
  }
  const auto most = static_cast<std::uint32_t>(std::max(bounds.most, 1));
  set_grid(launch, most);
  launch.block = add_block(code.argument_bytes);
  write_block(launch, arguments);
  if (!bounds.is_on_device()) {
    launch.bounds = add_block(bounds_bytes);
    write_bounds(launch);
  }
  launches_.push_back(std::move(launch));
  entries_.push_back({launches_.size() - 1, next_step()});
  return launches_.size() - 1;
}

void Sequence::set_grid(LaunchEntry& launch, std::uint32_t most) const {
  launch.threads = group_size(*launch.code, most);
  launch.groups = std::min((most - 1) / launch.threads + 1, most_groups_);
}

void Sequence::send_by(Launch launch) {
  check_recording();
  if (launch != 0 || entries_.size() != 1 || in_group_ || launches_[0].bounds_allocation != nullptr)
    throw std::logic_error("what sends arguments comes first, alone, with bounds of the host's");
  sender_ = launch;
}

Sequence::ArgumentWords Sequence::argument_words() const {
  if (argument_staging_ == nullptr) return {};
  const std::size_t words = argument_staging_->bytes / sizeof(std::int32_t);
  return {{argument_staging_->address, words}, {argument_memory_->address, words}};
}

void Sequence::add_copy(Address to, std::size_t to_bytes, Address from, std::size_t from_bytes) {
  check_recording();
  if (to_bytes != from_bytes) {
    throw std::logic_error("copy: " + std::to_string(from_bytes) + " bytes into " + std::to_string(to_bytes));
  }
  if (to_bytes == 0) return;
  CopyEntry copy{device_->find(to, to_bytes), device_->find(from, to_bytes), to, from, to_bytes};
  entries_.push_back({std::move(copy), next_step()});
}

void Sequence::add_fill(Address to, std::size_t count, std::uint32_t word) {
  check_recording();
  if (count == 0) return;
  entries_.push_back({FillEntry{device_->find(to, count * 4), to, count, word}, next_step()});
}

void Sequence::finish() {
  check_recording();
  if (in_group_) throw std::logic_error("finish() inside a parallel group");
  device_->check_usable();
  if (sender_) {
    LaunchEntry& launch = launches_[*sender_];
    launch.end =
        std::max(launch.end, launch.begin + static_cast<int>(recorded_.size() / sizeof(std::int32_t)));
    set_grid(launch, static_cast<std::uint32_t>(launch.end - launch.begin));
    write_bounds(launch);
  }
  if (!recorded_.empty()) make_argument_memory();
  build();
  built_ = true;
  recorded_ = {};
}

void Sequence::make_argument_memory() {
  argument_memory_ = device_->allocate(recorded_.size(), Memory::arguments);
  if (argument_memory_->host != nullptr) {
    mapped_ = argument_memory_->host;
  } else {
    argument_staging_ = device_->allocate(recorded_.size(), Memory::upload);
    mapped_ = argument_staging_->host;
  }
  std::memcpy(mapped_, recorded_.data(), recorded_.size());
}

void Sequence::update_arguments(Launch index, const void* arguments, std::size_t size) {
  LaunchEntry& launch = launches_.at(index);
  check_size(*launch.code, size);
  wait();
  bool changed = false;
  for (BoundArray& bound : launch.arrays) {
    RawArray raw;
    std::memcpy(&raw, static_cast<const unsigned char*>(arguments) + bound.argument->offset, sizeof raw);
    if (reinterpret_cast<Address>(raw.data) == bound.address) continue;
    bound = bind(*bound.argument, arguments);
    changed = true;
  }
  write_block(launch, arguments);
  if (changed && built_) rebind(index);
}

void Sequence::update_bounds(Launch index, int begin, int end) {
  LaunchEntry& launch = launches_.at(index);
  if (launch.bounds_allocation != nullptr)
    throw std::logic_error(std::string(launch.code->name) + ": its bounds are the device's to write");
  wait();
  launch.begin = begin, launch.end = end;
  write_bounds(launch);
}

void Sequence::run(Stream stream) {
  if (!built_) throw std::logic_error("run() before finish()");
  device_->check_usable();
  submit(stream);
  running_ = true;
}

void Sequence::wait() {
  if (!running_) return;
  running_ = false;  // also if it fails: then there is nothing left to wait for
  device_->check_usable();
  wait_for_run();
}

double Sequence::seconds() {
  if (!measured_) throw std::logic_error("seconds() without measure()");
  wait();
  return measured_seconds();
}

void Sequence::wait_in_destructor() noexcept {
  try {
    wait();
  } catch (...) {  // a lost device: nothing runs there any more
  }
}

}  // namespace diffrt::runtime
