// ARP (RFC 826, RFC 5227, RFC 1812 3.3.2). Learns from requests for the port's own addresses; replies and
// announcements update what is known and create nothing; nobody is answered for anybody else.
#pragma once

#include "stack/neighbors.h"

namespace sluice::stack {

class Arp {
 public:
  explicit Arp(Neighbors& n) : neighbors_(n) {}
  // An ARP frame with its stash filled in.
  void receive(Turn& t, rte_mbuf* m);

 private:
  void answer(Turn& t, rte_mbuf* m, const Interface& ifc);
  void conflict(Turn& t, uint16_t port, const Ip4& own);

  Neighbors& neighbors_;
  Instant defended_[kMaxPorts]{};  // last defence of an own address (RFC 5227 2.4)
};

// Asks for `target`; `to` set: a unicast probe of a known MAC. false: the port has no IPv4 address.
bool send_arp_request(Turn& t, uint16_t port, const Ip4& target, const std::optional<Mac>& to);
// "This address is at this MAC" (RFC 5227 3): an ARP request with sender and target alike.
void send_arp_announcement(Turn& t, uint16_t port, const Ip4& own);

}  // namespace sluice::stack
