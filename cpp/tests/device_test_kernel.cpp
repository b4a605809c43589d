#include "device_test_kernel.hpp"

#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

namespace diffrt::tests {
namespace {

using runtime::Argument;
using runtime::ArgumentType;
using runtime::KernelCode;

// SPIR-V is a stream of words: instructions of (length << 16 | opcode), then operands.
class Assembler {
 public:
  using Word = std::uint32_t;

  Word id() { return next_++; }
  void op(Word code, std::initializer_list<Word> operands) {
    words_.push_back(static_cast<Word>(operands.size() + 1) << 16 | code);
    words_.insert(words_.end(), operands);
  }
  // An instruction with a result: type, id, operands.
  Word value(Word code, Word type, std::initializer_list<Word> operands) {
    const Word result = id();
    words_.push_back(static_cast<Word>(operands.size() + 3) << 16 | code);
    words_.insert(words_.end(), {type, result});
    words_.insert(words_.end(), operands);
    return result;
  }
  std::vector<Word> finish() const {
    std::vector<Word> module = {0x07230203, 0x00010300, 0, next_, 0};  // magic, version 1.3, bound
    module.insert(module.end(), words_.begin(), words_.end());
    return module;
  }

 private:
  Word next_ = 1;
  std::vector<Word> words_;
};

std::vector<std::uint32_t> scale_spirv() {
  using Word = Assembler::Word;
  Assembler s;
  // The ids that entry point and decorations name before they are defined.
  const Word main = s.id(), thread = s.id(), groups = s.id(), block_type = s.id(), block = s.id(),
             float_array = s.id(), floats_type = s.id(), int_array = s.id(), ints_type = s.id(), x = s.id(),
             y = s.id(), bounds = s.id();
  constexpr Word builtin = 11, offset = 35, array_stride = 6, descriptor_set = 34, binding = 33, is_block = 2;
  constexpr Word input = 1, uniform = 2, storage = 12;
  s.op(17, {1});                                                     // OpCapability Shader
  s.op(14, {0, 1});                                                  // OpMemoryModel Logical GLSL450
  s.op(15, {5, main, 0x6e69616d, 0, thread, groups});                // OpEntryPoint GLCompute "main"
  s.op(16, {main, 17, scale_block, 1, 1});                           // OpExecutionMode LocalSize
  s.op(71, {thread, builtin, 28}), s.op(71, {groups, builtin, 24});  // GlobalInvocationId, NumWorkgroups
  s.op(71, {block_type, is_block}), s.op(72, {block_type, 0, offset, 0}),
      s.op(72, {block_type, 1, offset, 4});
  for (const auto& [array, type] : {std::pair{float_array, floats_type}, std::pair{int_array, ints_type}})
    s.op(71, {array, array_stride, 4}), s.op(71, {type, is_block}), s.op(72, {type, 0, offset, 0});
  for (const auto& [variable, number] :
       {std::pair{block, 0u}, std::pair{bounds, 1u}, std::pair{x, 2u}, std::pair{y, 3u}})
    s.op(71, {variable, descriptor_set, 0}), s.op(71, {variable, binding, number});

  const Word void_type = s.id(), function_type = s.id(), bool_type = s.id(), uint = s.id(), sint = s.id(),
             real = s.id(), uint3 = s.id();
  s.op(19, {void_type}), s.op(33, {function_type, void_type});
  s.op(20, {bool_type}), s.op(21, {uint, 32, 0}), s.op(21, {sint, 32, 1}), s.op(22, {real, 32});
  s.op(23, {uint3, uint, 3});
  s.op(30, {block_type, real, real});
  s.op(29, {float_array, real}), s.op(30, {floats_type, float_array});
  s.op(29, {int_array, sint}), s.op(30, {ints_type, int_array});
  const auto pointer = [&](Word storage_class, Word type) {
    const Word result = s.id();
    s.op(32, {result, storage_class, type});
    return result;
  };
  const Word input_uint3 = pointer(input, uint3), uniform_block = pointer(uniform, block_type),
             uniform_real = pointer(uniform, real), storage_floats = pointer(storage, floats_type),
             storage_ints = pointer(storage, ints_type), storage_real = pointer(storage, real),
             storage_int = pointer(storage, sint);
  s.op(59, {input_uint3, thread, input}), s.op(59, {input_uint3, groups, input});
  s.op(59, {uniform_block, block, uniform}), s.op(59, {storage_floats, x, storage});
  s.op(59, {storage_floats, y, storage}), s.op(59, {storage_ints, bounds, storage});
  const auto constant = [&](Word type, Word number) { return s.value(43, type, {number}); };
  const Word zero = constant(sint, 0), one = constant(sint, 1), local = constant(uint, scale_block),
             begin_word = constant(sint, scale_begin_offset / 4),
             end_word = constant(sint, scale_end_offset / 4);

  const Word entry = s.id(), header = s.id(), test = s.id(), body = s.id(), next_block = s.id(),
             exit = s.id();
  s.op(54, {void_type, main, 0, function_type});  // OpFunction
  s.op(248, {entry});                             // OpLabel
  const auto load = [&](Word type, Word place) { return s.value(61, type, {place}); };
  const auto first_of = [&](Word vector) { return s.value(81, uint, {load(uint3, vector), 0}); };
  const auto at = [&](Word type, Word variable, std::initializer_list<Word> path) {
    const Word index = *path.begin();
    return path.size() == 1 ? s.value(65, type, {variable, index})
                            : s.value(65, type, {variable, index, path.begin()[1]});  // OpAccessChain
  };
  const Word index = s.value(124, sint, {first_of(thread)});                                // OpBitcast
  const Word stride = s.value(124, sint, {s.value(132, uint, {first_of(groups), local})});  // OpIMul
  const Word begin = load(sint, at(storage_int, bounds, {zero, begin_word}));
  const Word end = load(sint, at(storage_int, bounds, {zero, end_word}));
  const Word a = load(real, at(uniform_real, block, {zero})), b = load(real, at(uniform_real, block, {one}));
  const Word first = s.value(128, sint, {begin, index});  // OpIAdd
  const Word next = s.id(), i = s.id();
  s.op(249, {header});  // OpBranch
  s.op(248, {header});
  s.op(245, {sint, i, first, entry, next, next_block});  // OpPhi
  s.op(246, {exit, next_block, 0});                      // OpLoopMerge
  s.op(249, {test});
  s.op(248, {test});
  s.op(250, {s.value(177, bool_type, {i, end}), body, exit});  // OpSLessThan, OpBranchConditional
  s.op(248, {body});
  const Word product = s.value(133, real, {a, load(real, at(storage_real, x, {zero, i}))});  // OpFMul
  s.op(62, {at(storage_real, y, {zero, i}), s.value(129, real, {product, b})});  // OpStore, OpFAdd
  s.op(249, {next_block});
  s.op(248, {next_block});
  s.op(128, {sint, next, i, stride});
  s.op(249, {header});
  s.op(248, {exit});
  s.op(253, {});  // OpReturn
  s.op(56, {});   // OpFunctionEnd
  return s.finish();
}

// The same for CUDA: (argument block, bounds).
constexpr char scale_ptx[] = R"(.version 7.0
.target sm_52
.address_size 64
.visible .entry scale(.param .u64 block_param, .param .u64 bounds_param) {
  .reg .pred %p;
  .reg .f32 %a, %b, %v;
  .reg .b32 %i, %end, %stride, %t, %n, %c;
  .reg .b64 %block, %bounds, %x, %y, %offset;
  ld.param.u64 %block, [block_param];
  ld.param.u64 %bounds, [bounds_param];
  ld.global.f32 %a, [%block];
  ld.global.f32 %b, [%block+4];
  ld.global.u64 %x, [%block+8];
  ld.global.u64 %y, [%block+16];
  ld.global.s32 %i, [%bounds+4];
  ld.global.s32 %end, [%bounds+12];
  mov.u32 %t, %tid.x;
  mov.u32 %n, %ntid.x;
  mov.u32 %c, %ctaid.x;
  mad.lo.s32 %t, %c, %n, %t;
  add.s32 %i, %i, %t;
  mov.u32 %c, %nctaid.x;
  mul.lo.s32 %stride, %n, %c;
loop:
  setp.ge.s32 %p, %i, %end;
  @%p bra done;
  mul.wide.s32 %offset, %i, 4;
  add.s64 %bounds, %x, %offset;
  ld.global.f32 %v, [%bounds];
  fma.rn.f32 %v, %a, %v, %b;
  add.s64 %bounds, %y, %offset;
  st.global.f32 [%bounds], %v;
  add.s32 %i, %i, %stride;
  bra loop;
done:
  ret;
}
)";

constexpr Argument vulkan_arguments[] = {
    {"a", ArgumentType::float32, offsetof(scale_arguments, a), 0, -1},
    {"b", ArgumentType::float32, offsetof(scale_arguments, b), 4, -1},
    {"x", ArgumentType::float32_array, offsetof(scale_arguments, x), 0, 2},
    {"y", ArgumentType::float32_array, offsetof(scale_arguments, y), 0, 3},
};
constexpr Argument cuda_arguments[] = {
    {"a", ArgumentType::float32, offsetof(scale_arguments, a), 0, -1},
    {"b", ArgumentType::float32, offsetof(scale_arguments, b), 4, -1},
    {"x", ArgumentType::float32_array, offsetof(scale_arguments, x), 8, -1},
    {"y", ArgumentType::float32_array, offsetof(scale_arguments, y), 16, -1},
};

}  // namespace

const KernelCode& scale_code(runtime::DeviceKind kind) {
  static const std::vector<std::uint32_t> spirv = scale_spirv();
  static const KernelCode vulkan{"scale",
                                 "main",
                                 reinterpret_cast<const unsigned char*>(spirv.data()),
                                 spirv.size() * 4,
                                 scale_block,
                                 8,
                                 0,
                                 true,
                                 1,
                                 scale_begin_offset,
                                 scale_end_offset,
                                 vulkan_arguments,
                                 std::size(vulkan_arguments)};
  static const KernelCode cuda{"scale",
                               "scale",
                               reinterpret_cast<const unsigned char*>(scale_ptx),
                               sizeof scale_ptx - 1,
                               scale_block,
                               24,
                               -1,
                               false,
                               -1,
                               scale_begin_offset,
                               scale_end_offset,
                               cuda_arguments,
                               std::size(cuda_arguments)};
  return kind == runtime::DeviceKind::cuda ? cuda : vulkan;
}

}  // namespace diffrt::tests
