#include "module/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "diffrt/errors.hpp"
#include "memory.hpp"
#include "module/sha256.hpp"

namespace diffrt::module {
namespace {

using Bytes = Span<const unsigned char>;

constexpr unsigned char magic[] = {'d', 'i', 'f', 'f', 'r', 't', '\x1a', '\n'};
constexpr std::uint32_t format = 1;
constexpr char abi_text[] =
    "diffrt model abi 2: begin end packets width i32; stride input_stride i64; parameters constants inputs "
    "indices tables sizes uniforms out ids pointers; devices: width padded stride input_stride i32, the same "
    "pointers; begin end";
constexpr std::size_t digest_at = 32, head_size = 64;
constexpr std::uint64_t largest_file = 256u << 20;     // a model of thousands of lines has about one megabyte
constexpr std::uint64_t largest_manifest = 16u << 20;  // what is made of it takes some times as much
constexpr const char* again = "; compile the models again with diffrt-aot compile";
constexpr const char* copy_again = "; copy it again, or compile the models again with diffrt-aot compile";

[[noreturn]] void refuse(const std::string& name, const std::string& reason) {
  throw ModuleError(name + ": " + reason);
}

std::uint64_t little_endian(Bytes bytes) {
  std::uint64_t value = 0;
  for (std::size_t k = bytes.size(); k > 0; --k) value = value << 8 | bytes[k - 1];
  return value;
}
std::uint64_t word(Bytes file, std::size_t at, std::size_t size) {
  return little_endian(file.subspan(at, size));
}

bool begins_with(Bytes bytes, const char* text) {
  const std::size_t size = std::strlen(text);
  return bytes.size() >= size && std::memcmp(bytes.data(), text, size) == 0;
}

std::uint64_t abi() {
  Sha256 hash;
  hash.add({reinterpret_cast<const unsigned char*>(abi_text), sizeof abi_text - 1});
  const Sha256::Digest digest = hash.finish();
  return little_endian(Bytes(digest).first(8));
}

// What a file is that is none of ours.
std::string foreign(Bytes head) {
  if (begins_with(head,
                  "\x7f"
                  "ELF"))
    return "a program or a shared library";
  if (begins_with(head, "PK\x03\x04")) return "a zip archive";
  if (begins_with(head, "\x1f\x8b")) return "a gzip archive";
  const bool text = std::all_of(head.begin(), head.end(), [](unsigned char c) {
    return (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\r' || c == '\t';
  });
  return text ? "a text" : "something else";
}

// The part that says whether this is a file of ours, and how long. `size`: of the file.
void check_head(Bytes head, std::uint64_t size, const std::string& name) {
  if (size == 0) refuse(name, std::string("is empty") + again);
  const std::size_t known = std::min(head.size(), sizeof magic);
  if (std::memcmp(head.data(), magic, known) != 0) {
    if (begins_with(head, "diffrt\x1a\r\n") || begins_with(head, "diffrt\n") ||
        begins_with(head, "diffrt\x1a\r"))
      refuse(name, "was copied as a text, which changes its bytes; copy it again, as a binary file");
    refuse(name, "is no file of compiled models but " + foreign(head.first(head_size)) +
                     "; those that diffrt-aot compile writes begin with 'diffrt'");
  }
  if (size < head_size)
    refuse(name, "is cut off: it has " + std::to_string(size) + " bytes, the head alone has " +
                     std::to_string(head_size) + copy_again);
  const std::uint64_t its_format = word(head, 8, 4);
  if (its_format > format)
    refuse(name, "has format " + std::to_string(its_format) +
                     ", and this diffrt_aot " DIFFRT_VERSION " reads " + std::to_string(format) +
                     "; upgrade diffrt_aot, or compile the models again with the version that is here");
  if (its_format < format)
    refuse(name, "has format " + std::to_string(its_format) +
                     ", which this diffrt_aot " DIFFRT_VERSION " no longer reads" + again);
  const std::uint64_t length = word(head, 24, 8);
  if (size != length)
    refuse(name, (size < length ? "is cut off: " : "has too much at its end: ") + std::string("it has ") +
                     std::to_string(size) + " bytes, and was written with " + std::to_string(length) +
                     copy_again);
  if (size > largest_file)
    refuse(name, "has " + megabytes(size) + ", more than the " + megabytes(largest_file) +
                     " that are read; put fewer models into one file");
}

void check_digest(Bytes bytes, const std::string& name) {
  Sha256 hash;
  hash.add(bytes.first(digest_at));
  hash.add(bytes.subspan(head_size));
  const Sha256::Digest digest = hash.finish();
  if (!std::equal(digest.begin(), digest.end(), bytes.data() + digest_at))
    refuse(name, std::string("is damaged: its checksum is not that of its content") + copy_again);
}

void check_zeros(Bytes bytes, std::size_t begin, const Manifest& manifest, const std::string& name) {
  std::vector<std::pair<std::size_t, std::size_t>> ranges;
  for (const Section& s : manifest.sections) ranges.emplace_back(s.offset, s.offset + s.size);
  ranges.emplace_back(bytes.size(), bytes.size());
  std::sort(ranges.begin(), ranges.end());
  for (const auto& [first, end] : ranges) {
    if (std::any_of(bytes.begin() + begin, bytes.begin() + first, [](unsigned char c) { return c != 0; }))
      refuse(name, std::string("has something between its sections") + again);
    begin = end;
  }
}

std::string error_text() { return std::strerror(errno); }

}  // namespace

Descriptor::~Descriptor() {
  if (number_ >= 0) close(number_);
}

Descriptor open_file(const std::string& path) {
  // A pipe without a writer would be waited for.
  const int number = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (number >= 0) return Descriptor(number);
  if (errno == ENOENT || errno == ENOTDIR)
    refuse(path, "there is no such file; diffrt-aot compile MODELS.py -o MODELS.dra writes one");
  refuse(path, "cannot be opened: " + error_text());
}

File read_file(const Descriptor& descriptor, const std::string& path) {
  struct stat status {};
  if (fstat(descriptor.number(), &status) != 0) refuse(path, "cannot be read: " + error_text());
  if (S_ISDIR(status.st_mode)) refuse(path, "is a folder, not a file of compiled models");
  if (!S_ISREG(status.st_mode)) refuse(path, "is a device or a pipe, not a file of compiled models");
  const auto size = static_cast<std::uint64_t>(status.st_size);

  std::vector<unsigned char> bytes;
  const auto read_to = [&](std::size_t end) {
    std::size_t at = bytes.size();
    resize(bytes, end, "A file of compiled models");
    while (at < end) {
      const ssize_t count = pread(descriptor.number(), bytes.data() + at, end - at, static_cast<off_t>(at));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) refuse(path, "cannot be read: " + error_text());
      if (count == 0) refuse(path, "changed while it was read; load it again");
      at += static_cast<std::size_t>(count);
    }
  };
  // The head first: a large file of another sort is not read.
  read_to(static_cast<std::size_t>(std::min<std::uint64_t>(size, head_size)));
  check_head(bytes, size, path);
  read_to(static_cast<std::size_t>(size));
  return check_file(std::move(bytes), path);
}

File check_file(std::vector<unsigned char> bytes, const std::string& name) {
  check_head(bytes, bytes.size(), name);
  check_digest(bytes, name);
  if (word(bytes, 16, 8) != abi())
    refuse(name,
           "was compiled for another version of diffrt_aot, whose models are called otherwise than those "
           "of " DIFFRT_VERSION +
               std::string(again));
  const std::uint64_t manifest_size = word(bytes, 12, 4);
  if (manifest_size > bytes.size() - head_size)
    refuse(name, std::string("has a manifest that is longer than the file") + again);
  if (manifest_size > largest_manifest)
    refuse(name, "has a manifest of " + megabytes(manifest_size) + ", more than the " +
                     megabytes(largest_manifest) + " that are read; put fewer models into one file");
  const std::size_t begin = head_size + static_cast<std::size_t>(manifest_size);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + head_size,
                              static_cast<std::size_t>(manifest_size));
  Manifest manifest = parse_manifest(text, begin, bytes.size(), name);
  check_zeros(bytes, begin, manifest, name);
  return {std::move(bytes), std::move(manifest)};
}

}  // namespace diffrt::module
