// The key of a flow: addresses, protocol, ports, the port it came in through (rules may name it, and a
// session is bound to its two ports), and what kind of packet it is.
//
//   whole     ports, or for ICMP type and code and, where it has one, the query's identifier
//   first     first fragment: as above. Kept apart because its route must be that of the later fragments
//   later     later fragments of any datagram: no ports
//   portless  ends before its ports, or a first fragment that does: no ports
//   tiny      a fragment that could hide what rules look at (RFC 1858, RFC 7112): never has an entry
//   datagram  not a packet's key: later fragments of one datagram that a session lets through, by its
//             identification. See session.h
#pragma once

#include <cstdint>
#include <optional>

#include "base/hash.h"
#include "packet/buf.h"
#include "packet/meta.h"
#include "table/fib.h"
#include "table/flow_table.h"
#include "table/rule_set.h"
#include "path/action.h"
#include "wire/headers.h"

namespace sluice::path {

enum class KeyKind : uint8_t { whole, first, later, portless, tiny, datagram };

// The part that both families share, as one word: sport 0-15 · dport 16-31 (raw; ICMP: type << 8 | code,
// identifier raw) · in_port 32-47 · protocol 48-55 · kind 56-63.
struct FlowTail {
  uint64_t w = 0;
  static FlowTail of(uint16_t sport, uint16_t dport, uint16_t in_port, uint8_t proto, KeyKind kind) {
    return {sport | uint64_t{dport} << 16 | uint64_t{in_port} << 32 | uint64_t{proto} << 48 |
            uint64_t{static_cast<uint8_t>(kind)} << 56};
  }
  uint16_t sport() const { return static_cast<uint16_t>(w); }
  uint16_t dport() const { return static_cast<uint16_t>(w >> 16); }
  uint16_t in_port() const { return static_cast<uint16_t>(w >> 32); }
  uint8_t proto() const { return static_cast<uint8_t>(w >> 48); }
  KeyKind kind() const { return static_cast<KeyKind>(w >> 56); }
  bool has_ports() const { return kind() == KeyKind::whole || kind() == KeyKind::first; }
  bool operator==(const FlowTail&) const = default;
};

struct FlowKey4 {
  uint64_t addresses;  // source, destination, as in the header
  FlowTail tail;
  Ip4 src() const { return {be32::from_raw(static_cast<uint32_t>(addresses))}; }
  Ip4 dst() const { return {be32::from_raw(static_cast<uint32_t>(addresses >> 32))}; }
  bool operator==(const FlowKey4&) const = default;
};
struct FlowKey6 {
  uint64_t address[4];  // source, destination, as in the header
  FlowTail tail;
  Ip6 src() const { return get(0); }
  Ip6 dst() const { return get(2); }
  Ip6 get(unsigned i) const {
    Ip6 a;
    std::memcpy(a.b.data(), &address[i], 16);
    return a;
  }
  bool operator==(const FlowKey6&) const = default;
};

// What differs between the families, for code that is written once for both.
struct V4 {
  static constexpr uint8_t kFamily = 4;
  static constexpr uint8_t kIcmp = wire::kProtoIcmp;
  using Addr = Ip4;
  using Hdr = wire::Ip4Hdr;
  using Key = FlowKey4;
  using RuleKey = RuleKey4;
  using Fib = Fib4;
  using Table = FlowTable<FlowKey4, FlowAction>;

  static Key key(const uint8_t* ip, FlowTail t) { return {wire::load64(ip + 12), t}; }
  static Key key(const Ip4& src, const Ip4& dst, FlowTail t) {
    return {src.v.raw() | uint64_t{dst.v.raw()} << 32, t};
  }
  static uint64_t hash(const HashKey& k, const Key& key) { return hash_words(k, key.addresses, key.tail.w); }
};
struct V6 {
  static constexpr uint8_t kFamily = 6;
  static constexpr uint8_t kIcmp = wire::kProtoIcmp6;
  using Addr = Ip6;
  using Hdr = wire::Ip6Hdr;
  using Key = FlowKey6;
  using RuleKey = RuleKey6;
  using Fib = Fib6;
  using Table = FlowTable<FlowKey6, FlowAction>;

  static Key key(const uint8_t* ip, FlowTail t) {
    return {{wire::load64(ip + 8), wire::load64(ip + 16), wire::load64(ip + 24), wire::load64(ip + 32)}, t};
  }
  static Key key(const Ip6& src, const Ip6& dst, FlowTail t) {
    return {{src.hi(), src.lo(), dst.hi(), dst.lo()}, t};
  }
  static uint64_t hash(const HashKey& k, const Key& key) {
    const uint64_t w[5] = {key.address[0], key.address[1], key.address[2], key.address[3], key.tail.w};
    return hash_words(k, w, 5);
  }
};

inline bool is_icmp(uint8_t proto) { return proto == wire::kProtoIcmp || proto == wire::kProtoIcmp6; }

// For packets other than whole ones with ports.
FlowTail unusual_tail(const rte_mbuf* m, const Meta& meta);

template <class F>
typename F::Key make_key(const rte_mbuf* m, const Meta& meta) {
  const uint8_t* ip = rte_pktmbuf_mtod_offset(m, const uint8_t*, meta.l3);
  constexpr uint16_t kUnusual = kMetaFragFirst | kMetaFragLater | kMetaL4Short | kMetaExtHidden;
  if ((meta.flags & (kUnusual | kMetaPortsValid)) == kMetaPortsValid && !is_icmp(meta.proto)) [[likely]]
    return F::key(ip, FlowTail::of(meta.sport, meta.dport, meta.in_port, meta.proto, KeyKind::whole));
  return F::key(ip, unusual_tail(m, meta));
}

// The key under which answers come in through `in_port`; none where the packet draws no answer of its own
// (an ICMP message that is no query, a packet without ports where there should be some).
template <class F>
std::optional<typename F::Key> reply_key(const typename F::Key& k, uint16_t in_port);

// The key of the packet that an ICMP error tells about, as it went through the box when it came in through
// `in_port`; none: no error, or too little of it is there.
template <class F>
std::optional<typename F::Key> embedded_key(const rte_mbuf* m, const Meta& meta, uint16_t in_port);
bool is_icmp_error(const Meta& meta);

// The key for later fragments of the datagram that this fragment belongs to.
template <class F>
typename F::Key datagram_key(const rte_mbuf* m, const Meta& meta);

template <class F>
typename F::RuleKey rule_key(const typename F::Key& k, uint16_t out_port);

// Picks a next hop: all packets of a flow get the same, and so do all fragments of a datagram.
template <class F>
uint32_t route_hash(const HashKey& k, const typename F::Key& key) {
  uint64_t ports = uint64_t{key.tail.proto()} << 32;
  if (key.tail.kind() == KeyKind::whole) ports |= key.tail.w & 0xffffffff;
  if (is_icmp(key.tail.proto())) ports &= ~uint64_t{0xffff};  // by identifier: requests of a ping stay together
  typename F::Key k2 = key;
  k2.tail.w = ports;
  return static_cast<uint32_t>(F::hash(k, k2) >> 32);
}

}  // namespace sluice::path
