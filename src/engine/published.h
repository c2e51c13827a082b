// A small value that one thread writes and others read without a lock: each word is whole, several words may
// be of different moments. For statistics.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <type_traits>

namespace sluice::engine {

template <class T>
class Published {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % 8 == 0);
  using Words = std::array<uint64_t, sizeof(T) / 8>;

 public:
  void set(const T& v) {
    const Words w = std::bit_cast<Words>(v);
    for (size_t i = 0; i < w.size(); ++i) word_[i].store(w[i], std::memory_order_relaxed);
  }
  T get() const {
    Words w;
    for (size_t i = 0; i < w.size(); ++i) w[i] = word_[i].load(std::memory_order_relaxed);
    return std::bit_cast<T>(w);
  }

 private:
  std::array<std::atomic<uint64_t>, sizeof(T) / 8> word_{};
};

}  // namespace sluice::engine
