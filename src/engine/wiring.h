// How the engines of a box hang together: which worker owns which queue, and the rings between them. Made
// once by Box::create, constant afterwards.
//
// Queue q of every port belongs to worker q % workers, for receiving and for transmitting. A worker beyond
// the number of a port's transmit queues hands its packets for that port to an owner's ring.
//
//   worker ──to_stack──► stack ──to_worker──► worker      one ring each per worker and stack engine, one writer
//   stack ──between──► stack                              one ring per receiver, many writers; none for a single one
//   worker ──steer──► worker                              one ring per receiver, many writers
//   worker ──transmit──► owner of a transmit queue        one ring per (port, queue) that is short of queues
#pragma once

#include <memory>
#include <vector>

#include "engine/handoff.h"
#include "engine/stack_share.h"
#include "path/snapshot.h"
#include "port/port.h"

namespace sluice::engine {

struct Wiring {
  struct PortQueue {
    uint16_t port, queue;
  };
  // How one worker reaches one port.
  struct Egress {
    uint16_t queue = 0;
    Handoff* owner = nullptr;  // null: the queue is the worker's own
  };

  // As many stack engines as `stack_bells`; `stack_key` shares the connections out to them.
  Wiring(const std::vector<std::unique_ptr<port::Port>>& ports, const std::vector<Bell*>& worker_bells,
         const std::vector<Bell*>& stack_bells, unsigned ring_size, const HashKey& stack_key);

  unsigned workers() const { return static_cast<unsigned>(steer.size()); }
  unsigned stacks() const { return share.engines(); }
  std::vector<PortQueue> receive_queues(unsigned worker) const;
  Egress egress(unsigned worker, uint16_t port) const;
  bool symmetric() const;  // every port's hardware brings both directions of a flow to the same worker

  unsigned queued() const;   // packets in the rings
  unsigned chained() const;  // buffers that they take beside their first; while all lcores stand
  // All rings, for whoever empties them when nothing runs any more.
  std::vector<Handoff*> rings() const;

  const std::vector<std::unique_ptr<port::Port>>& ports;
  const StackShare share;
  std::vector<std::vector<std::unique_ptr<Handoff>>> to_stack, to_worker;  // [stack engine][worker]
  std::vector<std::unique_ptr<Handoff>> between, steer;                    // [receiver]
  std::vector<std::vector<std::unique_ptr<Handoff>>> transmit;  // [port][queue]; empty: queues for all workers
  std::atomic<const path::Snapshot*> snapshot{nullptr};         // loaded once per poll
};

}  // namespace sluice::engine
