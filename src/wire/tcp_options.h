// TCP options (RFC 9293 3.2, 7323, 2018): parsed into a value, and built from one.
#pragma once

#include <cstdint>

#include "wire/headers.h"

namespace sluice::wire {

inline constexpr uint8_t kTcpEce = 64, kTcpCwr = 128;
inline constexpr uint8_t kTcpOptEnd = 0, kTcpOptNop = 1, kTcpOptMss = 2, kTcpOptWindowScale = 3,
                         kTcpOptSackPermitted = 4, kTcpOptSack = 5, kTcpOptTimestamps = 8;
inline constexpr unsigned kMaxTcpOptions = 40, kMaxSackBlocks = 4;

struct SackBlock {
  uint32_t left = 0, right = 0;  // [left, right), host order
  bool operator==(const SackBlock&) const = default;
};

struct TcpOptions {
  bool has_mss = false, has_window_scale = false, sack_permitted = false, has_timestamps = false;
  bool malformed = false;     // a length that cannot be: parsing stopped there, what came before holds
  uint8_t window_scale = 0;   // as sent, up to 255 (RFC 7323 2.3: above 14 is used as 14)
  uint8_t sack_blocks = 0;
  uint16_t mss = 0;
  uint32_t ts_val = 0, ts_ecr = 0;
  SackBlock sack[kMaxSackBlocks];
  bool operator==(const TcpOptions&) const = default;
};

// `options`: what stands between the fixed header and the data. An option of a known kind with a wrong length is
// ignored as a whole (RFC 9293 3.1, MUST-7); one that runs over the end stops the walk.
TcpOptions parse_tcp_options(ConstBytes options);

// Writes what is present, padded with NOPs to a multiple of 4, laid out as most stacks do (timestamps aligned), and
// as many SACK blocks as fit into kMaxTcpOptions. Returns the length.
unsigned build_tcp_options(uint8_t (&out)[kMaxTcpOptions], const TcpOptions& o);

}  // namespace sluice::wire
