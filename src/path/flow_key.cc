#include "path/flow_key.h"

#include "wire/ip6_ext.h"

namespace sluice::path {

namespace {

constexpr unsigned kIcmpHeader = sizeof(wire::IcmpHdr);

struct Query {
  uint8_t request, reply;
};
constexpr Query kQueries4[] = {{8, 0}, {13, 14}, {15, 16}, {17, 18}};
constexpr Query kQueries6[] = {{128, 129}};

// The type that answers `type`, or -1. A reply is not answered: it would make a session of an unasked one.
int answer_to(uint8_t proto, uint8_t type) {
  if (proto == wire::kProtoIcmp) {
    for (const Query& q : kQueries4)
      if (q.request == type) return q.reply;
  } else {
    for (const Query& q : kQueries6)
      if (q.request == type) return q.reply;
  }
  return -1;
}

bool has_identifier(uint8_t proto, uint8_t type) {
  if (proto == wire::kProtoIcmp) {
    for (const Query& q : kQueries4)
      if (q.request == type || q.reply == type) return true;
  } else {
    for (const Query& q : kQueries6)
      if (q.request == type || q.reply == type) return true;
  }
  return false;
}

constexpr uint8_t kProtoDccp = 33, kProtoUdpLite = 136;

bool uses_ports(uint8_t proto) {
  return proto == wire::kProtoTcp || proto == wire::kProtoUdp || proto == wire::kProtoSctp ||
         proto == kProtoDccp || proto == kProtoUdpLite;
}

FlowTail icmp_tail(wire::ConstBytes b, size_t l4, uint8_t type, uint8_t code, uint16_t in_port, uint8_t proto,
                   KeyKind kind) {
  const auto* echo = wire::peek<wire::IcmpEcho>(b, l4);
  const uint16_t id = echo && has_identifier(proto, type) ? echo->id.raw() : uint16_t{0};
  return FlowTail::of(static_cast<uint16_t>(type << 8 | code), id, in_port, proto, kind);
}

// RFC 1858 3 and 4, RFC 7112 5: an overlapping fragment could rewrite the ports or flags that the first one
// showed, and a first one without its headers shows nothing.
bool tiny(const Meta& meta) {
  if (meta.has(kMetaFragFirst)) return meta.flags & (kMetaL4Short | kMetaExtHidden);
  return meta.has(kMetaFragLater) && meta.frag_offset == 8 &&
         (meta.proto == wire::kProtoTcp || meta.has(kMetaExtHidden));
}

}  // namespace

FlowTail unusual_tail(const rte_mbuf* m, const Meta& meta) {
  if (tiny(meta)) return FlowTail::of(0, 0, meta.in_port, meta.proto, KeyKind::tiny);
  if (meta.has(kMetaFragLater)) return FlowTail::of(0, 0, meta.in_port, meta.proto, KeyKind::later);
  const KeyKind kind = meta.has(kMetaFragFirst) ? KeyKind::first : KeyKind::whole;
  if (is_icmp(meta.proto) && meta.has(kMetaPortsValid)) {
    return icmp_tail(bytes_of(m), meta.l4, static_cast<uint8_t>(meta.sport), static_cast<uint8_t>(meta.dport),
                     meta.in_port, meta.proto, kind);
  }
  if (meta.has(kMetaPortsValid)) return FlowTail::of(meta.sport, meta.dport, meta.in_port, meta.proto, kind);
  if (uses_ports(meta.proto) || is_icmp(meta.proto) || meta.has(kMetaExtHidden))
    return FlowTail::of(0, 0, meta.in_port, meta.proto, KeyKind::portless);
  return FlowTail::of(0, 0, meta.in_port, meta.proto, kind);
}

template <class F>
std::optional<typename F::Key> reply_key(const typename F::Key& k, uint16_t in_port) {
  const FlowTail t = k.tail;
  if (t.kind() != KeyKind::whole) return std::nullopt;
  uint16_t sport = t.dport(), dport = t.sport();
  if (is_icmp(t.proto())) {
    const int answer = t.proto() == F::kIcmp ? answer_to(t.proto(), static_cast<uint8_t>(t.sport() >> 8)) : -1;
    if (answer < 0) return std::nullopt;
    sport = static_cast<uint16_t>(answer << 8);
    dport = t.dport();
  }
  return F::key(k.dst(), k.src(), FlowTail::of(sport, dport, in_port, t.proto(), KeyKind::whole));
}

bool is_icmp_error(const Meta& meta) {
  if (!meta.has(kMetaPortsValid) || meta.fragment()) return false;
  const unsigned type = meta.sport & 0xff;
  if (meta.family == 6) return meta.proto == wire::kProtoIcmp6 && type >= 1 && type <= 4;
  return meta.proto == wire::kProtoIcmp && (type == 3 || type == 4 || type == 11 || type == 12);
}

namespace {

// L4 fields of a quoted packet: RFC 792 promises 8 bytes of it.
template <class F>
std::optional<typename F::Key> quoted_key(wire::ConstBytes b, const typename F::Hdr& ip, size_t l4, uint8_t proto,
                                          uint16_t in_port) {
  if (is_icmp(proto)) {
    const auto* icmp = wire::peek<wire::IcmpHdr>(b, l4);
    if (!icmp) return std::nullopt;
    return F::key(ip.src, ip.dst, icmp_tail(b, l4, icmp->type, icmp->code, in_port, proto, KeyKind::whole));
  }
  uint16_t sport = 0, dport = 0;
  if (uses_ports(proto)) {
    const auto* ports = wire::peek<wire::UdpHdr>(b, l4);  // all of them start with the ports
    if (!ports) return std::nullopt;
    sport = ports->sport.raw(), dport = ports->dport.raw();
  }
  return F::key(ip.src, ip.dst, FlowTail::of(sport, dport, in_port, proto, KeyKind::whole));
}

}  // namespace

template <>
std::optional<FlowKey4> embedded_key<V4>(const rte_mbuf* m, const Meta& meta, uint16_t in_port) {
  if (!is_icmp_error(meta)) return std::nullopt;
  const wire::ConstBytes b = bytes_of(m);
  const size_t at = meta.l4 + kIcmpHeader;
  const auto* ip = wire::peek<wire::Ip4Hdr>(b, at);
  if (!ip || ip->version() != 4 || ip->header_length() < sizeof(wire::Ip4Hdr) || ip->frag_offset() != 0)
    return std::nullopt;
  return quoted_key<V4>(b, *ip, at + ip->header_length(), ip->proto, in_port);
}

template <>
std::optional<FlowKey6> embedded_key<V6>(const rte_mbuf* m, const Meta& meta, uint16_t in_port) {
  if (!is_icmp_error(meta)) return std::nullopt;
  const wire::ConstBytes b = bytes_of(m);
  size_t at = meta.l4 + kIcmpHeader;
  const auto* ip = wire::peek<wire::Ip6Hdr>(b, at);
  if (!ip || ip->version() != 6) return std::nullopt;
  at += sizeof(wire::Ip6Hdr);
  uint8_t proto = ip->next_header;
  if (proto == wire::kProtoFragment) {
    const auto* frag = wire::peek<wire::Ip6Frag>(b, at);
    if (!frag || frag->offset() != 0) return std::nullopt;
    proto = frag->next_header;
    at += sizeof(wire::Ip6Frag);
  }
  return quoted_key<V6>(b, *ip, at, proto, in_port);
}

template <>
FlowKey4 datagram_key<V4>(const rte_mbuf* m, const Meta& meta) {
  const auto* ip = wire::at<wire::Ip4Hdr>(rte_pktmbuf_mtod_offset(m, const uint8_t*, meta.l3));
  return V4::key(ip->src, ip->dst, FlowTail::of(ip->id.raw(), 0, meta.in_port, meta.proto, KeyKind::datagram));
}

template <>
FlowKey6 datagram_key<V6>(const rte_mbuf* m, const Meta& meta) {
  const auto* ip = wire::at<wire::Ip6Hdr>(rte_pktmbuf_mtod_offset(m, const uint8_t*, meta.l3));
  // Behind the fragment header there may be more: it is searched for.
  wire::Ip6Chain chain(bytes_of(m).subspan(meta.l3));
  for (wire::Ip6ExtHeader h; chain.next(h);) {}
  const uint32_t id = chain.fragment() ? chain.fragment()->id.raw() : 0;
  return V6::key(ip->src, ip->dst, FlowTail::of(static_cast<uint16_t>(id), static_cast<uint16_t>(id >> 16),
                                                meta.in_port, meta.proto, KeyKind::datagram));
}

template <class F>
typename F::RuleKey rule_key(const typename F::Key& k, uint16_t out_port) {
  const FlowTail t = k.tail;
  typename F::RuleKey r{};
  r.src = k.src(), r.dst = k.dst();
  r.in_port = t.in_port(), r.out_port = out_port;
  r.proto = t.proto();
  r.l4_known = t.has_ports();
  if (!r.l4_known) {
    // A protocol that later fragments or a second fragment header hide counts as TCP: what hides most gets
    // least.
    if (F::kFamily == 6 && (r.proto == wire::kProtoHopByHop || r.proto == wire::kProtoRouting ||
                            r.proto == wire::kProtoFragment || r.proto == wire::kProtoDestOpts))
      r.proto = wire::kProtoTcp;
  } else if (is_icmp(t.proto())) {
    r.sport = t.sport() >> 8, r.dport = t.sport() & 0xff;
  } else {
    r.sport = be16::from_raw(t.sport()).host(), r.dport = be16::from_raw(t.dport()).host();
  }
  return r;
}

template std::optional<FlowKey4> reply_key<V4>(const FlowKey4&, uint16_t);
template std::optional<FlowKey6> reply_key<V6>(const FlowKey6&, uint16_t);
template RuleKey4 rule_key<V4>(const FlowKey4&, uint16_t);
template RuleKey6 rule_key<V6>(const FlowKey6&, uint16_t);

}  // namespace sluice::path
