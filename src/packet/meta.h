// What parse found in a frame. Offsets count from the first byte of the frame. Lives in an array beside
// the burst while a worker handles it; travels in the mbuf's private area (stash) when the packet changes
// hands over a ring.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "base/drop_reason.h"
#include "base/limits.h"
#include "wire/addr.h"

namespace sluice {

enum MetaFlag : uint16_t {
  kMetaL2Group = 1 << 0,      // destination MAC is multicast or broadcast
  kMetaVlan = 1 << 1,         // one or two tags in front of the EtherType
  kMetaIpOptions = 1 << 2,    // IPv4 options, or an IPv6 hop-by-hop header: the slow path looks at them
  kMetaFragFirst = 1 << 3,    // first fragment (offset 0, more to come)
  kMetaFragLater = 1 << 4,    // any other fragment: ports are zero
  kMetaPortsValid = 1 << 5,   // sport/dport hold ports, or ICMP type/code
  kMetaL4Short = 1 << 6,      // the L4 header is cut short (by the packet, not by fragmentation)
  kMetaExtHidden = 1 << 7,    // IPv6 later fragment whose protocol is 0, 43 or 60, or a header chain cut short
  kMetaLocalOrigin = 1 << 8,  // made by the box: no TTL decrement, no filter
  kMetaSteered = 1 << 9,      // came over the hand-off ring: is not steered again
};

// What the receiver of a ring is to do with the packet.
enum class RingKind : uint8_t {
  local,        // worker → stack: for one of the box's addresses (or ARP, ND, group traffic)
  resolve,      // worker → stack: ready to leave through `egress` but for the MAC of `next_hop`
  transmit,     // stack → worker: a whole frame, to be sent through `egress`
  route,        // stack → worker: an IP packet made by the box, to be routed; Ethernet header space stands in front
  refuse,       // stack → worker: answer with ICMP error `icmp_type`/`icmp_code`, then drop for `reason`
  steer,        // worker → worker: belongs to the other's flows
};

struct Meta {
  uint16_t flags = 0;
  uint8_t family = 0;      // 4, 6; 0: not IP (ethertype says what)
  uint8_t proto = 0;       // the upper-layer protocol, behind extension headers
  uint16_t ethertype = 0;  // host order, behind VLAN tags
  uint16_t l3 = 0;         // offset of the IP header (or of what follows the EtherType)
  uint16_t l4 = 0;         // offset of the upper-layer header; for later fragments, of the fragment's data
  uint16_t ip_length = 0;  // the IP packet's length by its own header: l3 + ip_length ≤ frame length. Of a packet that the
                           // port is to cut: of the largest piece, which is what links have to have room for
  uint16_t sport = 0, dport = 0;  // raw (big-endian as in memory); ICMP: type in sport's, code in dport's low byte, host order
  uint16_t frag_offset = 0;       // bytes
  uint16_t vlan = 0;       // outer VLAN id, 0: untagged
  uint16_t in_port = kNoPort;
  // set when the packet changes hands
  uint16_t egress = kNoPort;
  IpAddr next_hop;
  RingKind kind = RingKind::local;
  uint8_t worker = 0;      // who punted it, and gets it back
  uint8_t icmp_type = 0, icmp_code = 0;
  uint32_t icmp_info = 0;  // MTU or pointer, host order
  DropReason reason = DropReason::count_;

  bool has(MetaFlag f) const { return flags & f; }
  bool fragment() const { return flags & (kMetaFragFirst | kMetaFragLater); }
};

// Every pool has a private area of this size, zero-copy with the mbuf.
inline constexpr unsigned kMbufPrivate = 64;
static_assert(sizeof(Meta) <= kMbufPrivate && std::is_trivially_copyable_v<Meta>);

inline Meta& stash(rte_mbuf* m) { return *static_cast<Meta*>(rte_mbuf_to_priv(m)); }

}  // namespace sluice
