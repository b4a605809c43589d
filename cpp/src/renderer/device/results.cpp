#include "renderer/device/results.hpp"

#include <algorithm>
#include <cstring>

#include "diffrt/errors.hpp"
#include "runtime/sequence.hpp"

namespace diffrt::renderer::gpu {
namespace {

using runtime::DeviceBuffer;
using runtime::Memory;

// A loop that binds the next result to the same name holds the last one while it computes the next.
constexpr std::size_t most_idle_of_a_size = 2, most_idle = 6;
// The legacy default stream, which is always there.
constexpr runtime::Stream legacy = 1;
// What is pinned on the host for copies, at most [bytes].
constexpr std::size_t host_piece = std::size_t{16} << 20;

}  // namespace

void Readers::add(runtime::Stream stream) {
  if (stream == 0) stream = several;
  runtime::Stream known = nobody;
  if (!stream_.compare_exchange_strong(known, stream) && known != stream) stream_ = several;
}

Result::Result(std::shared_ptr<Results> home, DeviceBuffer<unsigned char> memory, const Readers& readers)
    : home_(std::move(home)), memory_(std::move(memory)), readers_(readers) {}

Result::~Result() { home_->give_back(std::move(memory_), readers_); }

runtime::Device& Result::device() const { return *home_->device(); }

void Result::fetch(std::size_t offset, std::size_t bytes, void* out) const {
  device().check_usable();
  const std::lock_guard<std::mutex> lock(home_->host_mutex_);
  DeviceBuffer<unsigned char>& host = home_->host_;
  const std::size_t piece = std::min(bytes, host_piece);
  if (host.size() < piece) {
    host = {};
    host = {device(), piece, Memory::download};
  }
  for (std::size_t done = 0; done < bytes; done += piece) {
    const std::size_t count = std::min(piece, bytes - done);
    const auto sequence = device().make_sequence();
    sequence->copy(host.array().part(0, count), array<unsigned char>(offset + done, count));
    sequence->finish();
    sequence->run();
    sequence->wait();
    std::memcpy(static_cast<unsigned char*>(out) + done, host.host(), count);
  }
}

void Results::wait_for(Readers& readers, runtime::Stream stream) {
  if (readers.are_on(legacy)) return device_->order(stream, legacy);
  // Their streams may be gone by now; the device knows what is left of their work.
  device_->synchronize();
  readers = Readers();
}

std::shared_ptr<const Result> Results::take(std::size_t bytes, runtime::Stream stream) {
  device_->check_usable();
  stream = device_->handle(stream);
  DeviceBuffer<unsigned char> memory;
  Readers readers;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    // The newest of those whose readers need not be waited for, if there is one.
    auto found = idle_.end();
    for (auto i = idle_.begin(); i != idle_.end(); ++i) {
      const bool better = found == idle_.end() || i->readers.are_on(stream) || !found->readers.are_on(stream);
      if (i->bytes == bytes && better) found = i;
    }
    if (found != idle_.end()) {
      readers = found->readers;
      memory = std::move(found->memory);
      idle_.erase(found);
    }
  }
  if (!readers.are_on(stream)) wait_for(readers, stream);
  if (memory.size() == 0) {
    try {
      memory = {*device_, bytes};
    } catch (const DeviceMemoryError&) {
      std::vector<Idle> idle;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        idle.swap(idle_);
      }
      if (idle.empty()) throw;
      idle.clear();
      memory = {*device_, bytes};
    }
  }
  return std::make_shared<const Result>(shared_from_this(), std::move(memory), readers);
}

void Results::give_back(DeviceBuffer<unsigned char> memory, const Readers& readers) noexcept {
  if (device_->forked()) return;
  DeviceBuffer<unsigned char> oldest;  // freed after the lock is gone, as is what is not kept
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!open_ || memory.size() == 0) return;
  const std::size_t bytes = memory.size();
  const auto same = static_cast<std::size_t>(
      std::count_if(idle_.begin(), idle_.end(), [&](const Idle& idle) { return idle.bytes == bytes; }));
  if (same >= most_idle_of_a_size) return;
  try {
    if (idle_.size() >= most_idle) {
      oldest = std::move(idle_.front().memory);
      idle_.erase(idle_.begin());
    }
    idle_.push_back({bytes, std::move(memory), readers});
  } catch (...) {  // then it is freed
  }
}

void Results::close() {
  if (device_->forked()) return;
  std::vector<Idle> idle;
  const std::lock_guard<std::mutex> lock(mutex_);
  open_ = false;
  idle.swap(idle_);
}

}  // namespace diffrt::renderer::gpu
