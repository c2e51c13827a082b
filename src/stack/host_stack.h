// The host side of IP for the box's own addresses: ARP, neighbour discovery, ICMP and ICMPv6, closed UDP
// and TCP ports, reassembly. Single-threaded, pure (now, packets in → packets out); the only writer of the
// neighbour table.
//
// A local packet comes from a worker with its stash filled in (RingKind::local, resolve) and leaves as
// RingKind::transmit, route or refuse towards stash.worker. See packet/meta.h.
#pragma once

#include <memory>
#include <vector>

#include "base/account.h"
#include "base/hash.h"
#include "base/instant.h"
#include "packet/meta.h"
#include "table/interfaces.h"
#include "table/neighbor_table.h"

namespace sluice::stack {

struct StackConfig {
  unsigned arp_requests_per_second = 200;       // in all: bounds what a scan can draw
  unsigned max_incomplete = 512;                // neighbours being resolved at a time
  unsigned reassembly_datagrams = 256;          // in all
  unsigned reassembly_per_source = 16;
  unsigned announce = 3;                        // gratuitous ARP / unsolicited NA per address, a second apart
  HashKey key{};                                // for its own tables
  uint64_t seed = 1;                            // jitter
};

class StackOut {
 public:
  // A mbuf with its stash filled in, for worker stash.worker.
  virtual void emit(rte_mbuf* m) = 0;
  // A frame for the host's TAP interface of port stash.in_port (Interface::exception).
  virtual void exception(rte_mbuf* m) = 0;

 protected:
  ~StackOut() = default;
};

class HostStack {
 public:
  HostStack(const StackConfig& c, NeighborTable& neighbors, Account& account, rte_mempool* pool);
  ~HostStack();

  // Takes ownership of all n ≤ kMaxBurst.
  void receive(const Interfaces& ifs, Instant now, rte_mbuf** pkts, unsigned n, StackOut& out);
  // Timers: neighbour probes, reassembly time-outs, announcements of new addresses (it compares `ifs` with
  // what it saw last, by Interfaces::generation).
  void tick(const Interfaces& ifs, Instant now, StackOut& out);
  Instant next_deadline() const;
  // mbufs waiting in neighbour queues and in reassembly: a term of the audit.
  unsigned held() const;

  struct Stats {
    uint64_t echo_requests, arp_requests_sent, ns_sent, neighbors_failed, reassembled, resets_sent;
  };
  Stats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::stack
