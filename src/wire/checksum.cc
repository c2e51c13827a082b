#include "wire/checksum.h"

#include <cstring>

namespace sluice::wire {

namespace {

// Four words side by side, whatever registers the machine has; unaligned in memory.
using Words [[gnu::vector_size(32)]] = uint64_t;
constexpr size_t kStep = 64;

Words load(const uint8_t* p) {
  Words w;
  std::memcpy(&w, p, sizeof w);
  return w;
}

// Halves of words are added into words, so that no carry is lost: not within 2^32 additions.
struct Lanes {
  Words low{}, high{};
  void add(Words w) {
    low += w & 0xffffffff;
    high += w >> 32;
  }
  uint64_t total(uint64_t sum) const {
    for (unsigned i = 0; i < 4; i++) sum = add_sums(sum, low[i] + high[i]);
    return sum;
  }
};

}  // namespace

uint64_t sum_long(const uint8_t* p, size_t n, uint64_t sum) {
  Lanes a, b;
  for (; n >= kStep; p += kStep, n -= kStep) {
    a.add(load(p));
    b.add(load(p + 32));
  }
  return sum_words(p, n, b.total(a.total(sum)));
}

uint64_t copy_and_sum(uint8_t* to, const uint8_t* from, size_t n, uint64_t sum) {
  Lanes a, b;
  for (; n >= kStep; to += kStep, from += kStep, n -= kStep) {
    const Words x = load(from), y = load(from + 32);
    std::memcpy(to, &x, sizeof x);
    std::memcpy(to + 32, &y, sizeof y);
    a.add(x);
    b.add(y);
  }
  std::memcpy(to, from, n);
  return sum_words(to, n, b.total(a.total(sum)));
}

}  // namespace sluice::wire
