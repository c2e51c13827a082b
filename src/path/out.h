// Where a pipeline puts packets: per-port transmit buffers, the way to the stack, the way to other workers.
// The worker engine derives from it and empties the buffers once per poll, or when one is full.
#pragma once

#include <rte_mbuf.h>

#include "base/limits.h"

namespace sluice::path {

class Out {
 public:
  static constexpr unsigned kRoom = kMaxBurst;

  struct Queue {
    unsigned n = 0;
    rte_mbuf* pkt[kRoom];
  };

  void transmit(uint16_t port, rte_mbuf* m) {
    Queue& q = tx[port];
    q.pkt[q.n++] = m;
    dirty |= uint64_t{1} << port;
    if (q.n == kRoom) flush_tx(port);
  }
  void to_stack(rte_mbuf* m) {  // with its stash filled in
    stack.pkt[stack.n++] = m;
    if (stack.n == kRoom) flush_stack();
  }
  void to_worker(unsigned w, rte_mbuf* m) {  // with its stash filled in
    Queue& q = worker[w];
    q.pkt[q.n++] = m;
    if (q.n == kRoom) flush_worker(w);
  }

  Queue tx[kMaxPorts];
  Queue stack;
  Queue worker[kMaxWorkers];
  uint64_t dirty = 0;  // bit per port with something in tx

 protected:
  ~Out() = default;
  virtual void flush_tx(uint16_t port) = 0;
  virtual void flush_stack() = 0;
  virtual void flush_worker(unsigned w) = 0;
};

}  // namespace sluice::path
