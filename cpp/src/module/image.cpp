#include "module/image.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include <fcntl.h>

#include "diffrt/errors.hpp"
#include "module/file.hpp"

namespace diffrt::module {
namespace {

using Code = Span<const unsigned char>;

std::size_t whole_pages(std::size_t size) { return (size + page - 1) / page * page; }

// What a way gives: an address, or errno.
struct Mapped {
  void* address = nullptr;
  int fault = 0;
};

Mapped map_descriptor(int descriptor, std::size_t offset, std::size_t size) {
  void* const address = mmap(nullptr, whole_pages(size), PROT_READ | PROT_EXEC, MAP_PRIVATE, descriptor,
                             static_cast<off_t>(offset));
  return address == MAP_FAILED ? Mapped{nullptr, errno} : Mapped{address, 0};
}

Mapped map_anonymous(Code code) {
  const std::size_t size = whole_pages(code.size());
  void* const address = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) return {nullptr, errno};
  std::memcpy(address, code.data(), code.size());
  if (mprotect(address, size, PROT_READ | PROT_EXEC) == 0) return {address, 0};
  const int fault = errno;
  munmap(address, size);
  return {nullptr, fault};
}

int create_memory_file() {
  constexpr unsigned executable =
      0x10;  // MFD_EXEC, since Linux 6.3, where a setting may refuse what lacks it
  const int descriptor = memfd_create("diffrt model", MFD_CLOEXEC | MFD_ALLOW_SEALING | executable);
  if (descriptor >= 0 || errno != EINVAL) return descriptor;
  return memfd_create("diffrt model", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

Mapped map_memory_file(Code code) {
  const Descriptor file(create_memory_file());
  if (file.number() < 0) return {nullptr, errno};
  for (std::size_t done = 0; done < code.size();) {
    const ssize_t count = write(file.number(), code.data() + done, code.size() - done);
    if (count < 0 && errno != EINTR) return {nullptr, errno};
    if (count > 0) done += static_cast<std::size_t>(count);
  }
  // From here on nobody can write to it.
  if (fcntl(file.number(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
    return {nullptr, errno};
  return map_descriptor(file.number(), 0, code.size());
}

// Whether the file still is what was checked.
bool holds(int descriptor, std::size_t offset, Code code) {
  std::vector<unsigned char> part(std::min<std::size_t>(code.size(), 1 << 16));
  for (std::size_t done = 0; done < code.size();) {
    const ssize_t count = pread(descriptor, part.data(), std::min(part.size(), code.size() - done),
                                static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0 || std::memcmp(part.data(), code.data() + done, static_cast<std::size_t>(count)) != 0)
      return false;
    done += static_cast<std::size_t>(count);
  }
  return true;
}

}  // namespace

Image::Image(Code code, int descriptor, std::size_t offset, const std::string& name,
             Span<const MappedBy> ways)
    : size_(code.size()) {
  std::string reasons;
  for (const MappedBy way : ways) {
    Mapped mapped;
    const char* what = "";
    switch (way) {
      case MappedBy::anonymous:
        what = "memory of its own";
        mapped = map_anonymous(code);
        break;
      case MappedBy::memory_file:
        what = "a file in memory";
        mapped = map_memory_file(code);
        break;
      case MappedBy::file:
        if (descriptor < 0) continue;
        what = "the file itself";
        if (!holds(descriptor, offset, code))
          throw ModuleError(name + ": changed while it was read; load it again");
        mapped = map_descriptor(descriptor, offset, code.size());
        break;
    }
    if (mapped.address != nullptr) {
      data_ = static_cast<const unsigned char*>(mapped.address);
      mapped_by_ = way;
      return;
    }
    reasons += (reasons.empty() ? "" : "; ") + std::string(what) + ": " + std::strerror(mapped.fault);
  }
  throw ModuleError(name + ": this system does not let its code run (" + reasons +
                    "). Put the file where programs may be run, a file system that is not mounted noexec, "
                    "and load it from there, or allow this process to execute memory");
}

Image::~Image() { munmap(const_cast<unsigned char*>(data_), whole_pages(size_)); }

}  // namespace diffrt::module
