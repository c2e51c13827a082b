// Every way in which a packet leaves the pipeline: transmitted, handed to the stack, refused with an ICMP
// error, dropped. Each call takes ownership of its mbuf and keeps the books: a packet passes through
// exactly one of them.
#pragma once

#include "path/context.h"

namespace sluice::path {

// Where a packet goes next.
struct Hop {
  uint16_t port = kNoPort;
  IpAddr addr;               // of the neighbour
  NeighborTable::Ref ref;    // index kNone: not in the table
};

class Exits {
 public:
  explicit Exits(Context& c) : c_(c) {}

  void drop(rte_mbuf* m, DropReason r);
  // To the stack, as a packet for the box.
  void local(rte_mbuf* m, const Meta& meta);
  // Answers with an ICMP error where one is due, and drops for `r`.
  void refuse(rte_mbuf* m, const Meta& meta, uint8_t type, uint8_t code, uint32_t info, DropReason r);
  // A rule's reject: a TCP reset, or "administratively prohibited".
  void reject(rte_mbuf* m, const Meta& meta);
  // A received packet, permitted and routed: options, hop limit, MTU, fragmentation, MACs, in this order.
  void forward(rte_mbuf* m, Meta& meta, const Hop& hop);
  // A packet of the box's own: routed by its destination; no hop limit, no rules.
  void route_own(rte_mbuf* m, Meta& meta);
  void transmit(rte_mbuf* m, uint16_t port);

  // The next hop of a group for this destination, with its neighbour looked up.
  Hop hop_of(const NextHopGroup& g, uint32_t route_hash, const IpAddr& dst) const;

  // To the stack, after a look at options and extension headers. For packets that may have some.
  void local_checked(rte_mbuf* m, const Meta& meta);
  // What became of the packet in hand (Context::told), while it is still ours.
  void tell(const rte_mbuf* m, const char* what, DropReason r, uint16_t egress) const {
    if (c_.verdicts) tell_slowly(m, what, r, egress);
  }

 private:
  void send(rte_mbuf* m, Meta& meta, const Hop& hop);
  void send_fragments(rte_mbuf* m, Meta& meta, const Hop& hop);
  bool options(rte_mbuf* m, const Meta& meta, uint16_t egress);
  void emit_own(rte_mbuf* error);
  void tell_slowly(const rte_mbuf* m, const char* what, DropReason r, uint16_t egress) const;

  Context& c_;
};

}  // namespace sluice::path
