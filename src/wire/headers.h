// Headers as they lie on the wire, and the only place that casts bytes to them. A view is handed out
// only where all its bytes are there. Sources: IEEE 802.3/802.1Q, RFC 826, 791, 8200, 792, 4443, 4861,
// 768, 9293.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "base/endian.h"
#include "wire/addr.h"

namespace sluice::wire {

using Bytes = std::span<uint8_t>;
using ConstBytes = std::span<const uint8_t>;

struct EthHdr {
  Mac dst, src;
  be16 type;
};
struct VlanTag {  // what follows a TPID
  be16 tci;
  be16 type;
};
inline constexpr uint16_t kEthIp4 = 0x0800, kEthArp = 0x0806, kEthIp6 = 0x86dd, kEthVlan = 0x8100,
                          kEthQinQ = 0x88a8, kEthQinQOld = 0x9100;
inline constexpr unsigned kEthMinFrame = 60;  // without FCS

struct ArpHdr {
  be16 hardware, protocol;
  uint8_t hlen, plen;
  be16 op;
  Mac sha;
  Ip4 spa;
  Mac tha;
  Ip4 tpa;
};
static_assert(sizeof(ArpHdr) == 28);

struct Ip4Hdr {
  uint8_t version_ihl, tos;
  be16 total_length, id, frag;
  uint8_t ttl, proto;
  be16 checksum;
  Ip4 src, dst;
  unsigned version() const { return version_ihl >> 4; }
  unsigned header_length() const { return (version_ihl & 15u) * 4; }
  uint16_t frag_offset() const { return static_cast<uint16_t>((frag.host() & 0x1fff) * 8); }
  bool more_fragments() const { return frag.host() & 0x2000; }
  bool dont_fragment() const { return frag.host() & 0x4000; }
};
static_assert(sizeof(Ip4Hdr) == 20);

struct Ip6Hdr {
  be32 version_class_flow;
  be16 payload_length;
  uint8_t next_header, hop_limit;
  Ip6 src, dst;
  unsigned version() const { return version_class_flow.host() >> 28; }
};
static_assert(sizeof(Ip6Hdr) == 40);

struct Ip6Ext {  // hop-by-hop, routing, destination options
  uint8_t next_header, length8;  // in units of 8 bytes, the first 8 not counted
};
struct Ip6Frag {
  uint8_t next_header, reserved;
  be16 offset_flags;
  be32 id;
  uint16_t offset() const { return offset_flags.host() & 0xfff8; }
  bool more() const { return offset_flags.host() & 1; }
};
static_assert(sizeof(Ip6Frag) == 8);

struct IcmpHdr {  // ICMP and ICMPv6
  uint8_t type, code;
  be16 checksum;
  be32 rest;
};
struct IcmpEcho {
  uint8_t type, code;
  be16 checksum, id, seq;
};
struct NdHdr {  // neighbour solicitation and advertisement, options follow
  uint8_t type, code;
  be16 checksum;
  be32 flags;
  Ip6 target;
};
static_assert(sizeof(NdHdr) == 24);

struct UdpHdr {
  be16 sport, dport, length, checksum;
};
struct TcpHdr {
  be16 sport, dport;
  be32 seq, ack;
  uint8_t offset_reserved, flags;
  be16 window, checksum, urgent;
  unsigned header_length() const { return (offset_reserved >> 4) * 4u; }
};
static_assert(sizeof(TcpHdr) == 20);
inline constexpr uint8_t kTcpFin = 1, kTcpSyn = 2, kTcpRst = 4, kTcpPsh = 8, kTcpAck = 16, kTcpUrg = 32;

inline constexpr uint8_t kProtoHopByHop = 0, kProtoIcmp = 1, kProtoTcp = 6, kProtoUdp = 17, kProtoRouting = 43,
                         kProtoSctp = 132, kProtoFragment = 44, kProtoEsp = 50, kProtoAh = 51, kProtoIcmp6 = 58,
                         kProtoNone = 59, kProtoDestOpts = 60;

template <class H>
concept Header = std::is_trivially_copyable_v<H> && alignof(H) == 1;

// The header at `offset`, or null where the bytes end before it does.
template <Header H>
const H* peek(ConstBytes bytes, size_t offset = 0) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(H)) return nullptr;
  return reinterpret_cast<const H*>(bytes.data() + offset);
}
template <Header H>
H* edit(Bytes bytes, size_t offset = 0) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(H)) return nullptr;
  return reinterpret_cast<H*>(bytes.data() + offset);
}
// For bytes whose length parse has already checked: no test. `p` must have room for a whole H.
template <Header H>
H* at(uint8_t* p) { return reinterpret_cast<H*>(p); }
template <Header H>
const H* at(const uint8_t* p) { return reinterpret_cast<const H*>(p); }

// Words as they lie in memory, for code that compares or sums several fields at once.
inline uint16_t load16(const uint8_t* p) { uint16_t w; std::memcpy(&w, p, 2); return w; }
inline uint32_t load32(const uint8_t* p) { uint32_t w; std::memcpy(&w, p, 4); return w; }
inline uint64_t load64(const uint8_t* p) { uint64_t w; std::memcpy(&w, p, 8); return w; }

}  // namespace sluice::wire
