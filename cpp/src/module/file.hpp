// A file of compiled models (.dra): read, and checked in every respect before anything of it is used.
//
//     0   magic "diffrt\x1a\n" (8 bytes)
//     8   u32 format
//     12  u32 length of the manifest
//     16  u64 abi: of what its functions are called with
//     24  u64 length of the whole file
//     32  SHA-256 of bytes 0 to 32 and of all from byte 64 on
//     64  the manifest (manifest.hpp)
//     ... sections, each from a multiple of 4096 on; zeros between
//
// All numbers are little endian.
#pragma once

#include <string>
#include <vector>

#include "diffrt/span.hpp"
#include "module/manifest.hpp"

namespace diffrt::module {

struct File {
  std::vector<unsigned char> bytes;
  Manifest manifest;
};

// An open file, closed at the end; -1: none.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  const int number_;
};

// Throws ModuleError that names the file.
Descriptor open_file(const std::string& path);
File read_file(const Descriptor& descriptor, const std::string& path);
// `name` stands for the file in messages.
File check_file(std::vector<unsigned char> bytes, const std::string& name);

}  // namespace diffrt::module
