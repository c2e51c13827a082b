// Packets for the box itself: whether they are, what stands between the IP header and the upper layer, and
// who takes them. One datagram goes one way: dropped, refused, answered, or handed to the host's TAP.
//
// Rules that hold for all (RFC 1122 3.2.1.3 and 3.3.6, RFC 4291 2.5.2): nothing comes from the box's own
// addresses, from a group or from nobody (but duplicate address detection), no unicast IPv4 packet in a
// group frame, and nothing sent to a group draws an error (Turn::refuse is not asked).
#pragma once

#include "stack/icmp.h"
#include "stack/reassembly.h"
#include "stack/tcp_ip.h"
#include "stack/udp.h"

namespace sluice::stack {

class Local {
 public:
  Local(Core& core, Neighbors& n, TcpIp& tcp)
      : sender_(core, n), icmp_(sender_, n, tcp), udp_(sender_), tcp_(tcp), reassembly_(core) {}

  // A frame with its stash filled in, family 4 or 6.
  void receive(Turn& t, rte_mbuf* m);
  void tick(Turn& t) { reassembly_.tick(t); }
  Instant next_deadline() const { return reassembly_.next_deadline(); }
  unsigned held() const { return reassembly_.held(); }
  Udp& udp() { return udp_; }

 private:
  void receive4(Turn& t, Datagram& d);
  void receive6(Turn& t, Datagram& d);
  void headers6(Turn& t, Datagram& d);
  void fragment(Turn& t, Datagram& d, const Fragment& f);
  void deliver(Turn& t, Datagram& d);

  Sender sender_;
  Icmp icmp_;
  Udp udp_;
  TcpIp& tcp_;
  Reassembly reassembly_;
};

}  // namespace sluice::stack
