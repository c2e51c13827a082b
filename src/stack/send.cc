#include "stack/send.h"

#include <algorithm>
#include <cstring>

#include "stack/own.h"
#include "wire/checksum.h"

namespace sluice::stack {

using wire::EthHdr;
using wire::Ip4Hdr;
using wire::Ip6Frag;
using wire::Ip6Hdr;

namespace {

constexpr unsigned kSmallestMtu = 68;  // RFC 791
constexpr uint16_t kDontFragment = 0x4000, kMoreFragments = 0x2000;

void write_ip4(uint8_t* p, const Header& h, unsigned options, size_t payload, uint16_t id, uint16_t frag) {
  const unsigned header = static_cast<unsigned>(sizeof(Ip4Hdr)) + options;
  Ip4Hdr* ip = wire::at<Ip4Hdr>(p);
  *ip = {static_cast<uint8_t>(0x40 | header / 4),
         h.traffic_class,
         be16::from(static_cast<uint16_t>(header + payload)),
         be16::from(id),
         be16::from(frag),
         h.hops,
         h.proto,
         {},
         h.src.v4(),
         h.dst.v4()};
  ip->checksum = wire::finish(wire::sum_bytes(p, header));
}

void write_ip6(uint8_t* p, const Header& h, uint8_t next_header, size_t payload) {
  *wire::at<Ip6Hdr>(p) = {be32::from(6u << 28 | uint32_t{h.traffic_class} << 20),
                          be16::from(static_cast<uint16_t>(payload)),
                          next_header,
                          h.hops,
                          h.src.v6(),
                          h.dst.v6()};
}

}  // namespace

void write_headers(uint8_t* frame, const Header& h, size_t payload, uint16_t id) {
  const bool v4 = h.src.family == 4;
  *wire::at<EthHdr>(frame) = {{}, {}, be16::from(v4 ? wire::kEthIp4 : wire::kEthIp6)};
  if (v4) write_ip4(frame + kEthRoom, h, 0, payload, id, h.dont_fragment ? kDontFragment : 0);
  else write_ip6(frame + kEthRoom, h, h.proto, payload);
}

Meta own_meta(const Header& h, unsigned l4, size_t payload) {
  Meta meta;
  meta.flags = kMetaLocalOrigin;
  meta.family = h.src.family;
  meta.proto = h.proto;
  meta.ethertype = h.src.family == 4 ? wire::kEthIp4 : wire::kEthIp6;
  meta.l3 = kEthRoom;
  meta.l4 = static_cast<uint16_t>(l4);
  meta.ip_length = static_cast<uint16_t>(l4 - kEthRoom + payload);
  meta.in_port = h.in_port;
  meta.worker = h.worker;
  return meta;
}

void Sender::send(Turn& t, const Header& h, rte_mbuf* m, wire::ConstBytes options) {
  const bool v4 = h.src.family == 4;
  const unsigned header = static_cast<unsigned>(v4 ? sizeof(Ip4Hdr) + options.size() : sizeof(Ip6Hdr));
  const unsigned payload = m->data_len;
  if (!v4 && header + payload > mtu_towards(t, h)) {
    fragments6(t, h, bytes_of(m), mtu_towards(t, h));
    return t.consume(m);
  }
  if (!rte_pktmbuf_prepend(m, static_cast<uint16_t>(kEthRoom + header))) return t.drop(m, DropReason::no_buffer);
  uint8_t* ip = bytes_of(m).data() + kEthRoom;
  if (v4) {
    std::copy(options.begin(), options.end(), ip + sizeof(Ip4Hdr));
    write_ip4(ip, h, static_cast<unsigned>(options.size()), payload, h.dont_fragment ? 0 : next_id(h),
              h.dont_fragment ? kDontFragment : 0);
  } else {
    write_ip6(ip, h, h.proto, payload);
  }
  finish(t, h, m, kEthRoom + header, 0, 0);
}

void Sender::send(Turn& t, const Header& h, wire::ConstBytes message) {
  const unsigned mtu = std::min(mtu_towards(t, h), buffer_room(t.core.pool));
  if (h.src.family == 4) return fragments4(t, h, message, mtu);
  if (sizeof(Ip6Hdr) + message.size() > mtu) return fragments6(t, h, message, mtu);
  // What fits carries no fragment header, although the request did (RFC 8021: no atomic fragments).
  rte_mbuf* m = t.make(static_cast<unsigned>(kEthRoom + sizeof(Ip6Hdr) + message.size()));
  if (!m) return;
  uint8_t* p = bytes_of(m).data() + kEthRoom;
  write_ip6(p, h, h.proto, message.size());
  std::memcpy(p + sizeof(Ip6Hdr), message.data(), message.size());
  finish(t, h, m, kEthRoom + sizeof(Ip6Hdr), 0, 0);
}

unsigned Sender::mtu_towards(Turn& t, const Header& h) {
  const Interface* ifc = t.port(h.in_port);
  const unsigned link = std::max<unsigned>(ifc ? ifc->mtu : 0, kSmallestMtu);
  return h.dst.family == 6 ? path_mtu_.towards(t.now, h.dst.v6(), link) : link;
}

void Sender::fragments4(Turn& t, const Header& h, wire::ConstBytes message, unsigned mtu) {
  const unsigned piece = (mtu - static_cast<unsigned>(sizeof(Ip4Hdr))) & ~7u;
  const uint16_t id = next_id(h);
  for (size_t at = 0; at < message.size(); at += piece) {
    const size_t n = std::min<size_t>(piece, message.size() - at);
    const bool more = at + n < message.size();
    constexpr unsigned kL4 = kEthRoom + sizeof(Ip4Hdr);
    rte_mbuf* m = t.make(static_cast<unsigned>(kL4 + n));
    if (!m) return;
    uint8_t* p = bytes_of(m).data();
    const auto frag = static_cast<uint16_t>((more ? kMoreFragments : 0) | at / 8);
    write_ip4(p + kEthRoom, h, 0, n, id, frag);
    std::memcpy(p + kL4, message.data() + at, n);
    const uint16_t flags = at > 0 ? kMetaFragLater : more ? kMetaFragFirst : 0;
    finish(t, h, m, kL4, flags, static_cast<uint16_t>(at));
  }
}

void Sender::fragments6(Turn& t, const Header& h, wire::ConstBytes message, unsigned mtu) {
  constexpr unsigned kHeaders = sizeof(Ip6Hdr) + sizeof(Ip6Frag);
  const unsigned piece = (mtu - kHeaders) & ~7u;
  const be32 id = be32::from(static_cast<uint32_t>(t.core.random()));
  for (size_t at = 0; at < message.size(); at += piece) {
    const size_t n = std::min<size_t>(piece, message.size() - at);
    const bool more = at + n < message.size();
    constexpr unsigned kL4 = kEthRoom + kHeaders;
    rte_mbuf* m = t.make(static_cast<unsigned>(kL4 + n));
    if (!m) return;
    uint8_t* p = bytes_of(m).data();
    write_ip6(p + kEthRoom, h, wire::kProtoFragment, sizeof(Ip6Frag) + n);
    *wire::at<Ip6Frag>(p + kEthRoom + sizeof(Ip6Hdr)) = {
        h.proto, 0, be16::from(static_cast<uint16_t>(at | (more ? 1 : 0))), id};
    std::memcpy(p + kL4, message.data() + at, n);
    const uint16_t flags = at > 0 ? kMetaFragLater : more ? kMetaFragFirst : 0;
    finish(t, h, m, kL4, flags, static_cast<uint16_t>(at));
  }
}

void Sender::finish(Turn& t, const Header& h, rte_mbuf* m, unsigned l4, uint16_t flags, uint16_t frag_offset) {
  const bool v4 = h.src.family == 4;
  wire::Bytes b = bytes_of(m);
  *wire::at<EthHdr>(b.data()) = {{}, {}, be16::from(v4 ? wire::kEthIp4 : wire::kEthIp6)};
  Meta meta = own_meta(h, l4, b.size() - l4);
  meta.flags |= flags;
  meta.frag_offset = frag_offset;
  if (frag_offset == 0 && b.size() >= l4 + 4) {
    meta.flags |= kMetaPortsValid;
    const bool icmp = h.proto == wire::kProtoIcmp || h.proto == wire::kProtoIcmp6;
    meta.sport = icmp ? b[l4] : static_cast<uint16_t>(b[l4] | b[l4 + 1] << 8);
    meta.dport = icmp ? b[l4 + 1] : static_cast<uint16_t>(b[l4 + 2] | b[l4 + 3] << 8);
  }
  if (v4 && b[kEthRoom] > 0x45) meta.flags |= kMetaIpOptions;
  stash(m) = meta;

  // A link-local address means this link and no route (RFC 4007 6).
  const bool scoped = !v4 && (h.src.v6().link_local() || h.dst.v6().link_local());
  if (!scoped) return t.route(m);
  const Interface* ifc = t.port(h.in_port);
  if (!ifc || !on_link(*ifc, h.dst)) return t.drop(m, DropReason::no_route);
  stash(m).egress = h.in_port;
  stash(m).next_hop = h.dst;
  neighbors_.output(t, m);
}

uint16_t Sender::next_id(const Header& h) {
  const Ip6 a = h.src.v6(), b = h.dst.v6();
  const uint64_t hash = hash_words(key_, a.hi(), b.hi());
  return static_cast<uint16_t>(++ids_[hash & 0xff] + static_cast<uint16_t>(hash >> 16));
}

}  // namespace sluice::stack
