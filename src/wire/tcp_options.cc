#include "wire/tcp_options.h"

#include <algorithm>

namespace sluice::wire {
namespace {

uint16_t get16(const uint8_t* p) { return at<be16>(p)->host(); }
uint32_t get32(const uint8_t* p) { return at<be32>(p)->host(); }

// NOP NOP TS: what nearly every segment of an established connection carries, and nothing else.
constexpr uint32_t kAlignedTimestamps =
    uint32_t{kTcpOptNop} << 24 | uint32_t{kTcpOptNop} << 16 | uint32_t{kTcpOptTimestamps} << 8 | 10;

// One option of `length` bytes, kind and length included.
void take(TcpOptions& o, const uint8_t* p, unsigned length) {
  switch (p[0]) {
    case kTcpOptMss:
      if (length != 4) return;
      o.has_mss = true;
      o.mss = get16(p + 2);
      return;
    case kTcpOptWindowScale:
      if (length != 3) return;
      o.has_window_scale = true;
      o.window_scale = p[2];
      return;
    case kTcpOptSackPermitted:
      if (length == 2) o.sack_permitted = true;
      return;
    case kTcpOptSack:
      if (length < 10 || length > 2 + 8 * kMaxSackBlocks || (length - 2) % 8 != 0) return;
      o.sack_blocks = static_cast<uint8_t>((length - 2) / 8);
      for (unsigned i = 0; i < o.sack_blocks; i++) o.sack[i] = {get32(p + 2 + 8 * i), get32(p + 6 + 8 * i)};
      return;
    case kTcpOptTimestamps:
      if (length != 10) return;
      o.has_timestamps = true;
      o.ts_val = get32(p + 2);
      o.ts_ecr = get32(p + 6);
      return;
    default:
      return;
  }
}

class Writer {
 public:
  explicit Writer(uint8_t* out) : begin_(out), p_(out) {}
  void byte(uint8_t b) { *p_++ = b; }
  void word16(uint16_t v) {
    *at<be16>(p_) = be16::from(v);
    p_ += 2;
  }
  void word32(uint32_t v) {
    *at<be32>(p_) = be32::from(v);
    p_ += 4;
  }
  void nops(unsigned n) {
    while (n--) byte(kTcpOptNop);
  }
  void timestamps(const TcpOptions& o) {
    byte(kTcpOptTimestamps);
    byte(10);
    word32(o.ts_val);
    word32(o.ts_ecr);
  }
  unsigned length() const { return static_cast<unsigned>(p_ - begin_); }

 private:
  uint8_t *begin_, *p_;
};

}  // namespace

TcpOptions parse_tcp_options(ConstBytes options) {
  TcpOptions o;
  const uint8_t* p = options.data();
  if (options.size() == 12 && get32(p) == kAlignedTimestamps) {
    o.has_timestamps = true;
    o.ts_val = get32(p + 4);
    o.ts_ecr = get32(p + 8);
    return o;
  }
  const uint8_t* const end = p + options.size();
  while (p < end && *p != kTcpOptEnd) {
    if (*p == kTcpOptNop) {
      p++;
      continue;
    }
    const size_t left = static_cast<size_t>(end - p);
    if (left < 2 || p[1] < 2 || p[1] > left) {
      o.malformed = true;
      break;
    }
    take(o, p, p[1]);
    p += p[1];
  }
  return o;
}

unsigned build_tcp_options(uint8_t (&out)[kMaxTcpOptions], const TcpOptions& o) {
  Writer w(out);
  if (o.has_mss) {
    w.byte(kTcpOptMss);
    w.byte(4);
    w.word16(o.mss);
  }
  // SACK-permitted stands where the timestamps' two NOPs would.
  if (o.sack_permitted) {
    if (!o.has_timestamps) w.nops(2);
    w.byte(kTcpOptSackPermitted);
    w.byte(2);
  } else if (o.has_timestamps) {
    w.nops(2);
  }
  if (o.has_timestamps) w.timestamps(o);
  if (o.has_window_scale) {
    w.nops(1);
    w.byte(kTcpOptWindowScale);
    w.byte(3);
    w.byte(o.window_scale);
  }
  const unsigned room = kMaxTcpOptions - w.length();
  const unsigned blocks = room < 12 ? 0 : std::min({(room - 4) / 8, unsigned{o.sack_blocks}, kMaxSackBlocks});
  if (blocks > 0) {
    w.nops(2);
    w.byte(kTcpOptSack);
    w.byte(static_cast<uint8_t>(2 + 8 * blocks));
    for (unsigned i = 0; i < blocks; i++) {
      w.word32(o.sack[i].left);
      w.word32(o.sack[i].right);
    }
  }
  return w.length();
}

}  // namespace sluice::wire
