// A model's functions on a GPU: pieces of the domain, whose planes come back to the host.
#pragma once

#include <array>
#include <memory>

#include "module/device_code.hpp"
#include "module/inputs.hpp"
#include "runtime/sequence.hpp"

namespace diffrt::module {

class DeviceRunner {
 public:
  // `planes`: that value() and rows() write; `ids`: of rows(). `places`: the largest piece of the domain that
  // start() will be asked for. `prepared`: whether prepare() is run on the host, before each move(); long
  // code for a single thread is what GPUs and their compilers are worst at. `code` outlives the runner.
  DeviceRunner(const Inputs& inputs, DeviceCode& code, std::shared_ptr<runtime::Device> device, int outputs,
               int planes, int ids, Index places, bool prepared);

  const std::shared_ptr<runtime::Device>& device() const { return device_; }
  // At the parameters, tables and perhaps uniforms that `inputs` has now.
  void move();
  // Begins with value() or rows() of the domain's piece of this number.
  void start(FunctionKind function, Index number, const Range& piece);
  // Until it is done. Then copy() has it, while the next one is computed.
  void wait(FunctionKind function, Index number);
  // value() or rows() of places [begin, end), as a part of `sequence`: planes `stride` apart.
  void record(runtime::Sequence& sequence, FunctionKind function, const runtime::DeviceArray<float>& out,
              Index stride, const Range& places) const;
  // As the CPU's functions write it: planes of a part of that piece, from `out` and `ids` on, `stride` apart.
  void copy(FunctionKind function, const Range& range, float* out, std::int32_t* ids, Index stride) const;

 private:
  // What a function writes of a piece.
  struct Slot {
    runtime::DeviceBuffer<float> out, fetched_out;
    runtime::DeviceBuffer<std::int32_t> ids, fetched_ids;
    Range piece;
    std::unique_ptr<runtime::Sequence> sequence;
    runtime::Sequence::Launch launch = 0;
  };
  // A function, and its even and odd pieces.
  struct Work {
    int planes = 0, id_planes = 0;
    std::array<Slot, 2> slots;
    std::size_t current = 0;
  };
  const Work& work(FunctionKind function) const { return function == FunctionKind::value ? value_ : rows_; }
  Work& work(FunctionKind function) { return function == FunctionKind::value ? value_ : rows_; }
  DeviceArguments arguments(Index stride) const;
  void record(FunctionKind function, const Work& work, Slot& slot);

  const Inputs& inputs_;
  const Inputs::Arrays arrays_;
  const DeviceCode& code_;
  const std::shared_ptr<runtime::Device> device_;
  const Index places_;
  std::size_t first_free_ = 0;  // of `tables_`, from which on they are parameters
  runtime::DeviceBuffer<float> parameters_, constants_, planes_, tables_, uniforms_, sent_parameters_,
      sent_tables_, sent_uniforms_;
  runtime::DeviceBuffer<std::int32_t> indices_, sizes_;
  std::unique_ptr<runtime::Sequence> prepare_;
  Work value_, rows_;
};

}  // namespace diffrt::module
