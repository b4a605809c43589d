// The data that a model is bound to, checked and laid out as its code reads it.
#pragma once

#include <vector>

#include "diffrt/model.hpp"
#include "module/description.hpp"
#include "module/domain.hpp"
#include "module/layout.hpp"
#include "runtime/buffer.hpp"

namespace diffrt::module {

class Inputs {
 public:
  // Throws ArgumentError, which names the argument.
  Inputs(const Description& description, const ModelData& data);

  const Domain& domain() const { return domain_; }
  // Of each table of parameters, by argument.
  const std::vector<std::size_t>& rows() const { return rows_; }
  // What Layout::apply fills.
  float* parameters() { return parameters_.data(); }
  float* const* tables() { return pointers_.data(); }
  // Of a call: all but what differs from thread to thread.
  Arguments arguments(int lanes);
  // All of it. What changes later changes there.
  struct Arrays {
    Span<const float> parameters, constants, inputs, uniforms;
    Span<const std::int32_t> indices, sizes;  // sizes: two of each table
    std::vector<Span<const float>> tables;
    std::size_t fixed_tables = 0;  // which come first; the others are parameters
  };
  Arrays arrays() const;

 private:
  ModelArray given(const ModelData& data, const Argument& a) const;
  void take(std::size_t argument, const Argument& a, const ModelData& data);
  void fill_planes(const Argument& a, const ModelArray& array);
  void make_table(const Argument& a, std::size_t rows, std::size_t row);
  [[noreturn]] void refuse(const Argument& a, const std::string& why) const;
  void check_shape(const Argument& a, const ModelArray& array, std::size_t size,
                   const std::vector<std::size_t>& shape, const std::string& meaning) const;
  void check_per_item(const Argument& a, const ModelArray& array) const;
  std::string wanted(const Argument& a) const;
  std::vector<std::size_t> item_shape(const Argument& a) const;

  const Description& description_;
  Domain domain_;
  std::vector<std::size_t> rows_;
  runtime::Buffer<float> parameters_, constants_, inputs_, uniforms_;
  runtime::Buffer<std::int32_t> indices_;
  std::vector<runtime::Buffer<float>> tables_;
  std::vector<float*> pointers_;
  std::vector<std::int32_t> sizes_;
};

}  // namespace diffrt::module
