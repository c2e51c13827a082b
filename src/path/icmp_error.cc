#include "path/icmp_error.h"

#include <algorithm>

#include "packet/buf.h"
#include "wire/checksum.h"
#include "wire/icmp_build.h"
#include "wire/martian.h"

namespace sluice::path {

namespace {

using wire::Bytes;
using wire::ConstBytes;

constexpr unsigned kEthernet = sizeof(wire::EthHdr);

struct Ends {
  IpAddr src, dst;
};

Ends ends_of(ConstBytes packet, uint8_t family) {
  if (family == 4) {
    const wire::Ip4Hdr* ip = wire::at<wire::Ip4Hdr>(packet.data());
    return {ip->src, ip->dst};
  }
  const wire::Ip6Hdr* ip = wire::at<wire::Ip6Hdr>(packet.data());
  return {ip->src, ip->dst};
}

bool own(const Interfaces& ifs, const IpAddr& a) {
  return std::ranges::any_of(ifs.port, [&](const Interface& i) {
    return (a.family == 6 && i.link_local == a.v6()) ||
           std::ranges::any_of(i.addresses, [&](const Prefix& p) { return p.addr == a; });
  });
}

// The highest address of a connected network (RFC 1812 5.3.5.2); /31 and /32 have none (RFC 3021).
bool connected_broadcast(const Interfaces& ifs, const IpAddr& a) {
  const auto broadcast_of = [&](const Prefix& p) {
    if (p.addr.family != 4 || p.len == 0 || p.len > 30) return false;
    const uint32_t host = UINT32_MAX >> p.len;
    return a.v4().host() == (p.addr.v4().host() | host);
  };
  return std::ranges::any_of(ifs.port,
                             [&](const Interface& i) { return std::ranges::any_of(i.addresses, broadcast_of); });
}

bool single_host(const Interfaces& ifs, const IpAddr& a) {
  return wire::single_host(a) && !own(ifs, a) && !(a.family == 4 && connected_broadcast(ifs, a));
}

bool group4(const Interfaces& ifs, const IpAddr& dst) {
  return dst.v4().multicast() || dst.v4().host() == UINT32_MAX || connected_broadcast(ifs, dst);
}

// The destination would not see a damaged segment, and could not have acknowledged what it says.
bool tcp_checksum_ok(const Ends& e, ConstBytes segment) {
  const auto n = static_cast<uint32_t>(segment.size());
  const uint64_t pseudo = e.src.family == 4 ? wire::pseudo_sum(e.src.v4(), e.dst.v4(), wire::kProtoTcp, n)
                                            : wire::pseudo_sum(e.src.v6(), e.dst.v6(), wire::kProtoTcp, n);
  return wire::fold16(wire::sum_bytes(segment.data(), n, pseudo)) == 0xffff;
}

// RFC 1812 4.3.2.7 (1): nothing about errors; nor about types that nobody knows to be none.
bool icmp4_query(const Meta& meta) {
  constexpr uint16_t kHighestKnown = 18;
  const uint16_t t = meta.sport;
  return meta.has(kMetaPortsValid) && t <= kHighestKnown && t != 3 && t != 4 && t != 5 && t != 11 && t != 12;
}

// RFC 4443 2.4 (e.1), (e.2): the type of a later fragment cannot be seen, and does not forbid the error.
bool icmp6_query(const Meta& meta) {
  if (meta.has(kMetaFragLater)) return true;
  return meta.has(kMetaPortsValid) && meta.sport >= 128 && meta.sport != 137;
}

bool due4(const Interfaces& ifs, const Ends& e, const Meta& meta) {
  if (meta.flags & (kMetaFragLater | kMetaL2Group)) return false;
  if (group4(ifs, e.dst) || !single_host(ifs, e.src)) return false;
  return meta.proto != wire::kProtoIcmp || icmp4_query(meta);
}

bool due6(const Interfaces& ifs, const Ends& e, const Meta& meta, uint8_t type, uint8_t code) {
  // RFC 4443 2.4 (e.3): path MTU discovery and unknown options work with groups too.
  const bool group_too = (type == 2 && code == 0) || (type == 4 && code == 2);
  if ((meta.has(kMetaL2Group) || e.dst.v6().multicast()) && !group_too) return false;
  return single_host(ifs, e.src) && (meta.proto != wire::kProtoIcmp6 || icmp6_query(meta));
}

// RFC 1812 4.3.2.4: an address of the port it came in on, the one on the sender's network if there is one.
IpAddr source4(const Interfaces& ifs, const Ends& e, uint16_t in_port) {
  if (own(ifs, e.dst)) return e.dst;
  IpAddr any;
  const auto look = [&](const Interface& i) {
    IpAddr first;
    for (const Prefix& p : i.addresses) {
      if (p.addr.family != 4) continue;
      if (p.contains(e.src)) return p.addr;
      if (first.none()) first = p.addr;
    }
    return first;
  };
  if (in_port < ifs.port.size()) any = look(ifs.port[in_port]);
  for (size_t i = 0; any.none() && i < ifs.port.size(); ++i) any = look(ifs.port[i]);
  return any;
}

// RFC 4443 2.2: (a) the address it was sent to; else (b) one that the sender can reach.
IpAddr source6(const Interfaces& ifs, const Ends& e, uint16_t in_port) {
  if (own(ifs, e.dst)) return e.dst;
  const bool have_port = in_port < ifs.port.size();
  if (have_port && e.src.v6().link_local()) return ifs.port[in_port].link_local;
  const auto global = [](const Interface& i) {
    for (const Prefix& p : i.addresses)
      if (p.addr.family == 6 && !p.addr.v6().link_local()) return p.addr;
    return IpAddr();
  };
  IpAddr any;
  if (have_port) any = global(ifs.port[in_port]);
  for (size_t i = 0; any.none() && i < ifs.port.size(); ++i) any = global(ifs.port[i]);
  if (any.none() && have_port) any = ifs.port[in_port].link_local;
  return any;
}

// A buffer whose data is all the room there is; the builder says how much of it is used.
rte_mbuf* whole_buffer(rte_mempool* pool) {
  rte_mbuf* m = rte_pktmbuf_alloc(pool);
  if (m) m->data_len = rte_pktmbuf_tailroom(m);
  return m;
}

// Sets the lengths and describes the packet as the box's own. `length`: of the IP packet, 0: not built.
rte_mbuf* finish(rte_mbuf* m, size_t length, uint8_t family, uint16_t in_port) {
  if (length == 0) {
    rte_pktmbuf_free(m);
    return nullptr;
  }
  m->data_len = static_cast<uint16_t>(kEthernet + length);
  m->pkt_len = m->data_len;
  std::ranges::fill(bytes_of(m).first(kEthernet), uint8_t{0});
  Meta& meta = stash(m);
  meta = Meta{};
  meta.flags = kMetaLocalOrigin | kMetaPortsValid;
  meta.family = family;
  meta.ethertype = family == 4 ? wire::kEthIp4 : wire::kEthIp6;
  meta.l3 = kEthernet;
  meta.l4 = static_cast<uint16_t>(kEthernet + (family == 4 ? sizeof(wire::Ip4Hdr) : sizeof(wire::Ip6Hdr)));
  meta.ip_length = static_cast<uint16_t>(length);
  meta.in_port = in_port;
  meta.kind = RingKind::route;
  return m;
}

}  // namespace

IcmpErrors::IcmpErrors(const HashKey& key, rte_mempool* pool)
    : key_(key), pool_(pool), source_(new TokenBucket[kSources]), id_(static_cast<uint16_t>(key.k[3])) {}

bool IcmpErrors::within_rate(const IcmpLimits& l, Instant now, const IpAddr& source) {
  const Ip6 words{source.b};
  TokenBucket& one = source_[hash_words(key_, words.hi(), words.lo()) % kSources];
  // Both have one, or neither is charged.
  const bool ok = one.has(now, l.per_source_per_second, l.per_source_burst) &&
                  all_.take(now, l.errors_per_second, l.errors_burst) &&
                  one.take(now, l.per_source_per_second, l.per_source_burst);
  limited_ += !ok;
  return ok;
}

rte_mbuf* IcmpErrors::make(const Snapshot& s, Instant now, const rte_mbuf* offender, const Meta& meta,
                           uint8_t type, uint8_t code, uint32_t info, uint16_t in_port) {
  const ConstBytes packet = bytes_of(offender).subspan(meta.l3, meta.ip_length);
  const Interfaces& ifs = *s.interfaces;
  const Ends e = ends_of(packet, meta.family);
  const bool v4 = meta.family == 4;
  if (!(v4 ? due4(ifs, e, meta) : due6(ifs, e, meta, type, code))) return nullptr;
  const IpAddr from = v4 ? source4(ifs, e, in_port) : source6(ifs, e, in_port);
  if (from.none() || !within_rate(s.icmp, now, e.src)) return nullptr;
  rte_mbuf* m = whole_buffer(pool_);
  if (!m) return nullptr;
  const Bytes out = bytes_of(m).subspan(kEthernet);
  const wire::IcmpError error{type, code, info};
  const size_t length = v4 ? wire::build_icmp4_error(out, from.v4(), e.src.v4(), id_++, error, packet)
                           : wire::build_icmp6_error(out, from.v6(), e.src.v6(), error, packet);
  m = finish(m, length, meta.family, in_port);
  if (!m) return nullptr;
  Meta& made = stash(m);
  made.proto = v4 ? wire::kProtoIcmp : wire::kProtoIcmp6;
  made.sport = type;
  made.dport = code;
  return m;
}

rte_mbuf* IcmpErrors::make_tcp_reset(const Snapshot& s, Instant now, const rte_mbuf* offender, const Meta& meta) {
  const ConstBytes packet = bytes_of(offender).subspan(meta.l3, meta.ip_length);
  const Interfaces& ifs = *s.interfaces;
  const Ends e = ends_of(packet, meta.family);
  const bool v4 = meta.family == 4;
  // Of a fragmented segment nobody knows the length, which the reset acknowledges.
  if (meta.proto != wire::kProtoTcp || meta.fragment()) return nullptr;
  if (meta.flags & (kMetaL2Group | kMetaL4Short)) return nullptr;
  if (!single_host(ifs, e.src) || (v4 ? group4(ifs, e.dst) : e.dst.v6().multicast())) return nullptr;
  const size_t l4 = meta.l4 - size_t{meta.l3};
  if (!tcp_checksum_ok(e, packet.subspan(l4))) return nullptr;
  // Built first: what draws no reset costs no token.
  rte_mbuf* m = whole_buffer(pool_);
  if (!m) return nullptr;
  const Bytes out = bytes_of(m).subspan(kEthernet);
  size_t length = v4 ? wire::build_tcp_reset4(out, packet, l4, id_++) : wire::build_tcp_reset6(out, packet, l4);
  if (length != 0 && !within_rate(s.icmp, now, e.src)) length = 0;
  m = finish(m, length, meta.family, meta.in_port);
  if (!m) return nullptr;
  Meta& made = stash(m);
  made.proto = wire::kProtoTcp;
  made.sport = meta.dport;
  made.dport = meta.sport;
  return m;
}

}  // namespace sluice::path
