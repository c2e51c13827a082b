#include "stack/local.h"

#include "stack/own.h"
#include "wire/ip4_options.h"
#include "wire/ip6_ext.h"
#include "wire/martian.h"

namespace sluice::stack {

using wire::Ip4Hdr;
using wire::Ip6Hdr;

namespace {

constexpr uint8_t kParameterProblem = 4;
constexpr uint32_t kBroadcast = UINT32_MAX;

// Interface::exception: this traffic is the host's.
bool for_host(const Interface& ifc, const Meta& meta, const Datagram& d) {
  auto matches = [&](const LocalTraffic& x) {
    if (x.proto && x.proto != meta.proto) return false;
    if ((x.dport || x.sport) && (!meta.has(kMetaPortsValid) || meta.proto == wire::kProtoIcmp ||
                                 meta.proto == wire::kProtoIcmp6))
      return false;
    if (x.dport && be16::from(x.dport).raw() != meta.dport) return false;
    if (x.sport && be16::from(x.sport).raw() != meta.sport) return false;
    return !x.source || x.source->contains(d.src);
  };
  for (const LocalTraffic& x : ifc.exception)
    if (matches(x)) return true;
  return false;
}

bool source_routed(wire::ConstBytes header) {
  wire::Ip4OptionWalk walk(header);
  wire::Ip4Option o;
  while (walk.next(o))
    if (o.type == wire::kIp4OptLooseRoute || o.type == wire::kIp4OptStrictRoute) return true;
  return walk.malformed();
}

// Groups that the port is a member of (RFC 4291 2.8).
bool member(const Interface& ifc, const Ip6& group) {
  constexpr Ip6 kAllNodes{{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
  constexpr Ip6 kAllRouters{{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}};
  if (group == kAllNodes || group == kAllRouters || group == solicited_node(ifc.link_local)) return true;
  for (const Prefix& p : ifc.addresses)
    if (p.addr.family == 6 && (group == solicited_node(p.addr.v6()) ||
                                 (p.len < 127 && group == solicited_node(p.masked().addr.v6()))))
      return true;
  return false;
}

}  // namespace

void Local::receive(Turn& t, rte_mbuf* m) {
  const Meta& meta = stash(m);
  const Interface* ifc = t.port(meta.in_port);
  if (!ifc) return t.drop(m, DropReason::port_down);
  const wire::Bytes frame = bytes_of(m);
  const size_t header = meta.family == 4 ? sizeof(Ip4Hdr) : sizeof(Ip6Hdr);
  if (meta.l3 < kEthRoom || meta.ip_length < header || meta.l3 + meta.ip_length > frame.size())
    return t.drop(m, DropReason::ip_truncated);
  Datagram d{.m = m,
             .packet = frame.subspan(meta.l3, meta.ip_length),
             .src = {},
             .dst = {},
             .in_port = meta.in_port,
             .worker = meta.worker,
             .traffic_class = 0,
             .hop_limit = 0};
  if (meta.family == 4) {
    const Ip4Hdr& ip = *wire::at<Ip4Hdr>(d.packet.data());
    d.src = ip.src;
    d.dst = ip.dst;
    d.traffic_class = ip.tos;
    d.hop_limit = ip.ttl;
  } else {
    const Ip6Hdr& ip = *wire::at<Ip6Hdr>(d.packet.data());
    d.src = ip.src;
    d.dst = ip.dst;
    d.traffic_class = static_cast<uint8_t>(ip.version_class_flow.host() >> 20);
    d.hop_limit = ip.hop_limit;
  }
  if (for_host(*ifc, meta, d)) return t.exception(m);
  if (owns_any(t.ifs, d.in_port, d.src)) return t.drop(m, DropReason::source_own);
  if (meta.family == 4) receive4(t, d);
  else receive6(t, d);
}

void Local::receive4(Turn& t, Datagram& d) {
  const Interface& ifc = *t.port(d.in_port);
  const Ip4Hdr ip = *wire::at<Ip4Hdr>(d.packet.data());
  const unsigned header = ip.header_length();
  if (header < sizeof(Ip4Hdr) || header > d.packet.size()) return t.drop(d.m, DropReason::ip_header_length);
  if (!wire::single_host(ip.src) || directed_broadcast(ifc, ip.src)) return t.drop(d.m, DropReason::ip_source_invalid);
  if (!owns_any(t.ifs, d.in_port, ip.dst)) {
    d.group = true;
    const bool broadcast = ip.dst.host() == kBroadcast || directed_broadcast(ifc, ip.dst);
    if (!broadcast && !ip.dst.multicast()) return t.drop(d.m, DropReason::ip_destination_invalid);
    // Nobody here listens to groups, and echo to one is answered by nobody (RFC 1122 3.2.2.6).
    return t.drop(d.m, broadcast ? DropReason::broadcast_policy : DropReason::multicast_policy);
  }
  if (stash(d.m).has(kMetaL2Group)) return t.drop(d.m, DropReason::broadcast_policy);
  if (header > sizeof(Ip4Hdr) && source_routed(d.packet.first(header)))
    return t.drop(d.m, DropReason::ip_options);
  d.proto = ip.proto;
  d.l4 = header;
  d.proto_at = offsetof(Ip4Hdr, proto);
  if (!ip.more_fragments() && ip.frag_offset() == 0) return deliver(t, d);
  fragment(t, d, {.id = ip.id.host(), .proto = ip.proto, .offset = ip.frag_offset(), .more = ip.more_fragments()});
}

void Local::receive6(Turn& t, Datagram& d) {
  const Interface& ifc = *t.port(d.in_port);
  const Ip6 src = d.src.v6(), dst = d.dst.v6();
  if (dst.multicast()) {
    d.group = true;
    if (!member(ifc, dst)) return t.drop(d.m, DropReason::multicast_policy);
  } else if (!owns_any(t.ifs, d.in_port, dst)) {
    if (!router_anycast_any(t.ifs, dst)) return t.drop(d.m, DropReason::ip_destination_invalid);
    d.anycast = true;
  }
  if (!src.unspecified() && !wire::single_host(src)) return t.drop(d.m, DropReason::ip_source_invalid);
  headers6(t, d);
}

// The extension headers of a packet, or of a datagram put together from fragments.
void Local::headers6(Turn& t, Datagram& d) {
  // A reassembled packet lacks the fragment header that the quoted first fragment has.
  const unsigned unfragmentable = d.l4;
  auto as_quoted = [&](unsigned at) {
    return d.reassembled && at >= unfragmentable ? at + static_cast<unsigned>(sizeof(wire::Ip6Frag)) : at;
  };
  auto refused = [&](const wire::Ip6ExtVerdict& v) {
    if (v.act == wire::Ip6ExtVerdict::Act::pass) return false;
    if (v.act == wire::Ip6ExtVerdict::Act::drop) t.drop(d.m, DropReason::ip6_extension);
    else t.refuse(d.m, kParameterProblem, v.code, as_quoted(v.pointer), DropReason::ip6_extension);
    return true;
  };
  if (wire::at<Ip6Hdr>(d.packet.data())->next_header == wire::kProtoHopByHop &&
      refused(wire::check_hop_by_hop(d.packet)))
    return;
  if (refused(wire::check_destination_headers(d.packet))) return;

  wire::Ip6Chain chain(d.packet);
  wire::Ip6ExtHeader h;
  while (chain.next(h)) {
    const wire::Ip6Frag* f = chain.fragment();
    // Fragments within fragments: RFC 7112 ruled them out before, and there is one buffer to release.
    if (f && d.reassembled) return t.drop(d.m, DropReason::ip6_extension);
    if (h.type != wire::kProtoFragment || (f->offset() == 0 && !f->more())) continue;
    d.l4 = h.offset + h.length;
    return fragment(t, d, {.id = f->id.host(), .proto = f->next_header, .offset = f->offset(), .more = f->more(),
                           .header_at = h.offset, .named_at = h.named_at});
  }
  d.fragment_header |= chain.fragment() != nullptr;
  d.proto = chain.proto();
  d.l4 = chain.offset();
  // Named in front of where the fragment header was: in the quote, that header names it.
  const unsigned named = chain.named_at();
  d.proto_at = d.reassembled && named < unfragmentable ? unfragmentable : as_quoted(named);
  deliver(t, d);
}

void Local::fragment(Turn& t, Datagram& d, const Fragment& f) {
  Datagram whole = d;
  if (!reassembly_.add(t, d, f, whole)) return;
  t.core.stats.reassembled++;
  if (whole.family() == 4) deliver(t, whole);
  else headers6(t, whole);
  reassembly_.release();
}

void Local::deliver(Turn& t, Datagram& d) {
  // Only duplicate address detection speaks for nobody; it is looked at where its hop limit is.
  const bool nobody = d.family() == 6 && d.src.v6().unspecified();
  const bool v4 = d.family() == 4;
  if (d.proto == (v4 ? wire::kProtoIcmp : wire::kProtoIcmp6)) return icmp_.receive(t, d);
  if (nobody) return t.drop(d.m, DropReason::ip_source_invalid);
  if (d.proto == wire::kProtoUdp) return udp_.receive(t, d);
  if (d.proto == wire::kProtoTcp) return tcp_.receive(t, d);
  if (d.proto == wire::kProtoNone && !v4) return t.consume(d.m);
  if (d.group) return t.drop(d.m, DropReason::protocol_unknown);
  // Protocol unreachable (RFC 1122 3.2.2.1); unrecognized next header (RFC 4443 3.4).
  if (v4) t.refuse(d.m, 3, 2, 0, DropReason::protocol_unknown);
  else t.refuse(d.m, kParameterProblem, 1, d.proto_at, DropReason::protocol_unknown);
}

}  // namespace sluice::stack
