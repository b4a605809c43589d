#include "renderer/device/staging.hpp"

#include <algorithm>
#include <cstring>

namespace diffrt::renderer::gpu {

using runtime::DeviceArray;
using runtime::DeviceBuffer;

std::size_t Pieces::add_bytes(std::size_t bytes) {
  const std::size_t offset = bytes_;
  bytes_ += (bytes + runtime::array_alignment - 1) / runtime::array_alignment * runtime::array_alignment;
  return offset;
}

void Upload::allocate(runtime::Device& device) {
  device_ = {device, bytes_};
  host_ = {device, bytes_, runtime::Memory::upload};
}

void Upload::stage() {
  for (const Source& source : sources_) {
    if (source.bytes > 0) std::memcpy(host_.host() + source.offset, source.data, source.bytes);
  }
}

void Upload::send(runtime::Sequence& sequence) const { sequence.copy(device_.array(), host_.array()); }

void Upload::bring(Recording& recording, const kernels::DeviceTable& kernels, const Zeros& zeros) const {
  const DeviceArray<std::int32_t> from = words_of(host_), to = words(), cleared = zeros.words();
  runtime::Sequence& sequence = recording.sequence();
  recording.launch(
      kernels.begin_evaluation, static_cast<int>(std::max(to.size, cleared.size)),
      [from, to, cleared, &sequence](auto& a) {
        const auto [staged, arguments] = sequence.argument_words();
        a.words = static_cast<std::int32_t>(to.size), a.zeros = static_cast<std::int32_t>(cleared.size);
        a.argument_words = static_cast<std::int32_t>(arguments.size);
        a.source = runtime::array(from), a.to = runtime::array(to), a.cleared = runtime::array(cleared);
        a.argument_source = runtime::array(staged), a.arguments = runtime::array(arguments);
      });
  sequence.send_by(0);
}

void Download::allocate(runtime::Device& device) {
  device_ = {device, bytes_};
  host_ = {device, bytes_, runtime::Memory::download};
}

void Download::allocate_on_host(runtime::Device& device) {
  host_ = {device, bytes_, runtime::Memory::download};
  device_ = host_;
}

void Download::fetch_bytes(runtime::Sequence& sequence, std::size_t begin, std::size_t end) const {
  if (device_.array().address == host_.array().address) return;
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
