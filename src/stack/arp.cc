#include "stack/arp.h"

#include <cstring>

#include "stack/own.h"

namespace sluice::stack {

using wire::ArpHdr;
using wire::EthHdr;

namespace {

constexpr uint16_t kRequest = 1, kReply = 2;
constexpr unsigned kFrame = sizeof(EthHdr) + sizeof(ArpHdr);
constexpr Duration kDefendInterval = Duration::seconds(10);  // RFC 5227 1.1

// Writes a whole frame, padded to the minimum with zeros.
void write_frame(uint8_t* p, const Mac& to, const ArpHdr& a) {
  std::memset(p, 0, wire::kEthMinFrame);
  *wire::at<EthHdr>(p) = {to, a.sha, be16::from(wire::kEthArp)};
  *wire::at<ArpHdr>(p + sizeof(EthHdr)) = a;
}

void send(Turn& t, uint16_t port, const Mac& to, const ArpHdr& a) {
  rte_mbuf* m = t.make(wire::kEthMinFrame);
  if (!m) return;
  write_frame(bytes_of(m).data(), to, a);
  t.transmit(m, port);
}

ArpHdr message(uint16_t op, const Mac& sha, const Ip4& spa, const Mac& tha, const Ip4& tpa) {
  return {be16::from(1), be16::from(wire::kEthIp4), 6, 4, be16::from(op), sha, spa, tha, tpa};
}

bool well_formed(const ArpHdr& a, const Mac& own) {
  return a.hardware.host() == 1 && a.protocol.host() == wire::kEthIp4 && a.hlen == 6 && a.plen == 4 &&
         (a.op.host() == kRequest || a.op.host() == kReply) && station(a.sha) && a.sha != own;
}

// A sender that a host on this link may have; 0.0.0.0 is a probe's.
bool sender_possible(const Interface& ifc, const Ip4& spa) {
  const uint32_t first = spa.host() >> 24;
  if (first == 0 || first == 127 || first >= 224) return false;
  const Prefix* p = connected(ifc, spa);
  return p && !network_edge(*p, spa);
}

}  // namespace

bool send_arp_request(Turn& t, uint16_t port, const Ip4& target, const std::optional<Mac>& to) {
  const Interface* ifc = t.port(port);
  if (!ifc) return false;
  const IpAddr from = source_towards(*ifc, target);
  if (from.none()) return false;
  t.core.stats.arp_requests_sent++;
  const Mac broadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
  send(t, port, to.value_or(broadcast), message(kRequest, ifc->mac, from.v4(), {}, target));
  return true;
}

void send_arp_announcement(Turn& t, uint16_t port, const Ip4& own) {
  const Interface* ifc = t.port(port);
  if (!ifc) return;
  const Mac broadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
  send(t, port, broadcast, message(kRequest, ifc->mac, own, {}, own));
}

void Arp::receive(Turn& t, rte_mbuf* m) {
  const uint16_t port = stash(m).in_port;
  const Interface* ifc = t.port(port);
  if (!ifc) return t.drop(m, DropReason::port_down);
  const ArpHdr* p = wire::peek<ArpHdr>(bytes_of(m), stash(m).l3);
  if (!p || !well_formed(*p, ifc->mac)) return t.drop(m, DropReason::arp_invalid);
  const ArpHdr a = *p;
  const bool request = a.op.host() == kRequest, to_us = owns(*ifc, a.tpa);

  if (a.spa == Ip4{}) {  // a probe (RFC 5227 2.1.1): answered, and nothing is learnt from it
    if (request && to_us) return answer(t, m, *ifc);
    return request ? t.consume(m) : t.drop(m, DropReason::arp_invalid);
  }
  if (owns(*ifc, a.spa)) {
    conflict(t, port, a.spa);
    return t.drop(m, DropReason::arp_invalid);
  }
  if (!sender_possible(*ifc, a.spa)) return t.drop(m, DropReason::arp_invalid);

  if (request && to_us) {
    neighbors_.heard_request(t, port, a.spa, a.sha);
    return answer(t, m, *ifc);
  }
  if (!request) t.copy_to_exception(m);
  if (a.spa == a.tpa || (!request && to_us)) {
    // Only a reply that was sent to us alone proves that the neighbour hears us.
    const bool solicited = !request && to_us && !stash(m).has(kMetaL2Group);
    neighbors_.heard_advert(t, port, a.spa, {a.sha, solicited, true});
  }
  t.consume(m);
}

void Arp::answer(Turn& t, rte_mbuf* m, const Interface& ifc) {
  const uint16_t port = stash(m).in_port;
  const unsigned l3 = stash(m).l3;
  const ArpHdr ask = *wire::at<ArpHdr>(bytes_of(m).data() + l3);
  t.make_own(m);
  if (l3 > kEthRoom) rte_pktmbuf_adj(m, static_cast<uint16_t>(l3 - kEthRoom));
  if (m->data_len > wire::kEthMinFrame) rte_pktmbuf_trim(m, static_cast<uint16_t>(m->data_len - wire::kEthMinFrame));
  else rte_pktmbuf_append(m, static_cast<uint16_t>(wire::kEthMinFrame - m->data_len));
  static_assert(kFrame <= wire::kEthMinFrame);
  write_frame(bytes_of(m).data(), ask.sha, message(kReply, ifc.mac, ask.tpa, ask.sha, ask.spa));
  t.transmit(m, port);
}

void Arp::conflict(Turn& t, uint16_t port, const Ip4& own) {
  // RFC 5227 2.4 (c): a router's address is essential, so it is defended, at most once per interval.
  if (defended_[port].ns != 0 && t.now - defended_[port] < kDefendInterval) return;
  defended_[port] = t.now;
  send_arp_announcement(t, port, own);
}

}  // namespace sluice::stack
