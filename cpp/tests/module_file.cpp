// Files of compiled models: what is read from a good one, and what is said of all others.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "diffrt/errors.hpp"
#include "diffrt/module.hpp"
#include "module/loaded.hpp"
#include "module_builder.hpp"

using namespace diffrt;
using namespace diffrt::tests;

namespace {

module::File checked(Bytes bytes) { return module::check_file(std::move(bytes), "m.dra"); }

// With `from` in the manifest replaced by `to`.
Bytes changed(const std::string& from, const std::string& to) {
  bool found = false;
  const Bytes bytes = build_rich([&](std::string& text) {
    const std::size_t at = text.find(from);
    found = at != std::string::npos;
    if (found) text.replace(at, from.size(), to);
  });
  CAPTURE(from);
  REQUIRE(found);
  return bytes;
}

std::string message(const Bytes& bytes) {
  try {
    checked(bytes);
  } catch (const ModuleError& error) {
    return error.what();
  }
  return "";
}

void check_contains(const std::string& text, const std::string& part) {
  CAPTURE(text);
  CAPTURE(part);
  CHECK(text.find(part) != std::string::npos);
}

Bytes bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

class TemporaryFile {
 public:
  explicit TemporaryFile(const Bytes& bytes) {
    const int file = mkstemp(path_);
    REQUIRE(file >= 0);
    REQUIRE(write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    close(file);
  }
  ~TemporaryFile() { unlink(path_); }
  const char* path() const { return path_; }

 private:
  char path_[32] = "/tmp/diffrt_module_XXXXXX";
};

}  // namespace

TEST_CASE("a module's models are what its file says") {
  const module::File file = checked(build_rich());
  const module::Manifest& manifest = file.manifest;
  CHECK(manifest.producer == "diffrt_aot 0.1.0, by hand");
  REQUIRE(manifest.sections.size() == 2);
  CHECK(manifest.sections[0].name == "x64_v2");
  CHECK(manifest.sections[0].offset == 4096);
  CHECK(manifest.sections[0].size == 48);
  CHECK(manifest.sections[0].lanes == 8);
  REQUIRE(manifest.models.size() == 2);
  const module::Description& hand = manifest.models[0].description;
  CHECK(hand.name == "hand");
  CHECK(hand.output_shape == std::vector<int>{3});
  REQUIRE(hand.arguments.size() == 12);
  const module::ArgumentKind kinds[] = {
      module::ArgumentKind::pixel,          module::ArgumentKind::free,
      module::ArgumentKind::free,           module::ArgumentKind::pose,
      module::ArgumentKind::free_table,     module::ArgumentKind::constant,
      module::ArgumentKind::per_item,       module::ArgumentKind::per_item_free,
      module::ArgumentKind::per_item_index, module::ArgumentKind::table,
      module::ArgumentKind::image,          module::ArgumentKind::free_table,
  };
  for (std::size_t k = 0; k < 12; ++k) CHECK(hand.arguments[k].kind == kinds[k]);
  CHECK(hand.arguments[2].name == "center");
  CHECK(hand.arguments[2].shape == std::vector<int>{3});
  CHECK(hand.arguments[2].first == 1);
  CHECK(hand.arguments[9].shape == std::vector<int>{2, 2});
  REQUIRE(hand.blocks.size() == 3);
  CHECK(hand.blocks[1].argument == 4);
  REQUIRE(hand.slots.size() == 7);
  CHECK(hand.slots[0].block == -1);
  CHECK(hand.slots[4].argument == 4);
  CHECK(hand.slots[4].component == 1);
  CHECK(hand.slots[4].block == 1);
  REQUIRE(hand.planes.size() == 3);
  CHECK(hand.planes[2].output == 2);
  CHECK(hand.planes[2].slot == 1);
  CHECK(hand.uniforms == 12);
  CHECK(manifest.models[1].description.output_shape.empty());
  CHECK(manifest.models[1].entries[0].offsets == std::array<std::size_t, 3>{32, 16, 0});
  CHECK(manifest.models[1].entries[1].offsets[0] == module::Entries::none);
}

TEST_CASE("files that are no whole file of this version are told, and how to go on") {
  const Bytes good = build_rich();
  CHECK(message(good) == "");
  CHECK(message({}) == "m.dra: is empty; compile the models again with diffrt-aot compile");
  check_contains(message(bytes_of("\x7f"
                                  "ELF" +
                                  std::string(100, '\0'))),
                 "m.dra: is no file of compiled models but a program or a shared library");
  check_contains(message(bytes_of("PK\x03\x04" + std::string(100, '\0'))), "a zip archive");
  check_contains(message(bytes_of("\x1f\x8b" + std::string(100, '\0'))), "a gzip archive");
  check_contains(message(bytes_of("import numpy as np\n")),
                 "but a text; those that diffrt-aot compile writes");
  check_contains(message(bytes_of("\xff\xfe")), "something else");
  check_contains(message(bytes_of("diffrt\x1a\r\n" + std::string(100, '\0'))), "copied as a text");
  for (std::size_t size = 1; size < good.size(); size += size < 70 ? 1 : 97) {
    CAPTURE(size);
    check_contains(message(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size))),
                   "is cut off");
  }
  Bytes longer = good;
  longer.push_back(0);
  check_contains(message(longer), "has too much at its end: it has 8196 bytes, and was written with 8195");
  for (const std::size_t at : {std::size_t{16}, std::size_t{12}, std::size_t{32}, std::size_t{64},
                               std::size_t{4100}, good.size() - 1}) {
    Bytes flipped = good;
    flipped[at] ^= 1;
    CAPTURE(at);
    check_contains(message(flipped), "is damaged: its checksum is not that of its content; copy it again");
  }
  Bytes newer = good;
  put(newer, 8, 2, 4);
  check_contains(message(newer), "has format 2, and this diffrt_aot");
  check_contains(message(newer), "upgrade diffrt_aot");
  Bytes older = good;
  put(older, 8, 0, 4);
  check_contains(message(older), "has format 0, which this diffrt_aot");
  Bytes other = good;
  other[16] ^= 1;
  seal(other);
  check_contains(message(other), "was compiled for another version of diffrt_aot");
  Bytes long_manifest = good;
  put(long_manifest, 12, good.size() - 63, 4);
  seal(long_manifest);
  check_contains(message(long_manifest), "has a manifest that is longer than the file");
  Bytes much_manifest(64 + (17u << 20), 'x');
  std::copy(good.begin(), good.begin() + 64, much_manifest.begin());
  put(much_manifest, 12, 17u << 20, 4);
  seal(much_manifest);
  check_contains(message(much_manifest), "has a manifest of 18 MB, more than the 17 MB that are read");
  Bytes filled = good;
  filled[4096 + 48] = 1;
  seal(filled);
  check_contains(message(filled), "has something between its sections");
}

