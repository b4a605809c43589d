// Code of modules in memory: each way of getting it there, and systems that forbid some.
#include "module/image.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "diffrt/errors.hpp"
#include "diffrt/module.hpp"
#include "forked.hpp"
#include "module/loaded.hpp"
#include "module_builder.hpp"

using namespace diffrt;
using namespace diffrt::tests;
using module::Image;
using module::MappedBy;

namespace {

// A file that has the code from its second page on.
class CodeFile {
 public:
  CodeFile() {
    number = mkstemp(path);
    const std::string pages = std::string(4096, 'x') + text;
    REQUIRE(write(number, pages.data(), pages.size()) == static_cast<ssize_t>(pages.size()));
  }
  ~CodeFile() {
    close(number);
    unlink(path);
  }
  Span<const unsigned char> code() const {
    return {reinterpret_cast<const unsigned char*>(text.data()), text.size()};
  }
  Image image(MappedBy way) const { return Image(code(), number, 4096, path, {&way, 1}); }

  char path[32] = "/tmp/diffrt_image_XXXXXX";
  int number = -1;
  const std::string text = diffrt::tests::code(7);
};

int run(const unsigned char* code) {
  int written = 0;
  module::Arguments arguments{};
  arguments.out = reinterpret_cast<float*>(&written);
  module::Function function = nullptr;
  std::memcpy(&function, &code, sizeof function);
  function(&arguments);
  return written;
}

// As /proc/self/maps has it: "r-xp"; "": nothing is mapped there.
std::string rights_of(const unsigned char* address) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0, end = 0;
    char rights[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, rights) != 3) continue;
    const auto place = reinterpret_cast<unsigned long>(address);
    if (begin <= place && place < end) return rights;
  }
  return "";
}

constexpr int set_mdwe = 65, refuse_exec_gain = 1;  // PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, since Linux 6.3

}  // namespace

TEST_CASE("code runs from each way of mapping it, cannot be written, and goes with its image") {
  const CodeFile file;
  for (const MappedBy way : module::every_way) {
    CAPTURE(static_cast<int>(way));
    const unsigned char* address = nullptr;
    {
      const Image image = file.image(way);
      address = image.data();
      CHECK(image.mapped_by() == way);
      CHECK(run(image.data()) == 7);
      CHECK(run(image.data() + 32) == 9);
      CHECK(rights_of(address) == "r-xp");
      if (!cannot_fork) CHECK(true_in_child([&] { return run(image.data()) == 7; }));
    }
    CHECK(rights_of(address) != "r-xp");
  }
}

TEST_CASE("a file that was changed after it was checked is not mapped") {
  const CodeFile file;
  REQUIRE(pwrite(file.number, "\xcc", 1, 4096 + 20) == 1);
  CHECK_THROWS_WITH_AS(file.image(MappedBy::file), doctest::Contains("changed while it was read"),
                       ModuleError);
  REQUIRE(ftruncate(file.number, 4096 + 10) == 0);
  CHECK_THROWS_WITH_AS(file.image(MappedBy::file), doctest::Contains("changed while it was read"),
                       ModuleError);
  CHECK(run(file.image(MappedBy::anonymous).data()) == 7);
}

TEST_CASE("where nothing can be mapped, each way's reason is told") {
  if (cannot_fork || cannot_fork_amid_threads) return;  // sanitizers need room
  const CodeFile file;
  CHECK(true_in_child([&] {
    const rlimit no_more{1, 1};
    if (setrlimit(RLIMIT_AS, &no_more) != 0) return false;
    try {
      const Image image(file.code(), file.number, 4096, "m.dra");
    } catch (const ModuleError& error) {
      return std::string(error.what())
                 .find(
                     "m.dra: this system does not let its code run (memory of its own: Cannot allocate "
                     "memory; a "
                     "file in memory: Cannot allocate memory; the file itself: Cannot allocate memory). "
                     "Put") == 0;
    }
    return false;
  }));
}

TEST_CASE("a process that may not make memory executable loads modules all the same") {
  if (cannot_fork) return;
  const CodeFile file;
  const Bytes bytes = build_rich();
  CHECK(true_in_child([&] {
    if (prctl(set_mdwe, refuse_exec_gain, 0, 0, 0) != 0) return true;  // an older kernel
    bool forbidden = false;
    try {
      file.image(MappedBy::anonymous);
    } catch (const ModuleError& error) {
      forbidden = std::string(error.what()).find("memory of its own: Permission denied") != std::string::npos;
    }
    const Model model = Module::from_bytes(bytes).model("hand");
    int written = 0;
    module::Arguments arguments{};
    arguments.out = reinterpret_cast<float*>(&written);
    module::cpu_functions(*model.loaded()).rows(&arguments);
    const Image image(file.code(), file.number, 4096, "m.dra");
    return forbidden && written == 3 && image.mapped_by() == MappedBy::memory_file &&
           run(file.image(MappedBy::file).data()) == 7;
  }));
}
