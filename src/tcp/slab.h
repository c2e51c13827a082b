// Equal items in one mapping, handed out by index: touched as they are first used, never given back. The free list is
// last in, first out, so that what is in the cache is used again. Items are trivially copyable and start as T{}.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

namespace sluice::tcp {

inline constexpr uint32_t kNone = UINT32_MAX;

// Zeroed lazily, with huge pages where the kernel gives them.
class Mapping {
 public:
  explicit Mapping(size_t bytes) : size_(bytes ? bytes : 1) {
    void* p = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    madvise(p, size_, MADV_HUGEPAGE);
    p_ = static_cast<std::byte*>(p);
  }
  ~Mapping() { munmap(p_, size_); }
  Mapping(const Mapping&) = delete;
  std::byte* data() const { return p_; }
  size_t size() const { return size_; }

 private:
  std::byte* p_;
  size_t size_;
};

template <class T>
class Slab {
  static_assert(std::is_trivially_destructible_v<T> && sizeof(T) >= sizeof(uint32_t));

 public:
  explicit Slab(uint32_t items) : capacity_(items), memory_(size_t{items} * sizeof(T)) {}

  // kNone: all are in use.
  uint32_t take() {
    uint32_t i = free_;
    if (i != kNone) free_ = *link(i);
    else if (touched_ < capacity_) i = touched_++;
    else return kNone;
    new (memory_.data() + size_t{i} * sizeof(T)) T{};
    used_++;
    return i;
  }
  void give(uint32_t i) {
    *link(i) = free_;
    free_ = i;
    used_--;
  }
  T& at(uint32_t i) { return *std::launder(reinterpret_cast<T*>(memory_.data() + size_t{i} * sizeof(T))); }
  const T& at(uint32_t i) const {
    return *std::launder(reinterpret_cast<const T*>(memory_.data() + size_t{i} * sizeof(T)));
  }
  uint32_t index_of(const T& t) const {
    return static_cast<uint32_t>(static_cast<size_t>(reinterpret_cast<const std::byte*>(&t) - memory_.data()) / sizeof(T));
  }
  uint32_t used() const { return used_; }
  uint32_t capacity() const { return capacity_; }
  uint32_t touched() const { return touched_; }  // indices below have been used at some time

 private:
  uint32_t* link(uint32_t i) { return reinterpret_cast<uint32_t*>(memory_.data() + size_t{i} * sizeof(T)); }

  uint32_t capacity_, touched_ = 0, used_ = 0, free_ = kNone;
  Mapping memory_;
};

}  // namespace sluice::tcp
