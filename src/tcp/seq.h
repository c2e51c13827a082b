// Sequence numbers (RFC 9293 3.4): unsigned 32 bits that wrap round, compared by the sign of their distance.
#pragma once

#include <cstdint>

namespace sluice::tcp {

struct Seq {
  uint32_t v = 0;

  friend constexpr bool operator==(Seq, Seq) = default;
  friend constexpr int32_t operator-(Seq a, Seq b) { return static_cast<int32_t>(a.v - b.v); }
  friend constexpr Seq operator+(Seq a, uint32_t n) { return {a.v + n}; }
  friend constexpr Seq operator-(Seq a, uint32_t n) { return {a.v - n}; }
  friend constexpr bool operator<(Seq a, Seq b) { return a - b < 0; }
  friend constexpr bool operator<=(Seq a, Seq b) { return a - b <= 0; }
  friend constexpr bool operator>(Seq a, Seq b) { return a - b > 0; }
  friend constexpr bool operator>=(Seq a, Seq b) { return a - b >= 0; }
  constexpr Seq& operator+=(uint32_t n) {
    v += n;
    return *this;
  }
};

constexpr Seq later(Seq a, Seq b) { return a < b ? b : a; }
constexpr Seq earlier(Seq a, Seq b) { return a < b ? a : b; }

}  // namespace sluice::tcp
