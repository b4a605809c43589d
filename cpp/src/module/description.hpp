// What a compiled model takes and gives, as its file says; and what its code is called with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace diffrt::module {

// The one argument of every function of every model. Packets are so many items side by side as the code has
// lanes; those of one row of the domain after those of the row before.
struct Arguments {
  std::int32_t begin, end;      // packets
  std::int32_t packets, width;  // of a row of the domain, in packets and in items
  std::int64_t stride;          // from one plane of `out` and `ids` to the next [numbers]
  std::int64_t input_stride;    // likewise of inputs and indices
  const float* parameters;
  const float* constants;
  const float* inputs;  // planes
  const std::int32_t* indices;
  const float* const* tables;  // tables and images, then tables of parameters
  const std::int32_t* sizes;   // of each: rows, and numbers in a row; of an image: height, width
  float* uniforms;             // written by prepare(), read by the others
  float* out;                  // planes; the first number is that of packet `begin`
  std::int32_t* ids;           // likewise: which row of a table of parameters each block is
};
using Function = void (*)(const Arguments*);

// prepare: what depends on parameters and constants alone. value: planes of outputs. rows: those, and behind
// them the planes of partials.
struct Functions {
  Function prepare = nullptr, value = nullptr, rows = nullptr;
  int lanes = 0;
};

enum class ArgumentKind {
  pixel,           // the domain is an image
  item,            // the domain is a range
  free,            // parameters
  pose,            // T_a_b: 6 columns; 12 parameters, 3 x 4, row-major
  free_table,      // a table of parameters
  constant,        // numbers of the call
  per_item,        // numbers of each item
  per_item_free,   // the same, and the partials by them come out
  per_item_index,  // a whole number of each item
  table,           // rows of numbers
  image,           // [height, width]
};

struct Argument {
  std::string name;
  ArgumentKind kind = ArgumentKind::free;
  std::vector<int>
      shape;      // of the array that the model's author sees; of tables, of one row; empty: one number
  int first = 0;  // its place in Arguments: of parameters, constants, inputs, indices, or tables
};

// A column of a row as the code knows it: a number of an argument, by itself (block -1) or in a block.
struct Slot {
  int argument = 0, component = 0, block = -1;
};

// A row of a table of parameters that an item reads: `ids` says which.
struct Block {
  int argument = 0;
};

// What is not always zero: the partial of an output by a slot.
struct Plane {
  int output = 0, slot = 0;
};

struct Description {
  std::string name;
  std::vector<int> output_shape;  // empty: one number
  std::vector<Argument> arguments;
  std::vector<Slot> slots;
  std::vector<Block> blocks;
  std::vector<Plane> planes;  // of rows(), by output, slots ascending
  int uniforms = 0;           // numbers
};

}  // namespace diffrt::module
