// A counter with one writer and any number of readers: a relaxed load and store, no locked
// instruction. Readers see each counter whole, but not several of them at one moment.
#pragma once

#include <atomic>
#include <cstdint>

namespace sluice {

class Counter {
 public:
  void add(uint64_t n) { v_.store(v_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  uint64_t get() const { return v_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> v_{0};
};

}  // namespace sluice
