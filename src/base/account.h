// The audit's books. Each engine keeps one PortAccount per port and is its only writer; the control
// thread sums them. The law: for the whole box, at rest,
//   Σ received + Σ created = Σ transmitted + Σ consumed + Σ drops,
// and while packets are under way the difference is what rings and neighbour queues hold.
#pragma once

#include "base/counter.h"
#include "base/drop_reason.h"
#include "base/limits.h"

namespace sluice {

struct alignas(64) PortAccount {
  Counter rx_packets, rx_bytes;  // taken from the port by this engine
  Counter tx_packets, tx_bytes;  // accepted by the port's transmit queue
  Counter created;   // packets the box made (ICMP errors, replies, ARP, fragments), by egress port if known, else port 0
  Counter consumed;  // packets that ended here as intended (ARP, echo requests, reassembled pieces), by ingress port
  Counter drops[kDropReasons];  // by ingress port; a created packet's, by the port it was to leave through

  void drop(DropReason r, uint64_t n = 1) { drops[static_cast<unsigned>(r)].add(n); }
};

struct Account {
  PortAccount port[kMaxPorts];
};

}  // namespace sluice
