// A segment's payload on its way into packets: read piece by piece, copied, summed. What tcp_out.cc works with.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "tcp/segment.h"
#include "wire/checksum.h"

namespace sluice::stack {

// A place in a segment's payload that moves on.
class Payload {
 public:
  // `room`: bytes of the longest piece that no mbuf has, so that a fresh one can take it.
  Payload(std::span<const tcp::Slice> slices, uint32_t room) : slices_(slices), room_(room) {}

  struct Piece {
    const uint8_t* data;
    uint32_t length;
    rte_mbuf* m;  // whose bytes they are; null: a mbuf cannot refer to them
  };

  // The next bytes that lie in one place: at most `most`, of which there are as many.
  Piece next(uint32_t most) {
    const tcp::Slice& s = slices_.front();
    Piece p{s.data + at_, std::min(most, s.length - at_), lies_in(s) ? s.m : nullptr};
    if (!p.m) p.length = std::min(p.length, room_);
    at_ += p.length;
    if (at_ == s.length) {
      slices_ = slices_.subspan(1);
      at_ = 0;
    }
    return p;
  }
  // The next n bytes, all of which are there, to `append(bytes, length)`.
  template <class Append>
  void read(uint32_t n, Append&& append) {
    while (n > 0) {
      const Piece p = next(n);
      append(p.data, p.length);
      n -= p.length;
    }
  }

 private:
  static bool lies_in(const tcp::Slice& s) {
    if (!s.m) return false;
    const auto* from = static_cast<const uint8_t*>(s.m->buf_addr);
    return s.data >= from && s.data + s.length <= from + s.m->buf_len;
  }

  std::span<const tcp::Slice> slices_;
  uint32_t room_, at_ = 0;
};

// Copies pieces behind each other and keeps the one's complement sum of all of it.
class SummingCopy {
 public:
  explicit SummingCopy(uint8_t* to) : to_(to) {}
  void append(const uint8_t* from, uint32_t n) {
    uint64_t sum = wire::copy_and_sum(to_, from, n);
    // Behind an odd number of bytes the words begin in the middle of the checksum's.
    if (odd_) sum = byte_swapped(wire::fold16(sum));
    sum_ = wire::add_sums(sum_, sum);
    odd_ ^= n & 1;
    to_ += n;
  }
  uint64_t sum() const { return sum_; }

 private:
  uint8_t* to_;
  uint64_t sum_ = 0;
  bool odd_ = false;
};

}  // namespace sluice::stack
