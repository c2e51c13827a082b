// The verdict in user space: what the XDP program does for an AF_XDP port, right behind rx_burst for the others.
// One a worker and receive queue; lcore's thread.
#pragma once

#include <rte_mbuf.h>

#include "base/account.h"
#include "shed/shed.h"

namespace sluice::shed {

class NativeVerdict {
 public:
  explicit NativeVerdict(Shed& shed) : shed_(shed) {}

  // Judges a burst; drops are counted in `row` (as received and dropped) and freed. The others are moved to the front; returns
  // how many there are. `answer`: as many SYN-ACKs, complete frames for the port that they came from, which the caller
  // sends and books (the SYN consumed, its answer created); `answers` of them.
  unsigned run(Instant now, rte_mbuf** pkts, unsigned n, PortAccount& row, rte_mbuf** answer, unsigned& answers);
  sluice_queue& queue() { return queue_; }
  uint64_t count(sluice_outcome o, sluice_class c) const { return counts_[(o + 0u) * SLUICE_CLASSES + c].get(); }  // any thread

 private:
  Shed& shed_;
  sluice_queue queue_{};
  Counter counts_[SLUICE_COUNTS];
};

}  // namespace sluice::shed