TEST_CASE("a manifest that does not fit is refused, with the line and the reason") {
  const struct {
    std::string from, to, reason;
  } cases[] = {
      {"producer", "maker", "expected 'producer'"},
      {"hand\n", "ha\x01nd\n", "it has control characters"},
      {"hand\n", "ha\xffnd\n", "it is no UTF-8"},
      {"hand\n", "ha\xc0\xafnd\n", "it is no UTF-8"},
      {"hand\n", "ha\xc3(nd\n", "it is no UTF-8"},
      {"hand\n", "ha\xe0\x80\xafnd\n", "it is no UTF-8"},
      {"hand\n", "ha\xed\xa0\x80nd\n", "it is no UTF-8"},
      {"hand\n", "ha\xf4\x90\x80\x80nd\n", "it is no UTF-8"},
      {"model hand\n", "model " + std::string(256, 'h') + "\n", "has more than 255 bytes"},
      {"section x64_v2", "section x64_v5", "unknown section 'x64_v5' (x64_v2, x64_v3"},
      {"section cuda 8192", "section cuda 12288", "its offset: is 12288, must be in"},
      {"section cuda 8192", "section cuda 4096", "it overlaps section 'x64_v2'"},
      {"section cuda 8192", "section cuda 4097", "not a multiple of 4096"},
      {"section cuda 8192 3", "section cuda 8192 4", "its size: is 4, must be in 1 to 3"},
      {"section cuda 8192 3", "section cuda 8192 0", "its size: is 0"},
      {"section cuda 8192", "section cuda 99999999999999999999999", "is no whole number"},
      {"section cuda 8192", "section cuda 0", "its offset: is 0, must be in"},
      {"section cuda", "section x64_v2", "the section 'x64_v2' is there twice"},
      {"4096 48 8", "4096 48 3", "its lanes are no power of two"},
      {"4096 48 8", "4096 48 32", "its lanes: is 32, must be in 1 to 16"},
      {"4096 48 8", "4096 48 8 ", "expected 4 values, each after one space"},
      {"4096 48 8", "4096  48 8", "expected 4 values, each after one space"},
      {"4096 48 8", "4096 48 +8", "'+8' is no whole number"},
      {"4096 48 8", "4096 48 08", "'08' is no whole number"},
      {"model hand\n", "model 1hand\n", "the name '1hand' begins with a digit"},
      {"model hand\n", "model ha-nd\n", "the name 'ha-nd' is no name of Python's"},
      {"model hand\n", "model ha\xe2\x80\x8bnd\n", "is no name of Python's"},
      {"model hand\n", "model \n", "the name '' is empty"},
      {"model hand\n", "model\n", "expected 1 values"},
      {"model hand\n", "model gr\xc3\xbcn\n", "expected 'end gr\xc3\xbcn'"},
      {"output 3\n", "", "expected 'output'"},
      {"output 3\n", "output 3,\n", "an axis of the shape: '' is no whole number"},
      {"output 3\n", "output 0\n", "an axis of the shape: is 0"},
      {"output 3\n", "output -1\n", "'-1' is no whole number"},
      {"output 3\n", "output 3,30000\n", "the shape has more than 65536 numbers"},
      {"output 3\n", "output 3,3,3,1,1,1,1,1,1\n", "a shape has at most 8 axes"},
      {"output 3\n", "output 2\n", "its output: is 2, must be in 0 to 1"},
      {"radius free", "radius fixed", "unknown kind 'fixed' (pixel, item, free"},
      {"argument radius", "argument center", "the argument 'center' is there twice"},
      {"radius free - 0", "radius free - 1", "the place of argument 'radius' is 1, must be 0"},
      {"center free 3 1", "center free 3 2", "the place of argument 'center' is 2, must be 1"},
      {"center free 3 1", "center free 4 1", "the place of argument 'wrist' is 4, must be 5"},
      {"center free 3 1", "center free 1048576 1", "more than 1048576 numbers"},
      {"center free 3 1", "center free 1024,1025 1", "the shape has more than 1048576 numbers"},
      {"lattice free_table 2 2", "lattice free_table 2 4", "the place of argument 'gain' is 3, must be 2"},
      {"lattice free_table 2 2", "lattice free_table 2 0",
       "the place of argument 'vertices' is 0, must be 1"},
      {"photo image - 1", "photo image - 3", "the place of argument 'lattice' is 2, must be 1"},
      {"photo image - 1", "photo image 2 1", "its shape is not '-'"},
      {"photo image - 1", "photo pixel - 0", "a model has one pixel or item"},
      {"wrist pose - 4", "wrist pose 3,4 4", "its shape is not '-'"},
      {"pixel pixel - 0", "pixel pixel 3 0", "its shape is not '-'"},
      {"pixel pixel - 0", "pixel pixel - 1", "its place is not 0"},
      {"block 4", "block 1", "its argument is no free_table"},
      {"block 4", "block 12", "its argument: is 12, must be in 0 to 11"},
      {"slot 1 0 -1", "slot 0 0 -1", "a pixel has no slots"},
      {"slot 1 0 -1", "slot 1 1 -1", "its component: is 1, must be in 0 to 0"},
      {"slot 1 0 -1", "slot 1 0 0", "slots of a free_table have a block, and no others"},
      {"slot 1 0 -1", "slot 2 2 -1", "the slot is there twice"},
      {"slot 3 5 -1", "slot 3 6 -1", "its component: is 6, must be in 0 to 5"},
      {"slot 4 0 0", "slot 4 0 -1", "slots of a free_table have a block, and no others"},
      {"slot 4 0 0", "slot 4 0 3", "its block: is 3, must be in 0 to 2"},
      {"slot 4 0 0", "slot 4 0 2", "its block is of another argument"},
      {"slot 4 0 0", "slot 4 0 -2", "'-2' is no whole number"},
      {"slot 4 0 0", "slot 4 2 0", "its component: is 2"},
      {"plane 0 3", "plane 0 0", "planes do not ascend"},
      {"plane 0 3", "plane 3 0", "its output: is 3, must be in 0 to 2"},
      {"plane 0 3", "plane 0 7", "its slot: is 7, must be in 0 to 6"},
      {"plane 2 1\nuniforms 12", "uniforms 12\nplane 2 1", "expected 'end'"},
      {"uniforms 12", "uniforms 4194305", "uniforms: is 4194305"},
      {"uniforms 12\n", "", "expected 'uniforms'"},
      {"x64_v2 prepare 0", "x64_v3 prepare 0", "unknown section 'x64_v3' (x64_v2, cuda)"},
      {"x64_v2 prepare 0", "x64_v2 begin 0", "unknown function 'begin'"},
      {"x64_v2 prepare 0", "x64_v2 prepare 48", "its offset: is 48, must be in 0 to 47"},
      {"x64_v2 prepare 0", "x64_v2 value 0", "the entry is there twice"},
      {"entry x64_v2 prepare 0\n", "", "the model has no 'prepare' in section 'x64_v2'"},
      {"end hand\n", "", "expected 'end'"},
      {"end hand\n", "end hand", "expected 1 values"},
      {"end gr\xc3\xbcn\n", "end gr\xc3\xbcn", "the line has no end"},
      {"end gr\xc3\xbcn\n", "", "its manifest, at its end: expected 'end'"},
      {"end gr\xc3\xbcn\n", "end gr\xc3\xbcn\n\n", "expected 'model', or its end"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.from);
    CAPTURE(c.to);
    const std::string text = message(changed(c.from, c.to));
    CHECK(text.find("m.dra: its manifest") == 0);
    check_contains(text, c.reason);
    check_contains(text, "compile the models again");
  }
  CHECK(message(changed("radius free - 0\n", "radius free - 1\n")) ==
        "m.dra: its manifest, line 18 'block 4': the place of argument 'radius' is 1, must be 0. The file is "
        "whole, "
        "so whatever wrote it is at fault: compile the models again, with the diffrt-aot compile of this "
        "version");
  check_contains(message(build_rich([](std::string& text) {
                   const std::size_t lattice = text.find("free_table 2 2"), photo = text.find("image - 1");
                   if (lattice == std::string::npos) return;
                   text.replace(photo, 9, "image - 2");
                   text.replace(lattice, 14, "free_table 2 1");
                 })),
                 "the place of argument 'photo' is behind that of a free_table");
  check_contains(message(build_rich([](std::string& text) {
                   std::string many;
                   for (int k = 1; k < 4096; ++k)
                     many += "argument a" + std::to_string(k) + " constant - " + std::to_string(k) + "\n";
                   text.insert(text.find("argument seen"), many);
                 })),
                 "more than 4096 arguments");
  check_contains(
      message(build({}, [](const auto&) { return std::string("producer x\nsection cuda 4096 1 1\n"); })),
      "the file has no room for a section");
  // A second model of the same name, and none at all.
  check_contains(message(build_rich([](std::string& text) { text += small_model; })), "is there twice");
  check_contains(message(build_rich([](std::string& text) { text.resize(text.find("model hand")); })),
                 "it has no model");
  check_contains(message(build({}, [](const auto&) { return std::string("producer x\n"); })),
                 "expected 'section'");
}

