#include "path/exits.h"

#include <utility>

#include "path/fragment.h"
#include "path/ip4_options.h"
#include "path/ip6_options.h"
#include "path/rewrite.h"

namespace sluice::path {

namespace {

constexpr uint8_t kUnreachable4 = 3, kTimeExceeded4 = 11, kFragmentationNeeded = 4, kProhibited4 = 13;
constexpr uint8_t kUnreachable6 = 1, kTooBig6 = 2, kTimeExceeded6 = 3, kProhibited6 = 1;
constexpr unsigned kEthHeader = sizeof(wire::EthHdr);
// 64 KiB cut for the smallest IPv4 MTU would be more; no frame here is longer than a few KiB.
constexpr unsigned kMaxFragments = 64;

wire::Ip4Hdr& ip4_of(rte_mbuf* m, const Meta& meta) {
  return *wire::at<wire::Ip4Hdr>(rte_pktmbuf_mtod_offset(m, uint8_t*, meta.l3));
}
wire::Ip6Hdr& ip6_of(rte_mbuf* m, const Meta& meta) {
  return *wire::at<wire::Ip6Hdr>(rte_pktmbuf_mtod_offset(m, uint8_t*, meta.l3));
}

Ip4 address_of(const Interface& ifc) {
  for (const Prefix& p : ifc.addresses)
    if (p.addr.family == 4) return p.addr.v4();
  return {};
}

// For people, so that it may be slow: the longest prefix of all routes.
Prefix route_of(const Routes& r, const IpAddr& dst) {
  Prefix best;
  for (const auto& e : r.entries)
    if (e.prefix.contains(dst) && (best.addr.none() || e.prefix.len >= best.len)) best = e.prefix;
  return best;
}

}  // namespace

void Exits::tell_slowly(const rte_mbuf* m, const char* what, DropReason r, uint16_t egress) const {
  const Meta* meta = c_.told.meta;
  if (!meta) return;
  Verdict v{what, r, m->port, egress, nullptr, {}, c_.told.slow};
  if (c_.rules && c_.told.rule < c_.rules->size()) v.rule = &c_.rules->rule(c_.told.rule).name;
  const uint8_t* l3 = rte_pktmbuf_mtod_offset(m, const uint8_t*, meta->l3);
  if (meta->family == 4) v.route = route_of(*c_.routes, wire::at<wire::Ip4Hdr>(l3)->dst);
  if (meta->family == 6) v.route = route_of(*c_.routes, wire::at<wire::Ip6Hdr>(l3)->dst);
  (*c_.verdicts)(m, v);
}

void Exits::drop(rte_mbuf* m, DropReason r) {
  tell(m, "drop", r, kNoPort);
  c_.account.row(m->port).drop(r);
  rte_pktmbuf_free(m);
}

void Exits::local(rte_mbuf* m, const Meta& meta) {
  Meta& s = stash(m);
  s = meta;
  s.kind = RingKind::local;
  s.worker = static_cast<uint8_t>(c_.config.worker);
  tell(m, "local", DropReason::count_, kNoPort);
  c_.out->to_stack(m);
}

void Exits::local_checked(rte_mbuf* m, const Meta& meta) {
  OptionsResult r;
  if (meta.family == 4) {
    const Interface* in = c_.interface(meta.in_port);
    if (in && meta.has(kMetaIpOptions)) r = process_ip4_options(m, meta, *in, ip4_of(m, meta).dst, c_.now);
  } else {
    if (meta.has(kMetaIpOptions)) r = process_hop_by_hop(m, meta);
    if (r.drop == DropReason::count_) r = check_local_ext_headers(m, meta);
  }
  if (r.drop == DropReason::count_) return local(m, meta);
  if (r.icmp) refuse(m, meta, r.type, r.code, r.info, r.drop);
  else drop(m, r.drop);
}

void Exits::transmit(rte_mbuf* m, uint16_t port) {
  if (port >= kMaxPorts || c_.egress[port].mtu == 0) return drop(m, DropReason::port_down);
  c_.out->transmit(port, m);
}

void Exits::emit_own(rte_mbuf* error) {
  if (!error) return;
  c_.account.box.created.add(1);
  Meta meta = stash(error);
  const Meta* told = std::exchange(c_.told.meta, nullptr);
  route_own(error, meta);
  c_.told.meta = told;
}

void Exits::refuse(rte_mbuf* m, const Meta& meta, uint8_t type, uint8_t code, uint32_t info, DropReason r) {
  // What the box itself sends is not refused: nobody waits for the error.
  if (!meta.has(kMetaLocalOrigin))
    emit_own(c_.errors.make(*c_.snapshot, c_.now, m, meta, type, code, info, meta.in_port));
  drop(m, r);
}

void Exits::reject(rte_mbuf* m, const Meta& meta) {
  if (meta.proto == wire::kProtoTcp) {
    emit_own(c_.errors.make_tcp_reset(*c_.snapshot, c_.now, m, meta));
    return drop(m, DropReason::rule_reject);
  }
  if (meta.family == 4) refuse(m, meta, kUnreachable4, kProhibited4, 0, DropReason::rule_reject);
  else refuse(m, meta, kUnreachable6, kProhibited6, 0, DropReason::rule_reject);
}

// false: the packet is gone.
bool Exits::options(rte_mbuf* m, const Meta& meta, uint16_t egress) {
  OptionsResult r;
  if (meta.family == 4) {
    const Interface* in = c_.interface(meta.in_port);
    const Interface* out = c_.interface(egress);
    if (in && out) r = process_ip4_options(m, meta, *in, address_of(*out), c_.now);
  } else {
    r = process_hop_by_hop(m, meta);
  }
  if (r.drop == DropReason::count_) return true;
  if (r.icmp) refuse(m, meta, r.type, r.code, r.info, r.drop);
  else drop(m, r.drop);
  return false;
}

void Exits::forward(rte_mbuf* m, Meta& meta, const Hop& hop) {
  const uint32_t mtu = hop.port < kMaxPorts ? c_.egress[hop.port].mtu : 0;
  if (mtu == 0) return drop(m, DropReason::port_down);
  const bool four = meta.family == 4;
  const uint8_t limit = four ? hop_limit(ip4_of(m, meta)) : hop_limit(ip6_of(m, meta));
  if (limit <= 1)
    return refuse(m, meta, four ? kTimeExceeded4 : kTimeExceeded6, 0, 0, DropReason::ttl_expired);
  const bool too_big = meta.ip_length > mtu;
  if (too_big && !four) return refuse(m, meta, kTooBig6, 0, mtu, DropReason::mtu_exceeded);
  if (too_big && ip4_of(m, meta).dont_fragment())
    return refuse(m, meta, kUnreachable4, kFragmentationNeeded, mtu, DropReason::mtu_exceeded);
  // Last of all that may refuse: options are written into the packet, and an error quotes it as it came.
  if (meta.has(kMetaIpOptions) && !options(m, meta, hop.port)) return;

  if (four) decrement_hop_limit(ip4_of(m, meta));
  else decrement_hop_limit(ip6_of(m, meta));
  if (too_big) send_fragments(m, meta, hop);
  else send(m, meta, hop);
}

// The Ethernet header in front of the IP header, whatever stood there.
void Exits::send(rte_mbuf* m, Meta& meta, const Hop& hop) {
  if (meta.l3 > kEthHeader) {
    const uint16_t surplus = static_cast<uint16_t>(meta.l3 - kEthHeader);
    rte_pktmbuf_adj(m, surplus);
    meta.l3 = kEthHeader;
    meta.l4 = static_cast<uint16_t>(meta.l4 - surplus);
  }
  auto* eth = wire::at<wire::EthHdr>(rte_pktmbuf_mtod(m, uint8_t*));
  eth->type = be16::from(meta.family == 4 ? wire::kEthIp4 : wire::kEthIp6);

  if (hop.ref.index != NeighborTable::kNone) {
    const NeighborTable::Word word = c_.neighbors.word(hop.ref.index);
    c_.neighbors.touch(hop.ref.index, c_.now_ms);
    if (word.usable() && word.generation() == hop.ref.generation) {
      write_macs(rte_pktmbuf_mtod(m, uint8_t*), word.mac().word(), c_.egress[hop.port].mac);
      tell(m, "forward", DropReason::count_, hop.port);
      c_.out->transmit(hop.port, m);
      return;
    }
  }
  eth->src = Mac::from_word(c_.egress[hop.port].mac);
  Meta& s = stash(m);
  s = meta;
  s.kind = RingKind::resolve;
  s.worker = static_cast<uint8_t>(c_.config.worker);
  s.egress = hop.port;
  s.next_hop = hop.addr;
  tell(m, "resolve", DropReason::count_, hop.port);
  c_.out->to_stack(m);
}

void Exits::send_fragments(rte_mbuf* m, Meta& meta, const Hop& hop) {
  rte_mbuf* piece[kMaxFragments];
  const auto mtu = static_cast<uint16_t>(c_.egress[hop.port].mtu);
  const unsigned n = fragment4(m, meta, mtu, c_.pool, piece, kMaxFragments);
  if (n == 0) return drop(m, DropReason::fragmentation_failed);
  tell(m, "forward", DropReason::count_, hop.port);
  c_.told.meta = nullptr;  // the pieces are the box's own
  c_.account.box.created.add(n);
  c_.account.row(m->port).consumed.add(1);
  rte_pktmbuf_free(m);
  for (unsigned i = 0; i < n; i++) {
    Meta part = meta;
    part.ip_length = static_cast<uint16_t>(piece[i]->data_len - meta.l3);
    const wire::Ip4Hdr& ip = ip4_of(piece[i], part);
    part.l4 = static_cast<uint16_t>(meta.l3 + ip.header_length());
    part.frag_offset = ip.frag_offset();
    part.flags = static_cast<uint16_t>(part.flags & ~(kMetaFragFirst | kMetaFragLater));
    if (part.frag_offset != 0) {
      part.flags = static_cast<uint16_t>((part.flags & ~kMetaPortsValid) | kMetaFragLater);
      part.sport = part.dport = 0;
    } else {
      part.flags |= kMetaFragFirst;
    }
    send(piece[i], part, hop);
  }
}

Hop Exits::hop_of(const NextHopGroup& g, uint32_t route_hash, const IpAddr& dst) const {
  const NextHop& next = g.hop[g.hops > 1 ? uint64_t{route_hash} * g.hops >> 32 : 0];
  Hop h{next.port, next.via.none() ? dst : next.via, {}};
  h.ref = c_.neighbors.find(h.port, h.addr);
  return h;
}

void Exits::route_own(rte_mbuf* m, Meta& meta) {
  IpAddr dst;
  uint32_t group, hash;
  if (meta.family == 4) {
    const Ip4 d = ip4_of(m, meta).dst;
    dst = d;
    group = c_.routes->fib4 ? c_.routes->fib4->lookup(d) : Fib4::kMiss;
    hash = static_cast<uint32_t>(hash_words(c_.config.steer_key, d.v.raw(), meta.proto) >> 32);
  } else {
    const Ip6 d = ip6_of(m, meta).dst;
    dst = d;
    if (d.link_local() || d.multicast()) {
      // Such a destination says nothing about the link: the sender of the packet does.
      const uint16_t port = meta.egress < kMaxPorts ? meta.egress : meta.in_port;
      if (port >= kMaxPorts || c_.egress[port].mtu == 0 || d.multicast())
        return drop(m, DropReason::ip_destination_invalid);
      Hop link{port, dst, c_.neighbors.find(port, dst)};
      return send(m, meta, link);
    }
    group = c_.routes->fib6 ? c_.routes->fib6->lookup(d) : Fib6::kMiss;
    hash = static_cast<uint32_t>(hash_words(c_.config.steer_key, d.hi() ^ d.lo(), meta.proto) >> 32);
  }
  if (group >= c_.routes->groups.size()) return drop(m, DropReason::no_route);
  const NextHopGroup& g = c_.routes->groups[group];
  if (g.kind == NextHopGroup::Kind::blackhole) return drop(m, DropReason::blackhole);
  if (g.kind == NextHopGroup::Kind::unreachable) return drop(m, DropReason::no_route);
  // To itself, or to everyone: nothing that the box sends is meant so.
  if (g.kind != NextHopGroup::Kind::forward || g.hops == 0) return drop(m, DropReason::ip_destination_invalid);

  const Hop hop = hop_of(g, hash, dst);
  if (hop.port >= kMaxPorts || c_.egress[hop.port].mtu == 0) return drop(m, DropReason::port_down);
  if (meta.ip_length <= c_.egress[hop.port].mtu) return send(m, meta, hop);
  if (meta.family != 4 || ip4_of(m, meta).dont_fragment()) return drop(m, DropReason::mtu_exceeded);
  send_fragments(m, meta, hop);
}

}  // namespace sluice::path
