// A packet for the box: the IP packet's bytes and what is known of them. The bytes lie in `m`, or, for a
// datagram that came in fragments, in the reassembly buffer, and `m` is its first fragment, which stands
// for it in the books and in ICMP quotes.
#pragma once

#include "stack/turn.h"

namespace sluice::stack {

struct Datagram {
  rte_mbuf* m;
  wire::Bytes packet;        // from the IP header to the end of the IP packet
  IpAddr src, dst;
  uint16_t in_port;
  uint8_t worker;
  uint8_t traffic_class;
  uint8_t hop_limit;
  uint8_t proto = 0;         // upper layer
  unsigned l4 = 0;           // offset in `packet`
  unsigned proto_at = 0;     // offset of the next-header field that named `proto`
  bool group = false;        // multicast or broadcast destination: never answered with an error
  bool anycast = false;      // to a subnet's routers: answered from an address of the box's own
  bool fragment_header = false;
  bool reassembled = false;

  wire::Bytes payload() const { return packet.subspan(l4); }
  uint8_t family() const { return src.family; }
};

}  // namespace sluice::stack
