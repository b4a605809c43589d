#include "renderer/device/staging.hpp"

#include <cstring>

namespace diffrt::renderer::gpu {

using runtime::DeviceArray;
using runtime::DeviceBuffer;

std::size_t Pieces::add_bytes(std::size_t bytes) {
  const std::size_t offset = bytes_;
  bytes_ += (bytes + runtime::array_alignment - 1) / runtime::array_alignment * runtime::array_alignment;
  return offset;
}

void Pieces::allocate(runtime::Device& device, runtime::Memory host_memory) {
  device_ = DeviceBuffer<unsigned char>(device, bytes_);
  host_ = DeviceBuffer<unsigned char>(device, bytes_, host_memory);
}

void Upload::stage() {
  for (const Source& source : sources_) {
    if (source.bytes > 0) std::memcpy(host_.host() + source.offset, source.data, source.bytes);
  }
}

void Upload::send(runtime::Sequence& sequence) const { sequence.copy(device_.array(), host_.array()); }

void Download::fetch_bytes(runtime::Sequence& sequence, std::size_t begin, std::size_t end) const {
  sequence.copy(host_.array().part(begin, end - begin), device_.array().part(begin, end - begin));
}

void Once::finish() {
  Upload upload;
  std::vector<Piece<unsigned char>> pieces;
  for (const Copy& copy : copies_) pieces.push_back(upload.add(copy.bytes.data(), copy.bytes.size()));
  upload.allocate(device_);
  upload.stage();
  const auto sequence = device_.make_sequence();
  upload.send(*sequence);
  for (std::size_t i = 0; i < copies_.size(); ++i)
    sequence->copy(DeviceArray<unsigned char>{copies_[i].to, copies_[i].bytes.size()},
                   upload.array(pieces[i]));
  sequence->finish();
  sequence->run();
  sequence->wait();
  copies_.clear();
}

}  // namespace diffrt::renderer::gpu
