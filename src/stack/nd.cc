#include "stack/nd.h"

#include <cstring>

#include "stack/datagram.h"
#include "stack/own.h"
#include "wire/checksum.h"

namespace sluice::stack {

using wire::EthHdr;
using wire::Ip6Hdr;
using wire::NdHdr;

namespace {

constexpr uint8_t kNs = 135, kNa = 136;
constexpr uint8_t kSourceMac = 1, kTargetMac = 2;
constexpr uint32_t kRouter = 1u << 31, kSolicited = 1u << 30, kOverride = 1u << 29;
constexpr Ip6 kAllNodes{{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

struct MacOption {
  uint8_t type, length8;
  Mac mac;
};
static_assert(sizeof(MacOption) == 8);

struct Options {
  bool valid = false;
  std::optional<Mac> mac;
};

// RFC 4861 4.6: a length of zero is an error, others move on; of several link-layer options the first counts.
Options link_layer_option(wire::ConstBytes o, uint8_t wanted) {
  Options out;
  while (!o.empty()) {
    if (o.size() < 2) return {};
    const size_t n = size_t{o[1]} * 8;
    if (n == 0 || n > o.size()) return {};
    if (o[0] == wanted) {
      if (n != sizeof(MacOption)) return {};
      const Mac mac = wire::at<MacOption>(o.data())->mac;
      if (!station(mac)) return {};
      if (!out.mac) out.mac = mac;
    }
    o = o.subspan(n);
  }
  out.valid = true;
  return out;
}

struct Message {
  uint8_t type;
  uint32_t flags;
  Ip6 src, dst, target;
  uint8_t option;  // 0: none
};

// The ICMPv6 message with its IPv6 header, behind room for the Ethernet header.
rte_mbuf* build(Turn& t, const Mac& own, const Message& n) {
  const unsigned icmp = sizeof(NdHdr) + (n.option ? sizeof(MacOption) : 0u);
  constexpr unsigned kL4 = kEthRoom + sizeof(Ip6Hdr);
  rte_mbuf* m = t.make(kL4 + icmp);
  if (!m) return nullptr;
  uint8_t* p = bytes_of(m).data();
  *wire::at<EthHdr>(p) = {{}, own, be16::from(wire::kEthIp6)};
  *wire::at<Ip6Hdr>(p + kEthRoom) = {be32::from(6u << 28), be16::from(static_cast<uint16_t>(icmp)),
                                     wire::kProtoIcmp6,    255, n.src, n.dst};
  NdHdr* h = wire::at<NdHdr>(p + kL4);
  *h = {n.type, 0, {}, be32::from(n.flags), n.target};
  if (n.option) *wire::at<MacOption>(p + kL4 + sizeof(NdHdr)) = {n.option, 1, own};
  h->checksum = wire::finish(
      wire::sum_bytes(p + kL4, icmp, wire::pseudo_sum(n.src, n.dst, wire::kProtoIcmp6, icmp)));

  Meta& meta = stash(m);
  meta.flags = kMetaLocalOrigin;
  meta.family = 6;
  meta.proto = wire::kProtoIcmp6;
  meta.ethertype = wire::kEthIp6;
  meta.l3 = kEthRoom;
  meta.l4 = kL4;
  meta.ip_length = static_cast<uint16_t>(sizeof(Ip6Hdr) + icmp);
  return m;
}

void transmit(Turn& t, uint16_t port, const Mac& to, rte_mbuf* m) {
  wire::at<EthHdr>(bytes_of(m).data())->dst = to;
  t.transmit(m, port);
}

}  // namespace

bool send_solicitation(Turn& t, uint16_t port, const Ip6& target, const std::optional<Mac>& to) {
  const Interface* ifc = t.port(port);
  if (!ifc) return false;
  t.core.stats.ns_sent++;
  const Ip6 dst = to ? target : solicited_node(target);
  const Message n{kNs, 0, source_towards(*ifc, target).v6(), dst, target, kSourceMac};
  if (rte_mbuf* m = build(t, ifc->mac, n)) transmit(t, port, to.value_or(multicast_mac(dst)), m);
  return true;
}

void send_unsolicited_advertisement(Turn& t, uint16_t port, const Ip6& own) {
  const Interface* ifc = t.port(port);
  if (!ifc) return;
  const Message n{kNa, kRouter | kOverride, own, kAllNodes, own, kTargetMac};
  if (rte_mbuf* m = build(t, ifc->mac, n)) transmit(t, port, multicast_mac(kAllNodes), m);
}

void Nd::receive(Turn& t, Datagram& d) {
  const NdHdr* h = wire::peek<NdHdr>(d.payload());
  const uint8_t type = d.payload()[0];
  // RFC 4861 6.1, 7.1, 8.1: from this link, unfragmented (RFC 6980 5).
  if (d.hop_limit != 255 || d.payload()[1] != 0 || d.fragment_header)
    return t.drop(d.m, DropReason::nd_invalid);
  if (type != kNs && type != kNa) return t.drop(d.m, DropReason::icmp_unhandled);
  if (!h || h->target.multicast() || !t.port(d.in_port)) return t.drop(d.m, DropReason::nd_invalid);
  if (type == kNs) solicitation(t, d);
  else advertisement(t, d);
}

void Nd::solicitation(Turn& t, Datagram& d) {
  const Interface& ifc = *t.port(d.in_port);
  const Ip6 target = wire::at<NdHdr>(d.payload().data())->target, src = d.src.v6();
  const Options o = link_layer_option(d.payload().subspan(sizeof(NdHdr)), kSourceMac);
  const bool dad = src.unspecified();
  if (!o.valid || (dad && (o.mac || d.dst.v6() != solicited_node(target))))
    return t.drop(d.m, DropReason::nd_invalid);
  const bool anycast = !owns(ifc, target) && router_anycast(ifc, target);
  if (!anycast && !owns(ifc, target))
    return t.drop(d.m, d.group ? DropReason::multicast_policy : DropReason::icmp_unhandled);

  // One of several routers: whoever answers first is as good (RFC 4861 7.2.7).
  const uint32_t flags = kRouter | (anycast ? 0 : kOverride) | (dad ? 0 : kSolicited);
  const Message n{kNa, flags, target, dad ? kAllNodes : src, target, kTargetMac};
  rte_mbuf* m = build(t, ifc.mac, n);
  if (m) stash(m).worker = d.worker;
  const bool neighbor = !dad && on_link(ifc, src) && o.mac != ifc.mac;
  if (neighbor && o.mac) neighbors_.heard_request(t, d.in_port, src, *o.mac);
  t.consume(d.m);
  if (!m) return;
  if (dad) return transmit(t, d.in_port, multicast_mac(kAllNodes), m);
  if (o.mac) return transmit(t, d.in_port, *o.mac, m);
  if (!neighbor) return t.drop(m, DropReason::neighbor_unresolved);
  stash(m).egress = d.in_port;
  stash(m).next_hop = src;
  neighbors_.output(t, m);
}

void Nd::advertisement(Turn& t, Datagram& d) {
  const Interface& ifc = *t.port(d.in_port);
  const NdHdr h = *wire::at<NdHdr>(d.payload().data());
  const Options o = link_layer_option(d.payload().subspan(sizeof(NdHdr)), kTargetMac);
  const bool solicited = h.flags.host() & kSolicited;
  if (!o.valid || (d.group && solicited) || owns(ifc, h.target) || o.mac == ifc.mac)
    return t.drop(d.m, DropReason::nd_invalid);
  t.copy_to_exception(d.m);
  const Neighbors::Advert a{o.mac, solicited, (h.flags.host() & kOverride) != 0};
  if (!neighbors_.heard_advert(t, d.in_port, h.target, a)) return t.drop(d.m, DropReason::icmp_unhandled);
  t.consume(d.m);
}

}  // namespace sluice::stack