TEST_CASE("files that cannot be read are told") {
  CHECK_THROWS_WITH_AS(Module::load("/nowhere/m.dra"),
                       doctest::Contains("/nowhere/m.dra: there is no such file; diffrt-aot compile"),
                       ModuleError);
  CHECK_THROWS_WITH_AS(Module::load("/tmp"), doctest::Contains("/tmp: is a folder"), ModuleError);
  CHECK_THROWS_WITH_AS(Module::load("/dev/null"), doctest::Contains("is a device or a pipe"), ModuleError);
  const TemporaryFile file(build_rich());
  CHECK(Module::load(file.path()).path() == file.path());
  CHECK(truncate(file.path(), 100) == 0);
  CHECK_THROWS_WITH_AS(Module::load(file.path()), doctest::Contains("is cut off: it has 100 bytes"),
                       ModuleError);
  CHECK(truncate(file.path(), 0) == 0);
  CHECK_THROWS_WITH_AS(Module::load(file.path()), doctest::Contains("is empty"), ModuleError);
  // Not read at all: it would take longer than its head.
  Bytes head(64);
  std::memcpy(head.data(), "diffrt\x1a\n\1", 9);
  put(head, 24, 300u << 20, 8);
  const TemporaryFile large(head);
  REQUIRE(truncate(large.path(), 300 << 20) == 0);
  CHECK_THROWS_WITH_AS(Module::load(large.path()),
                       doctest::Contains("has 315 MB, more than the 269 MB that are read"), ModuleError);
  const std::string pipe = std::string(file.path()) + ".pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THROWS_WITH_AS(Module::load(pipe), doctest::Contains("is a device or a pipe"), ModuleError);
  unlink(pipe.c_str());
  if (geteuid() != 0) {  // whom nothing is forbidden
    CHECK(chmod(file.path(), 0) == 0);
    CHECK_THROWS_WITH_AS(Module::load(file.path()), doctest::Contains("cannot be opened: Permission denied"),
                         ModuleError);
  }
}

