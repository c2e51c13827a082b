// Neighbour discovery (RFC 4861 7, RFC 4862 5.4, RFC 6980): solicitations for the port's own addresses are
// answered, advertisements update what is known. The box is a router: it takes no router advertisements
// and no redirects, and sends neither.
#pragma once

#include "stack/neighbors.h"

namespace sluice::stack {

struct Datagram;

class Nd {
 public:
  explicit Nd(Neighbors& n) : neighbors_(n) {}
  // ICMPv6 types 133 to 137, checksum verified.
  void receive(Turn& t, Datagram& d);

 private:
  void solicitation(Turn& t, Datagram& d);
  void advertisement(Turn& t, Datagram& d);

  Neighbors& neighbors_;
};

// Asks for `target`; `to` set: a unicast probe of a known MAC.
bool send_solicitation(Turn& t, uint16_t port, const Ip6& target, const std::optional<Mac>& to);
// "This address is at this MAC", to all nodes (RFC 4861 7.2.6).
void send_unsolicited_advertisement(Turn& t, uint16_t port, const Ip6& own);

}  // namespace sluice::stack
