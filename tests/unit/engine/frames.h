// Frames for the box's tests, written and read by the wire types.
#pragma once

#include <cstring>

#include "fake_port.h"
#include "wire/checksum.h"
#include "wire/headers.h"

namespace sluice::test {

inline const Mac kBroadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
inline Mac mac(uint8_t last) { return {{2, 0, 0, 0, 0, last}}; }
inline Ip4 ip(const char* s) { return *parse_ip4(s); }

template <class H>
void append(Frame& f, const H& h) {
  const auto* p = reinterpret_cast<const uint8_t*>(&h);
  f.insert(f.end(), p, p + sizeof h);
}
inline wire::EthHdr eth(const Mac& dst, const Mac& src, uint16_t type) { return {dst, src, be16::from(type)}; }

inline Frame arp(uint16_t op, const Mac& sha, Ip4 spa, const Mac& tha, Ip4 tpa) {
  Frame f;
  append(f, eth(op == 1 ? kBroadcast : tha, sha, wire::kEthArp));
  append(f, wire::ArpHdr{be16::from(1), be16::from(wire::kEthIp4), 6, 4, be16::from(op), sha, spa, tha, tpa});
  f.resize(wire::kEthMinFrame);
  return f;
}

inline Frame ip4(const Mac& dst, const Mac& src, Ip4 from, Ip4 to, uint8_t proto, uint8_t ttl, const Frame& payload) {
  Frame f;
  append(f, eth(dst, src, wire::kEthIp4));
  wire::Ip4Hdr h{};
  h.version_ihl = 0x45;
  h.total_length = be16::from(static_cast<uint16_t>(sizeof h + payload.size()));
  h.ttl = ttl;
  h.proto = proto;
  h.src = from;
  h.dst = to;
  h.checksum = wire::finish(wire::sum_bytes(reinterpret_cast<const uint8_t*>(&h), sizeof h));
  append(f, h);
  f.insert(f.end(), payload.begin(), payload.end());
  if (f.size() < wire::kEthMinFrame) f.resize(wire::kEthMinFrame);
  return f;
}

inline Frame echo_request(const Mac& dst, const Mac& src, Ip4 from, Ip4 to) {
  Frame body;
  append(body, wire::IcmpEcho{8, 0, {}, be16::from(7), be16::from(1)});
  body.resize(body.size() + 32, 0x5a);
  const be16 sum = wire::finish(wire::sum_bytes(body.data(), body.size()));
  std::memcpy(body.data() + offsetof(wire::IcmpEcho, checksum), &sum, 2);
  return ip4(dst, src, from, to, wire::kProtoIcmp, 64, body);
}

inline Frame udp(const Mac& dst, const Mac& src, Ip4 from, uint16_t sport, Ip4 to, uint16_t dport, uint8_t ttl = 64) {
  Frame body;
  append(body, wire::UdpHdr{be16::from(sport), be16::from(dport), be16::from(8 + 18), {}});  // no checksum
  body.resize(body.size() + 18, 0xa5);
  return ip4(dst, src, from, to, wire::kProtoUdp, ttl, body);
}

// Views of a frame; null where it is something else.
inline const wire::EthHdr* eth_of(const Frame& f) { return wire::peek<wire::EthHdr>(f); }
inline const wire::ArpHdr* arp_of(const Frame& f) {
  const auto* e = eth_of(f);
  return e && e->type.host() == wire::kEthArp ? wire::peek<wire::ArpHdr>(f, sizeof *e) : nullptr;
}
inline const wire::Ip4Hdr* ip4_of(const Frame& f) {
  const auto* e = eth_of(f);
  return e && e->type.host() == wire::kEthIp4 ? wire::peek<wire::Ip4Hdr>(f, sizeof *e) : nullptr;
}
inline const wire::IcmpHdr* icmp_of(const Frame& f) {
  const auto* h = ip4_of(f);
  return h && h->proto == wire::kProtoIcmp ? wire::peek<wire::IcmpHdr>(f, 14 + h->header_length()) : nullptr;
}
inline const wire::UdpHdr* udp_of(const Frame& f) {
  const auto* h = ip4_of(f);
  return h && h->proto == wire::kProtoUdp ? wire::peek<wire::UdpHdr>(f, 14 + h->header_length()) : nullptr;
}

}  // namespace sluice::test