TEST_CASE("a module's handles share what they stand for, and outlive it") {
  const Bytes bytes = build_rich();
  Model model = [&] {
    const TemporaryFile file(bytes);
    const Module module = Module::load(file.path());
    CHECK(module.model_names() == std::vector<std::string>{"hand", "gr\xc3\xbcn"});
    CHECK(module.producer() == "diffrt_aot 0.1.0, by hand");
    CHECK(module.targets() == std::vector<std::string>{"x64_v2", "cuda"});
    CHECK(module.target() == "x64_v2");
    CHECK(Bytes(module.bytes().begin(), module.bytes().end()) == bytes);
    CHECK_THROWS_WITH_AS(module.model("foot"),
                         doctest::Contains("has no model 'foot'. It has: hand, gr\xc3\xbcn"), ArgumentError);
    return module.model("hand");
  }();
  CHECK(model.name() == "hand");
  CHECK(model.output_shape() == std::vector<int>{3});
  REQUIRE(model.arguments().size() == 12);
  CHECK(model.arguments()[3].kind == "pose");
  CHECK(model.arguments()[6].name == "seen");
  CHECK(model.arguments()[6].shape == std::vector<int>{3});
  const module::Functions& functions = module::cpu_functions(*model.loaded());
  CHECK(functions.lanes == 8);
  int written = 0;
  module::Arguments arguments{};
  arguments.out = reinterpret_cast<float*>(&written);
  functions.prepare(&arguments);
  CHECK(written == 1);
  functions.value(&arguments);
  CHECK(written == 2);
  functions.rows(&arguments);
  CHECK(written == 3);
  module::cpu_functions(*Module::from_bytes(bytes).model("gr\xc3\xbcn").loaded()).prepare(&arguments);
  CHECK(written == 3);
}

TEST_CASE("a module without code for this processor says so when it is called") {
  const Bytes bytes = build({std::string("ptx")}, [](const std::vector<std::size_t>& at) {
    return "producer x\nsection cuda " + std::to_string(at[0]) +
           " 3 1\nmodel m\noutput -\nuniforms 0\nentry cuda rows 0\nend m\n";
  });
  const Module module = Module::from_bytes(bytes, "gpu.dra");
  CHECK(module.target().empty());
  CHECK_THROWS_WITH_AS(module::cpu_functions(*module.model("m").loaded()),
                       doctest::Contains("gpu.dra: has code for cuda, and this processor runs x86-64-v"),
                       DeviceError);
}
