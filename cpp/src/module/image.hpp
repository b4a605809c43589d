// Native code in memory from which it can be run, and which is never writable at the same time.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "diffrt/span.hpp"

namespace diffrt::module {

// anonymous: memory that is written, then made executable. Systems that forbid that (SELinux's execmem,
// systemd's MemoryDenyWriteExecute) may let a file in memory be mapped, `memory_file`, or the file itself,
// `file`, if it does not lie where nothing may be executed (noexec).
enum class MappedBy { anonymous, memory_file, file };
inline constexpr std::array<MappedBy, 3> every_way{MappedBy::anonymous, MappedBy::memory_file,
                                                   MappedBy::file};

class Image {
 public:
  // Tries the ways in turn. The code is the file's from `offset` on, a multiple of a page; descriptor -1:
  // there is no file. Throws ModuleError with the reason of each way.
  Image(Span<const unsigned char> code, int descriptor, std::size_t offset, const std::string& name,
        Span<const MappedBy> ways = every_way);
  ~Image();
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  const unsigned char* data() const { return data_; }
  std::size_t size() const { return size_; }
  MappedBy mapped_by() const { return mapped_by_; }

 private:
  const unsigned char* data_ = nullptr;
  const std::size_t size_;
  MappedBy mapped_by_ = MappedBy::anonymous;
};

}  // namespace diffrt::module
