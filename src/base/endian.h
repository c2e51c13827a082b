// Big-endian integers that do not convert by themselves: a forgotten byte swap is a compile error.
// Alignment 1, so that they can stand anywhere in a header.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace sluice {

template <class T>
constexpr T byte_swapped(T v) {
  if constexpr (sizeof(T) == 2) return __builtin_bswap16(v);
  else if constexpr (sizeof(T) == 4) return __builtin_bswap32(v);
  else return __builtin_bswap64(v);
}

template <class T>
class [[gnu::packed]] BigEndian {
 public:
  constexpr BigEndian() = default;
  static constexpr BigEndian from(T host) { return BigEndian(swap(host)); }
  static constexpr BigEndian from_raw(T raw) { return BigEndian(raw); }
  constexpr T host() const { return swap(raw_); }
  constexpr T raw() const { return raw_; }  // as it lies in memory: for hashing and comparing
  constexpr bool operator==(const BigEndian& o) const { return raw_ == o.raw_; }

 private:
  constexpr explicit BigEndian(T raw) : raw_(raw) {}
  static constexpr T swap(T v) {
    if constexpr (std::endian::native == std::endian::big) return v;
    else return byte_swapped(v);
  }
  T raw_ = 0;
};

using be16 = BigEndian<uint16_t>;
using be32 = BigEndian<uint32_t>;
using be64 = BigEndian<uint64_t>;
static_assert(sizeof(be32) == 4 && alignof(be32) == 1);

}  // namespace sluice
