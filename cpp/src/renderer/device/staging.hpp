// Numbers on their way between host and device: many small arrays at once.
#pragma once

#include <cstddef>
#include <vector>

#include "renderer/device/recording.hpp"

namespace diffrt::renderer::gpu {

// A piece of what goes up or comes down together.
template <class T>
struct Piece {
  std::size_t offset = 0;  // [bytes]
  std::size_t size = 0;
};

// Memory of the device, in pieces.
class Pieces {
 public:
  // Before memory is allocated.
  template <class T>
  Piece<T> add(std::size_t size) {
    return {add_bytes(size * sizeof(T)), size};
  }
  bool allocated() const { return device_.size() > 0; }

  template <class T>
  runtime::DeviceArray<T> array(const Piece<T>& piece) const {
    return {device_.array().address + piece.offset, piece.size};
  }
  // All of it, as kernels that do not care what it holds see it.
  runtime::DeviceArray<std::int32_t> words() const { return words_of(device_); }

 protected:
  std::size_t add_bytes(std::size_t bytes);
  static runtime::DeviceArray<std::int32_t> words_of(const runtime::DeviceBuffer<unsigned char>& memory) {
    return {memory.array().address, memory.size() / sizeof(std::int32_t)};
  }

  std::size_t bytes_ = 0;
  runtime::DeviceBuffer<unsigned char> device_;
};

// What is to be 0 when an evaluation begins: Upload::bring() sees to it.
class Zeros : public Pieces {
 public:
  void allocate(runtime::Device& device) { device_ = {device, bytes_}; }
};

// Arrays of the host that are sent before each evaluation.
class Upload : public Pieces {
 public:
  // `source` stays where it is.
  template <class T>
  Piece<T> add(const T* source, std::size_t size) {
    const Piece<T> piece = Pieces::add<T>(size);
    sources_.push_back({source, piece.offset, size * sizeof(T)});
    return piece;
  }
  void allocate(runtime::Device& device);
  // Copies what the sources hold now, for the next run of sequences that send it.
  void stage();
  void send(runtime::Sequence& sequence) const;
  // To be recorded first: sends it, and what has changed of other launches' arguments, by a kernel that
  // clears as well. A kernel waits longer for copies and fills than for another.
  void bring(Recording& recording, const kernels::DeviceTable& kernels, const Zeros& zeros) const;

 private:
  struct Source {
    const void* data;
    std::size_t offset, bytes;
  };
  std::vector<Source> sources_;
  runtime::DeviceBuffer<unsigned char> host_;
};

// What kernels write and the host reads after each evaluation.
class Download : public Pieces {
 public:
  void allocate(runtime::Device& device);
  // Without memory of the device: kernels write to the host's, which takes less time than a copy afterwards
  // if there is little. They may not read it, nor add to it.
  void allocate_on_host(runtime::Device& device);
  template <class T>
  T* host(const Piece<T>& piece) const {
    return reinterpret_cast<T*>(host_.host() + piece.offset);
  }
  std::size_t bytes() const { return bytes_; }
  // All from `first` to `last`, and what was added between them, unless it comes by itself.
  template <class T, class U>
  void fetch(runtime::Sequence& sequence, const Piece<T>& first, const Piece<U>& last) const {
    fetch_bytes(sequence, first.offset, last.offset + last.size * sizeof(U));
  }

 private:
  void fetch_bytes(runtime::Sequence& sequence, std::size_t begin, std::size_t end) const;

  runtime::DeviceBuffer<unsigned char> host_;
};

// Arrays that go up once: all together, by finish().
class Once {
 public:
  explicit Once(runtime::Device& device) : device_(device) {}
  template <class T>
  runtime::DeviceBuffer<T> send(const T* source, std::size_t size) {
    const runtime::DeviceBuffer<T> buffer(device_, size);
    const auto* bytes = reinterpret_cast<const unsigned char*>(source);
    copies_.push_back({buffer.array().address, {bytes, bytes + size * sizeof(T)}});
    return buffer;
  }
  template <class Container>
  auto send(const Container& source) {
    return send(source.data(), source.size());
  }
  void finish();

 private:
  struct Copy {
    runtime::Address to;
    std::vector<unsigned char> bytes;
  };
  runtime::Device& device_;
  std::vector<Copy> copies_;
};

}  // namespace diffrt::renderer::gpu
