// Every packet is accounted for: sums the engines' books and holds them against each other and against
// the packet pool. See base/account.h for the law. Frames that an AF_XDP port's early-drop program dropped are rows of it like
// all others; a second law (early.h) holds what the program has seen against what the workers received.
#pragma once

#include <string>
#include <vector>

#include "control/early.h"
#include "engine/box.h"

namespace sluice::control {

struct AuditRow {
  std::string name;  // port, or "box" for the packets that the box made
  uint64_t received = 0, created = 0, forwarded = 0, consumed = 0, dropped = 0;
  uint64_t drops[kDropReasons] = {};
  int64_t open() const {  // still under way, or lost
    return static_cast<int64_t>(received + created) - static_cast<int64_t>(forwarded + consumed + dropped);
  }
};

struct PortTotals {
  uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0;
};

struct Audit {
  std::vector<AuditRow> rows;      // ports in order, the box last
  std::vector<PortTotals> totals;  // by port
  AuditRow sum;
  std::vector<EarlyRow> early;     // of ports with an early-drop program
  uint64_t transmitted = 0;                                // Σ tx_packets of the ports, and what their programs answered
  uint64_t queued = 0;                                     // in rings, neighbour queues, reassembly
  uint64_t chained = 0;                                    // buffers that those in rings take beside their first
  uint64_t pool_size = 0, pool_in_use = 0, pool_held = 0;  // held: by ports' rings
  uint64_t pool_untold = 0;                                // by devices' descriptors, at most: DPDK's drivers do not tell
  uint64_t held_by_tcp = 0;                                // mbufs of TCP and its applications, which are consumed
  // What of the pool is in use beside what is known to be somewhere: leaked, or in devices' descriptors.
  int64_t pool_rest() const { return static_cast<int64_t>(pool_in_use - pool_held - queued - chained - held_by_tcp); }
  // open = queued in sum, forwarded = transmitted, the pool agrees, and the programs' books close.
  bool closed = false;
  std::string verdict;  // one sentence
};

// Of one moment: all lcores stand between two turns while the books are read.
Audit audit(engine::Box& box);
// The same sums without stopping anybody; counters move while they are read, so that it proves nothing.
Audit totals(engine::Box& box);

}  // namespace sluice::control
