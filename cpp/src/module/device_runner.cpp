#include "module/device_runner.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "diffrt/errors.hpp"
#include "memory.hpp"
#include "renderer/device/staging.hpp"

namespace diffrt::module {
namespace {

using runtime::DeviceBuffer;
using runtime::Memory;

// Kernels count in 32 bits, and their threads step beyond the last place.
constexpr std::size_t most_places = std::numeric_limits<std::int32_t>::max() / 2;

void check_count(const Domain& domain, std::size_t numbers,
                 std::size_t most = std::numeric_limits<std::int32_t>::max()) {
  if (numbers <= most) return;
  throw DeviceError("shape: what is given for " + std::to_string(domain.items()) +
                    " items is too much for a GPU here; bind fewer at a time, or use device=\"cpu\"");
}

// Whatever an index is, something can be read.
std::size_t at_least_one(std::size_t size) { return std::max<std::size_t>(size, 1); }

}  // namespace

DeviceRunner::DeviceRunner(const Inputs& inputs, DeviceCode& code, std::shared_ptr<runtime::Device> device,
                           int outputs, int planes, int ids, Index places, bool prepared)
    : inputs_(inputs), arrays_(inputs.arrays()), code_(code), device_(std::move(device)), places_(places) {
  const Inputs::Arrays& all = arrays_;
  check_count(inputs_.domain(), static_cast<std::size_t>(inputs_.domain().plane_stride()), most_places);
  check_count(inputs_.domain(), all.inputs.size());
  check_count(inputs_.domain(), all.indices.size());
  std::vector<float> tables;
  std::vector<std::int32_t> sizes;
  for (std::size_t k = 0; k < all.tables.size(); ++k) {
    if (k < all.fixed_tables) first_free_ += all.tables[k].size();
    sizes.insert(sizes.end(),
                 {all.sizes[2 * k], all.sizes[2 * k + 1], static_cast<std::int32_t>(tables.size())});
    tables.insert(tables.end(), all.tables[k].begin(), all.tables[k].end());
    check_count(inputs_.domain(), tables.size());
  }
  const std::size_t free = tables.size() - first_free_;
  tables.resize(at_least_one(tables.size()));

  renderer::gpu::Once once(*device_);
  constants_ = once.send(all.constants), planes_ = once.send(all.inputs), indices_ = once.send(all.indices);
  tables_ = once.send(tables), sizes_ = once.send(sizes);
  once.finish();
  parameters_ = {*device_, all.parameters.size()},
  sent_parameters_ = {*device_, all.parameters.size(), Memory::upload};
  sent_tables_ = {*device_, free, Memory::upload};
  uniforms_ = {*device_, at_least_one((all.uniforms.size() + 3) / 4 * 4)};  // read by fours
  if (prepared) sent_uniforms_ = {*device_, all.uniforms.size(), Memory::upload};

  prepare_ = device_->make_sequence();
  prepare_->copy(parameters_.array(), sent_parameters_.array());
  if (free > 0) prepare_->copy(tables_.array().part(first_free_, free), sent_tables_.array());
  if (prepared) {
    prepare_->copy(uniforms_.array().part(0, all.uniforms.size()), sent_uniforms_.array());
  } else {
    prepare_->launch(code_[FunctionKind::prepare], arguments(0), runtime::Bounds::range(0, 1));
  }
  prepare_->finish();
  value_.planes = outputs;
  rows_.planes = outputs + planes, rows_.id_planes = ids;
}

DeviceArguments DeviceRunner::arguments(Index stride) const {
  DeviceArguments a;
  a.width = inputs_.domain().width,
  a.padded = static_cast<std::int32_t>(std::max<Index>(inputs_.domain().padded, 1));
  a.stride = static_cast<std::int32_t>(stride);
  a.input_stride = static_cast<std::int32_t>(inputs_.domain().plane_stride());
  a.parameters = array(parameters_), a.constants = array(constants_), a.inputs = array(planes_);
  a.indices = array(indices_), a.tables = array(tables_), a.sizes = array(sizes_);
  a.uniforms = array(uniforms_);
  return a;
}

void DeviceRunner::record(FunctionKind function, const Work& work, Slot& slot) {
  const auto places = static_cast<std::size_t>(places_);
  check_count(inputs_.domain(), static_cast<std::size_t>(work.planes) * places);
  slot.out = {*device_, static_cast<std::size_t>(work.planes) * places};
  slot.ids = {*device_, static_cast<std::size_t>(work.id_planes) * places};
  slot.fetched_out = {*device_, slot.out.size(), Memory::download};
  slot.fetched_ids = {*device_, slot.ids.size(), Memory::download};
  slot.piece = {0, places_};
  DeviceArguments a = arguments(places_);
  a.out = array(slot.out), a.ids = array(slot.ids);
  auto sequence = device_->make_sequence();
  slot.launch = sequence->launch(code_[function], a, runtime::Bounds::range(0, static_cast<int>(places_)));
  {
    const runtime::Sequence::Group together = sequence->parallel();
    sequence->copy(slot.fetched_out.array(), slot.out.array());
    if (work.id_planes > 0) sequence->copy(slot.fetched_ids.array(), slot.ids.array());
  }
  sequence->finish();
  slot.sequence = std::move(sequence);
}

void DeviceRunner::record(runtime::Sequence& sequence, FunctionKind function,
                          const runtime::DeviceArray<float>& out, Index stride, const Range& places) const {
  DeviceArguments a = arguments(stride);
  a.out = array(out);
  sequence.launch(code_[function], a,
                  runtime::Bounds::range(static_cast<int>(places.begin), static_cast<int>(places.end)));
}

void DeviceRunner::move() {
  const Inputs::Arrays& all = arrays_;
  device_->check_usable();  // after fork() the memory may be the parent's, too
  prepare_->wait();         // what it is sent may still be on its way
  std::memcpy(sent_parameters_.host(), all.parameters.data(), all.parameters.size() * sizeof(float));
  std::copy(all.uniforms.begin(), all.uniforms.begin() + static_cast<Index>(sent_uniforms_.size()),
            sent_uniforms_.host());
  float* to = sent_tables_.host();
  for (std::size_t k = all.fixed_tables; k < all.tables.size(); ++k)
    to = std::copy(all.tables[k].begin(), all.tables[k].end(), to);
  prepare_->run();
}

void DeviceRunner::start(FunctionKind function, Index number, const Range& piece) {
  Work& work = this->work(function);
  Slot& slot = work.slots[static_cast<std::size_t>(number % 2)];
  if (slot.sequence == nullptr) record(function, work, slot);
  if (piece.begin != slot.piece.begin || piece.end != slot.piece.end)
    slot.sequence->update_bounds(slot.launch, static_cast<int>(piece.begin), static_cast<int>(piece.end));
  slot.piece = piece;
  slot.sequence->run();
}

void DeviceRunner::wait(FunctionKind function, Index number) {
  Work& work = this->work(function);
  work.current = static_cast<std::size_t>(number % 2);
  work.slots[work.current].sequence->wait();
}

void DeviceRunner::copy(FunctionKind function, const Range& range, float* out, std::int32_t* ids,
                        Index stride) const {
  const Work& work = this->work(function);
  const Slot& slot = work.slots[work.current];
  const Index first = range.begin - slot.piece.begin;
  const auto numbers = static_cast<std::size_t>(range.size());
  for (Index k = 0; k < work.planes; ++k)
    std::memcpy(out + k * stride, slot.fetched_out.host() + k * places_ + first, numbers * sizeof(float));
  for (Index k = 0; k < work.id_planes; ++k)
    std::memcpy(ids + k * stride, slot.fetched_ids.host() + k * places_ + first,
                numbers * sizeof(std::int32_t));
}

}  // namespace diffrt::module
