// The Internet checksum (RFC 1071) and its incremental update (RFC 1624). Sums are kept as they lie in
// memory, so that no byte swaps are needed; fold() gives what is stored in the header, as raw bytes.
#pragma once

#include <bit>
#include <cstdint>

#include "base/endian.h"
#include "wire/headers.h"

namespace sluice::wire {

// The same, word by word: for what is short.
inline uint64_t sum_words(const uint8_t* p, size_t n, uint64_t sum = 0) {
  while (n >= 8) {
    const uint64_t w = load64(p);
    sum += w;
    sum += sum < w;
    p += 8;
    n -= 8;
  }
  // 16-bit lanes may be added at any place of the word: one's complement does not tell them apart.
  uint64_t tail = 0;
  if (n & 4) {
    tail = load32(p);
    p += 4;
  }
  if (n & 2) {
    tail += load16(p);
    p += 2;
  }
  if (n & 1) tail += std::endian::native == std::endian::little ? *p : *p << 8;
  sum += tail;
  sum += sum < tail;
  return sum;
}

uint64_t sum_long(const uint8_t* p, size_t n, uint64_t sum);

// One's complement sum of n bytes, not folded. n may be odd only in the last call for a checksum.
inline uint64_t sum_bytes(const uint8_t* p, size_t n, uint64_t sum = 0) {
  return n >= 128 ? sum_long(p, n, sum) : sum_words(p, n, sum);
}

// Copies n bytes, which do not overlap, and adds them to the sum in the same pass.
uint64_t copy_and_sum(uint8_t* to, const uint8_t* from, size_t n, uint64_t sum = 0);

inline uint16_t fold16(uint64_t s) {
  s = (s & 0xffffffff) + (s >> 32);
  s = (s & 0xffffffff) + (s >> 32);
  s = (s & 0xffff) + (s >> 16);
  s = (s & 0xffff) + (s >> 16);
  return static_cast<uint16_t>(s);
}

// fold16(sum) == 0xffff, in fewer steps: for a sum that is not zero.
inline bool folds_to_ones(uint64_t sum) {
  sum += std::rotr(sum, 32);
  uint32_t high = static_cast<uint32_t>(sum >> 32);
  high += std::rotr(high, 16);
  return high >= 0xffff0000;
}

inline be16 finish(uint64_t sum) { return be16::from_raw(static_cast<uint16_t>(~fold16(sum))); }

inline uint64_t add_sums(uint64_t a, uint64_t b) {
  a += b;
  return a + (a < b);
}

// Sum of an IPv4 header including its checksum field: folds to 0xffff where it is right.
inline bool ip4_checksum_ok(const uint8_t* hdr, unsigned len) { return fold16(sum_bytes(hdr, len)) == 0xffff; }

inline uint64_t pseudo_sum(const Ip4& src, const Ip4& dst, uint8_t proto, uint32_t l4_len) {
  return uint64_t{src.v.raw()} + dst.v.raw() + be16::from(proto).raw() + be32::from(l4_len).raw();
}
inline uint64_t pseudo_sum(const Ip6& src, const Ip6& dst, uint8_t proto, uint32_t l4_len) {
  uint64_t s = sum_bytes(src.b.data(), 16);
  s = sum_bytes(dst.b.data(), 16, s);
  return add_sums(s, uint64_t{be32::from(l4_len).raw()} + be32::from(proto).raw());
}

// RFC 1624 eqn. 3: HC' = ~(~HC + ~m + m'), 16-bit words as they lie in memory. It never turns a right
// checksum into the negative zero 0xffff that the short form (eqn. 4) can produce.
inline be16 updated(be16 checksum, uint16_t old_raw, uint16_t new_raw) {
  uint32_t s = static_cast<uint16_t>(~checksum.raw()) + uint32_t{static_cast<uint16_t>(~old_raw)} + new_raw;
  s = (s & 0xffff) + (s >> 16);
  s = (s & 0xffff) + (s >> 16);
  return be16::from_raw(static_cast<uint16_t>(~s));
}

}  // namespace sluice::wire
