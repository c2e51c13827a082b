// Fuzz input, read as a stream of small values; zeros once it has run out.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

namespace sluice::fuzz {

class Input {
 public:
  explicit Input(std::span<const uint8_t> bytes) : left_(bytes) {}
  bool done() const { return left_.empty(); }
  uint8_t u8() {
    if (left_.empty()) return 0;
    const uint8_t v = left_.front();
    left_ = left_.subspan(1);
    return v;
  }
  uint16_t u16() {
    const unsigned high = u8();
    return static_cast<uint16_t>(high << 8 | u8());
  }
  uint32_t u32() {
    const uint32_t high = u16();
    return high << 16 | u16();
  }
  bool flag() { return u8() & 1; }
  std::span<const uint8_t> bytes(size_t n) {
    const auto out = left_.first(std::min(n, left_.size()));
    left_ = left_.subspan(out.size());
    return out;
  }

 private:
  std::span<const uint8_t> left_;
};

// Aborts where something that must hold does not, and says where.
inline void check(bool ok, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (ok) return;
  std::fprintf(stderr, "%s:%d: what must hold does not\n", file, line);
  std::abort();
}

}  // namespace sluice::fuzz
