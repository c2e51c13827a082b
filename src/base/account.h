// The audit's books. Each engine keeps an Account and is its only writer; the control thread sums them.
// One row per port for packets that came in through it, and the row `box` for packets that the box made
// (their mbuf->port is RTE_MBUF_PORT_INVALID, as rte_pktmbuf_alloc leaves it; who turns a received packet
// into a reply of the box sets it, after counting the received one as consumed and the reply as created).
// The law, for each row at rest:
//   rx_packets + created = forwarded + consumed + Σ drops,
// and Σ forwarded over the rows = Σ tx_packets over the ports. While packets are under way the difference
// is what rings, neighbour queues and reassembly hold.
#pragma once

#include "base/counter.h"
#include "base/drop_reason.h"
#include "base/limits.h"

namespace sluice {

struct alignas(64) PortAccount {
  Counter rx_packets, rx_bytes;  // taken from the port by this engine
  Counter tx_packets, tx_bytes;  // by egress port: accepted by its transmit queue
  Counter created;    // row `box` alone: ICMP errors, replies, ARP, fragments
  Counter forwarded;  // by row of the packet: accepted by some port's transmit queue
  Counter consumed;   // ended here as intended: ARP, echo requests, reassembled pieces, a packet cut into fragments,
                      // TCP segments, whether or not TCP keeps their mbufs (packet/buffers.h)
  Counter drops[kDropReasons];

  void drop(DropReason r, uint64_t n = 1) { drops[static_cast<unsigned>(r)].add(n); }
};

struct Account {
  PortAccount port[kMaxPorts];
  PortAccount box;

  // The row of a packet, by its mbuf->port.
  PortAccount& row(uint16_t mbuf_port) { return mbuf_port < kMaxPorts ? port[mbuf_port] : box; }
  const PortAccount& row(uint16_t mbuf_port) const { return mbuf_port < kMaxPorts ? port[mbuf_port] : box; }
};

}  // namespace sluice
