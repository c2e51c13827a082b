// What a device does to packets on their way out, asked for packet by packet with RTE_MBUF_F_TX_ flags.
#pragma once

#include <algorithm>

namespace sluice {

struct TxOffloads {
  // RTE_MBUF_F_TX_TCP_CKSUM: completes the TCP checksum, in whose field stands the pseudo-header's sum (RFC 9293 3.1).
  bool tcp_checksum = false;
  // mbufs of one packet, at most: more than 1, and packets may be chains.
  unsigned segments = 1;
  // RTE_MBUF_F_TX_TCP_SEG: cuts TCP over IPv4 and IPv6 into packets of tso_segsz bytes each. mbufs of what is cut, at
  // most, of which each packet may span `segments`; 0: it cuts nothing.
  unsigned tso_segments = 0;

  bool operator==(const TxOffloads&) const = default;
};

// What both can.
inline TxOffloads common(const TxOffloads& a, const TxOffloads& b) {
  return {a.tcp_checksum && b.tcp_checksum, std::min(a.segments, b.segments), std::min(a.tso_segments, b.tso_segments)};
}

}  // namespace sluice
