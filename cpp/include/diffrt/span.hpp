// Span: a view of contiguous numbers that somebody else owns (a pointer and a size; C++17 has no std::span).
//
//   void scale(Span<double> values, double factor);
//   std::vector<double> v(3);  double a[3];  std::array<double, 3> b;
//   scale(v, 2);  scale(a, 2);  scale(b, 2);  scale({v.data(), 3}, 2);  scale(Span<double>(v).subspan(1), 2);
//
// Span<T> converts to Span<const T>. A Span<const T> also binds to a temporary container, which lives until
// the end of the full expression: enough for an argument, not for a variable. Indexing is not range-checked,
// as in std::span; functions of this library that take spans check their sizes on entry.
//
// Of Eigen's types it takes vectors whose numbers lie side by side (a column of a column-major matrix, not a
// row), and matrices that own their numbers, in the order of memory. A row: `Eigen::VectorXd(m.row(0))`.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace diffrt {

template <class T>
class Span;

namespace detail {
template <class C>
struct IsSpan : std::false_type {};
template <class T>
struct IsSpan<Span<T>> : std::true_type {};

template <class C, class = void>
struct ElementOf {};  // not a contiguous container: no `type`
template <class C>
struct ElementOf<C, std::void_t<decltype(std::declval<C&>().data()), decltype(std::declval<C&>().size())>> {
  using type = std::remove_pointer_t<decltype(std::declval<C&>().data())>;
};

// Whether data() and size() say all. Eigen's expressions have them with any strides.
template <class C, class = void>
struct IsContiguous : std::true_type {};
template <class C>
struct IsContiguous<C, std::void_t<decltype(std::declval<C&>().innerStride())>>
    : std::bool_constant<static_cast<int>(C::InnerStrideAtCompileTime) == 1 &&
                         (static_cast<bool>(C::IsVectorAtCompileTime) ||
                          std::is_same_v<std::remove_cv_t<C>, typename C::PlainObject>)> {};

// An array of From can be seen as an array of To: the same type, or const added.
template <class From, class To>
inline constexpr bool kSameElements = std::is_convertible_v<From (*)[], To (*)[]>;
}  // namespace detail

template <class T>
class Span {
 public:
  using element_type = T;
  using value_type = std::remove_cv_t<T>;
  using size_type = std::size_t;
  using iterator = T*;

  constexpr Span() noexcept = default;
  constexpr Span(T* data, std::size_t size) noexcept : data_(data), size_(size) {}

  template <std::size_t N, class U, class = std::enable_if_t<detail::kSameElements<U, T>>>
  constexpr Span(U (&array)[N]) noexcept : data_(array), size_(N) {}

  template <class U, class = std::enable_if_t<detail::kSameElements<U, T> && !std::is_same_v<U, T>>>
  constexpr Span(Span<U> other) noexcept : data_(other.data()), size_(other.size()) {}

  // std::vector, std::array, std::string, ... A temporary is taken only where it cannot be written through.
  template <class C, class Container = std::remove_reference_t<C>,
            class U = typename detail::ElementOf<Container>::type,
            class = std::enable_if_t<!detail::IsSpan<std::remove_cv_t<Container>>::value &&
                                     detail::IsContiguous<Container>::value && detail::kSameElements<U, T> &&
                                     (std::is_lvalue_reference_v<C> || std::is_const_v<T>)>>
  constexpr Span(C&& container) noexcept : data_(container.data()), size_(container.size()) {}

  constexpr T* data() const noexcept { return data_; }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr bool empty() const noexcept { return size_ == 0; }
  constexpr T& operator[](std::size_t i) const noexcept { return data_[i]; }
  constexpr T& front() const noexcept { return data_[0]; }
  constexpr T& back() const noexcept { return data_[size_ - 1]; }
  constexpr T* begin() const noexcept { return data_; }
  constexpr T* end() const noexcept { return data_ + size_; }

  // The part from `offset` on, `count` elements or as many as there are. Beyond the end it is empty.
  constexpr Span subspan(std::size_t offset,
                         std::size_t count = static_cast<std::size_t>(-1)) const noexcept {
    const std::size_t start = offset < size_ ? offset : size_;
    const std::size_t rest = size_ - start;
    return Span(data_ + start, count < rest ? count : rest);
  }
  constexpr Span first(std::size_t count) const noexcept { return subspan(0, count); }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

template <class C, class U = typename detail::ElementOf<C>::type>
Span(C&) -> Span<U>;
template <class U, std::size_t N>
Span(U (&)[N]) -> Span<U>;

}  // namespace diffrt
