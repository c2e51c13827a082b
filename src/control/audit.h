// Every packet is accounted for: sums the engines' books and holds them against each other and against
// the packet pool. See base/account.h for the law.
#pragma once

#include <string>
#include <vector>

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
  uint64_t transmitted = 0;                                // Σ tx_packets of the ports
  uint64_t queued = 0;                                     // in rings, neighbour queues, reassembly
  uint64_t pool_size = 0, pool_in_use = 0, pool_held = 0;  // held: by ports' rings
  uint64_t held_by_tcp = 0;                                // mbufs of TCP and its applications, which are consumed
  bool closed = false;  // open = queued in sum, forwarded = transmitted, and the pool agrees
  std::string verdict;  // one sentence
};

// Of one moment: all lcores stand between two turns while the books are read.
Audit audit(engine::Box& box);
// The same sums without stopping anybody; counters move while they are read, so that it proves nothing.
Audit totals(engine::Box& box);

}  // namespace sluice::control
