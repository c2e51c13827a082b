// ICMP and ICMPv6 to the box: echo (RFC 792, RFC 1122 3.2.2.6, RFC 4443 4.2), errors about its TCP segments
// (tcp_ip.h), packet too big for its other path MTUs (RFC 8201), neighbour discovery. Other messages are counted and
// let go (RFC 1122 3.2.2, RFC 4443 2.4 (b)).
#pragma once

#include "stack/datagram.h"
#include "stack/nd.h"
#include "stack/send.h"
#include "stack/tcp_ip.h"

namespace sluice::stack {

class Icmp {
 public:
  Icmp(Sender& s, Neighbors& n, TcpIp& tcp) : sender_(s), nd_(n), tcp_(tcp) {}
  void receive(Turn& t, Datagram& d);

 private:
  void receive4(Turn& t, Datagram& d);
  void receive6(Turn& t, Datagram& d);
  void too_big(Turn& t, Datagram& d);
  void echo(Turn& t, Datagram& d, const IpAddr& from);

  Sender& sender_;
  Nd nd_;
  TcpIp& tcp_;
};

}  // namespace sluice::stack
